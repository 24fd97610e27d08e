import numpy as np

from edge_runtime.features import FEATURE_LENGTHS, KINDS, make_inputs


def test_inputs_come_by_the_names_of_the_tensors() -> None:
    crops = np.zeros((2, 96, 96), np.uint8)
    made = make_inputs([("hog", "h"), ("crop", "pixels"), ("sift", "s")], crops)
    assert list(made) == ["h", "pixels", "s"]
    assert made["pixels"] is crops
    assert (made["h"].shape, made["s"].shape) == ((2, FEATURE_LENGTHS["hog"]), (2, FEATURE_LENGTHS["sift"]))
    assert {"crop", "hog", "sift"} == KINDS
