"""What a network may want to see of a face beside the pixels of its crop, made on the device.

hog.py                  histograms of oriented gradients (P4 §3.2)
sift.py                 SIFT descriptors on a fixed grid (P4 §3.3)
landmark_table.py       P1's 38 segments and 7 regions, by name
landmark_distances.py   the lengths of these segments (P1 §3.1)
lbp.py                  local binary patterns, a histogram for each of these regions (P1 §3.1)
inputs.py               a network's inputs, by the kinds that its bundle names

inputs = make_inputs([("crop", "crop"), ("hog", "hog")], crops)
"""

from edge_runtime.features.inputs import FEATURE_LENGTHS, GIVEN, KINDS, make_inputs

__all__ = ["FEATURE_LENGTHS", "GIVEN", "KINDS", "make_inputs"]
