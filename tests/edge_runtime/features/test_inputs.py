import numpy as np
import pytest

from edge_runtime.faces.alignment import P1_TEMPLATE
from edge_runtime.features import FEATURE_LENGTHS, KINDS, make_inputs


def test_inputs_come_by_the_names_of_the_tensors() -> None:
    crops = np.zeros((2, 96, 96), np.uint8)
    distances = np.ones((2, 38), np.float32)
    wanted = [(kind, f"tensor_{kind}") for kind in ("hog", "crop", "lbp", "landmark_distances", "sift")]
    made = make_inputs(wanted, crops, P1_TEMPLATE, {"landmark_distances": distances})
    assert list(made) == [tensor for _, tensor in wanted]
    assert made["tensor_crop"] is crops
    assert made["tensor_landmark_distances"] is distances
    for kind, length in FEATURE_LENGTHS.items():
        assert made[f"tensor_{kind}"].shape == (2, length)
    assert {"crop", "hog", "sift", "lbp", "landmark_distances"} == KINDS


@pytest.mark.parametrize(
    ("kind", "problem"),
    [("lbp", "needs the template"), ("landmark_distances", "cannot be made of crops")],
)
def test_what_a_kind_needs_beside_crops_must_be_given(kind: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make_inputs([(kind, kind)], np.zeros((1, 96, 96), np.uint8))
