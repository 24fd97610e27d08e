"""What a network may want to see of a crop beside its pixels, made on the device.

hog.py      histograms of oriented gradients (P4 §3.2)
sift.py     SIFT descriptors on a fixed grid (P4 §3.3)
inputs.py   a network's inputs, by the kinds that its bundle names

inputs = make_inputs([("crop", "crop"), ("hog", "hog")], crops)
"""

from edge_runtime.features.inputs import FEATURE_LENGTHS, KINDS, make_inputs

__all__ = ["FEATURE_LENGTHS", "KINDS", "make_inputs"]
