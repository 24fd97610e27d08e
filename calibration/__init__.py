"""Calibration: how good a bundle is, and how sure it may be. Runs the device's own code; needs no torch.

In the order in which data flows:

    evaluation.py      a labelled set through the device's own alignment and engine → logits
    metrics.py         probabilities and labels → accuracy with interval, macro-F1, confusion, calibration error
    end_to_end.py      the same faces pasted into frames, through the whole path: what it costs
    temperature.py     logits and labels → the temperature that makes confidence honest
    pipeline.py        a bundle → the same bundle with temperature, measured quality and model card
    samples.py         which faces a quantizer sees: balanced, sharp, no near-duplicates, spread
    camera_samples.py  the same from the installed camera, which never leave the device
    sealing.py         how such faces lie on its disk
    quantize.py        a float network → static INT8, by ONNX Runtime and by NNCF on OpenVINO
    tool_defaults.py   what each tool makes of it when told nothing, to be compared
    sensitivity.py     which layers hurt when they are quantized
    paired.py          two classifiers on the same images → accuracy lost, with its bounds
    guard.py           the verdict: may this variant stand in for the float one?
    search.py          rank and revert: layers back to float until the guard passes
    outcome.py         what came out: variants, verdicts, times
    quantization.py    all of that → variants that are right, in the order of their speed
    assembly.py        the whole of `roomtone calibrate`
    landmark_quality.py   marked faces through the landmark network → errors of points and pupils
    landmarks.py       INT8 of it, with a guard on points
    landmark_picture.py   its points on faces
    figures.py         confusion, accuracy against latency, sensitivity, reliability
    report.py          the report as a page
    tables.py          what was found, on the terminal
    cli.py             `roomtone evaluate`, `roomtone calibrate`; `landmark_cli.py` has those of landmarks

    bundle = open_bundle(folder)
    choice = open_engine(bundle, InferenceSection())
    evaluate(bundle, choice, prepare(Path("fer2013.npz"), "private", bundle)).metrics.accuracy
"""
