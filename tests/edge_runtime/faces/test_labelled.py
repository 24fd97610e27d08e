from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.labelled import FERPLUS_LABELS, VOTE_COLUMNS, load_labelled

# neutral, happy, surprise, sad, angry, disgust, fear, contempt, unknown, not a face
VOTES = np.array(
    [
        [1, 6, 0, 0, 0, 0, 0, 0, 3, 0],  # happy
        [0, 0, 0, 0, 1, 0, 0, 9, 0, 0],  # contempt
        [5, 0, 0, 5, 0, 0, 0, 0, 0, 0],  # divided
        [2, 0, 0, 0, 0, 0, 0, 0, 8, 0],  # nobody can tell
        [0, 0, 0, 3, 0, 0, 0, 0, 0, 7],  # no face
        [0, 0, 4, 3, 3, 0, 0, 0, 0, 0],  # surprise, by less than half
    ],
    np.uint8,
)


def write(path: Path, **arrays: np.ndarray) -> Path:
    images = np.arange(6, dtype=np.uint8)[:, None, None] + np.zeros((6, 8, 8), np.uint8)
    np.savez(path, images=images, labels=np.zeros(6, np.uint8), split=np.zeros(6, np.uint8), **arrays)
    return path


def test_ferplus_is_the_class_with_most_votes_and_leaves_out_what_has_none(tmp_path: Path) -> None:
    faces = load_labelled(write(tmp_path / "f.npz", votes=VOTES), "training", "ferplus")
    assert [faces.label_names[label] for label in faces.labels] == ["happy", "contempt", "surprise"]
    assert faces.images[:, 0, 0].tolist() == [0, 1, 5]
    assert faces.left_out["without a majority for one expression"] == 3
    assert faces.votes is not None
    np.testing.assert_array_equal(faces.votes, VOTES[[0, 1, 5]])


def test_the_makers_labels_keep_every_image_and_carry_the_votes(tmp_path: Path) -> None:
    faces = load_labelled(write(tmp_path / "f.npz", votes=VOTES), "training")
    assert len(faces) == 6
    assert faces.votes is not None
    assert len(faces.first(2).votes) == 2


def test_without_votes_ferplus_is_refused_and_fer_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "f.npz")
    assert load_labelled(path, "training").votes is None
    with pytest.raises(ConfigurationError, match="votes: is absent"):
        load_labelled(path, "training", "ferplus")


@pytest.mark.parametrize(
    ("votes", "labelling", "problem"),
    [(VOTES[:, :8], "fer", r"votes: is \(6, 8\), not \(6, 10\)"), (VOTES, "raf", "not one of fer, ferplus")],
    ids=["eight columns", "unknown labelling"],
)
def test_what_cannot_be_read_is_named(
    votes: np.ndarray, labelling: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load_labelled(write(tmp_path / "f.npz", votes=votes), "training", labelling)


@pytest.mark.realdata
def test_the_columns_are_those_of_the_shared_file(shared_data: Path) -> None:
    with np.load(shared_data / "faces" / "fer2013.npz") as stored:
        theirs = [str(name) for name in stored["vote_names"]]
    short = {
        "happiness": "happy",
        "sadness": "sad",
        "anger": "angry",
        "not-a-face": "not a face",
        "NF": "not a face",
    }
    assert tuple(short.get(name, name) for name in theirs) == VOTE_COLUMNS
    assert VOTE_COLUMNS[:8] == FERPLUS_LABELS
