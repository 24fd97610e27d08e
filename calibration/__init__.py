"""Calibration: how good a bundle is, and how sure it may be. Runs the device's own code; needs no torch.

In the order in which data flows:

    evaluation.py    a labelled set through the device's own alignment and engine → logits
    metrics.py       probabilities and labels → accuracy with interval, macro-F1, confusion, calibration error
    end_to_end.py    the same faces pasted into frames, through the whole path: what it costs
    temperature.py   logits and labels → the temperature that makes confidence honest
    pipeline.py      a bundle → the same bundle with temperature, measured quality and model card
    figures.py       the confusion matrix as a picture
    cli.py           `roomtone evaluate`, `roomtone calibrate`

    bundle = open_bundle(folder)
    choice = open_engine(bundle, InferenceSection())
    evaluate(bundle, choice, prepare(Path("fer2013.npz"), "private", bundle)).metrics.accuracy
"""
