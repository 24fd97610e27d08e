"""Inference: ONNX Runtime and OpenVINO behind one protocol.

    engine.py               the protocol, and the report of what really runs
    onnxruntime_engine.py   the engine of the core install
    openvino_engine.py      the engine of `roomtone[openvino]`
    cpu.py                  the widest vector instructions here, for that report
    saturation.py           whether INT8 sums saturate here
    opening.py              which variant of a bundle runs here, golden outputs checked
    trials.py               all variants of a bundle tried on this CPU
    speed.py                engines against each other, in turns
    tuning.py               the choice that was measured on this board
    shared_engine.py        one engine for the cameras of a board, batches across them
    landmark_engine.py      the landmark network, on either engine
    classifier.py           crops → calibrated probabilities, in batches

In use:

    choice = open_engine(open_bundle(folder), config.inference)
    choice.engine.logits(crops)
"""
