import numpy as np
import pytest

from edge_runtime.faces.labelled import FER_LABELS, FERPLUS_LABELS, VOTE_COLUMNS
from export.training.votes import label_given_votes


def ballots(*rows: dict[str, int]) -> np.ndarray:
    return np.array([[row.get(name, 0) for name in VOTE_COLUMNS] for row in rows], np.uint8)


def test_votes_are_asked_what_the_label_is_and_not_taken_for_it() -> None:
    # Raters who say neutral, of images that their makers labelled sad three times in four; and happy, which is happy.
    votes = ballots(*[{"neutral": 10}] * 400, *[{"happy": 10}] * 400)
    labels = np.array([4, 4, 4, 6] * 100 + [3] * 400)
    given = label_given_votes(votes, labels, FER_LABELS, fitted=True)
    assert given[0, FER_LABELS.index("sad")] == pytest.approx(0.75, abs=0.04)
    assert given[0, FER_LABELS.index("neutral")] == pytest.approx(0.25, abs=0.04)
    assert given[-1].argmax() == FER_LABELS.index("happy")
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)


def test_a_class_that_raters_do_not_have_can_be_learned_from_what_they_say_instead() -> None:
    votes = ballots(*[{"angry": 5, "disgust": 1}] * 90, *[{"surprise": 9}] * 90)
    labels = np.array([0, 1, 2] * 30 + [5] * 90)
    given = label_given_votes(votes, labels, FER_LABELS, fitted=True)
    np.testing.assert_allclose(given[0, :3], 1 / 3, atol=0.03)


def test_the_majority_of_the_votes_has_their_shares_for_its_distribution() -> None:
    votes = ballots({"happy": 6, "contempt": 2, "unknown": 2}, {"not a face": 10})
    given = label_given_votes(votes, np.array([1, 3]), FERPLUS_LABELS, fitted=False)
    assert given[0, FERPLUS_LABELS.index("happy")] == 0.75
    assert given[0, FERPLUS_LABELS.index("contempt")] == 0.25
    assert given[1].tolist() == np.eye(8)[3].tolist()  # nobody named a class: the label alone


def test_a_face_that_nobody_voted_on_keeps_its_label() -> None:
    votes = ballots(*[{"happy": 10}, {}] * 20)
    given = label_given_votes(votes, np.array([3, 6] * 20), FER_LABELS, fitted=True)
    assert given[1].tolist() == np.eye(7)[6].tolist()
