"""Export: a trained PyTorch network becomes a bundle that is proven to give the same logits on every engine.

In the order in which data flows:

    architectures/   the papers' networks, one paper, one file
    training/        labelled faces, augmentation, the trainer                     → checkpoint
    checkpoints.py   weights and recipe as safetensors; pickles that hold more than tensors are refused
    contract.py      what somebody else's network takes and gives
    deployable.py    what every export begins with; made by
        trained.py   of a checkpoint of `roomtone train`
        factory.py   of anybody's nn.Module, its weights and a contract
    deploy.py        the network with its preprocessing inside: uint8 crops in, logits out
    onnx_graph.py    one ONNX file, simplified, the same bytes every time
    probes.py        rendered faces and noise to compare networks on
    parity.py        torch → ONNX Runtime → OpenVINO, logit by logit
    tolerances.py    how far they may be apart, in one table
    first_difference.py  where in the network two of them part
    golden.py        what the network must give on any CPU
    cost.py          parameters and multiply–adds
    taxonomy.py      polarity, valence, arousal and reading of each class
    provenance.py    data, recipe, tools, commit
    pipeline.py      the steps above, one after the other                          → bundle
    landmarks.py     the same steps for the landmark network
    adopt.py         somebody else's ONNX network → bundle, by
        foreign.py         reading it, held against its contract
        foreign_graph.py   the contract as part of its graph
        foreign_parity.py  original → ONNX Runtime → OpenVINO
    cli.py           `roomtone train` and `roomtone export`; their commands are in
        train_cli.py, export_cli.py, sequence_cli.py, landmark_cli.py, stargan_cli.py

    request = ExportRequest("hafnet_half", Path("runs/first/checkpoint.safetensors"), Path("bundles/first"))
    export_bundle(request).bundle.digest
"""
