import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.metrics import (
    class_metrics,
    confusion_matrix,
    expected_calibration_error,
    measure,
    wilson_interval,
)

NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),  # Newcombe's worked table; R: binom::binom.wilson
        (81, 263, 0.255256, 0.366217),  # Newcombe 1998, Table I, method 3
        (15, 148, 0.062386, 0.160533),
        (0, 20, 0.0, 0.161125),
        (1, 29, 0.006113, 0.171755),
        (20, 20, 0.838875, 1.0),
        (1, 1, 0.206543, 1.0),
    ],
    ids=lambda value: str(value),
)
def test_wilsons_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_an_impossible_share_has_no_interval(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(successes, trials)


# rows: labels a a a a b b c; columns: predictions a a a b b a b
LABELS = np.array([0, 0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 1])


def one_hot(predictions: np.ndarray, confidence: float = 1.0) -> np.ndarray:
    rest = (1 - confidence) / 2
    return np.where(np.eye(3)[predictions] == 1, confidence, rest)


def test_rows_are_labels_and_columns_predictions() -> None:
    expected = [[3, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert confusion_matrix(LABELS, PREDICTED, 3).tolist() == expected


def test_precision_recall_and_f1_of_a_hand_worked_table() -> None:
    a, b, c = class_metrics(confusion_matrix(LABELS, PREDICTED, 3), NAMES)
    assert (a.images, a.predicted, a.precision, a.recall, a.f1) == (4, 4, 0.75, 0.75, 0.75)
    assert (b.precision, b.recall) == (pytest.approx(1 / 3), 0.5)
    assert b.f1 == pytest.approx(0.4)
    assert (c.images, c.predicted, c.precision, c.recall, c.f1) == (1, 0, 0, 0, 0)
    assert measure(one_hot(PREDICTED), LABELS, NAMES).macro_f1 == pytest.approx((0.75 + 0.4 + 0) / 3)


def test_a_class_that_never_occurs_does_not_pull_macro_f1_down() -> None:
    labels = np.array([0, 1, 1])
    metrics = measure(one_hot(labels), labels, NAMES)
    assert metrics.macro_f1 == 1
    assert metrics.classes[2].images == 0


def test_calibration_error_of_a_hand_worked_case() -> None:
    # confidences .95 .95 .65 .65 .65, right 1 0 1 1 0: bins (14/15, 1] and (9/15, 10/15]
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65], [0.65, 0.35]])
    labels = np.array([0, 1, 0, 1, 1])
    expected = 2 / 5 * abs(0.5 - 0.95) + 3 / 5 * abs(2 / 3 - 0.65)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("confidence", [0.35, 0.4, 0.6, 1.0], ids="{:.2f}".format)
def test_always_right_is_off_by_what_is_missing_in_confidence(confidence: float) -> None:
    labels = np.array([0, 1, 2])
    error = expected_calibration_error(one_hot(labels, confidence), labels)
    assert error == pytest.approx(1 - confidence)


def test_a_confidence_on_a_border_belongs_to_the_bin_below() -> None:
    # 0.6 is the border of (8/15, 9/15]: together with 0.55, their gaps cancel; apart they add up
    probabilities = np.array([[0.6, 0.4], [0.55, 0.45]])
    labels = np.array([0, 1])
    assert expected_calibration_error(probabilities, labels) == pytest.approx(abs(0.4 - 0.55) / 2)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 60))
def test_what_holds_for_any_predictions(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), count).astype(np.float32)
    labels = rng.integers(0, 3, count)
    metrics = measure(probabilities, labels, NAMES)
    assert 0 <= metrics.accuracy_low <= metrics.accuracy <= metrics.accuracy_high <= 1
    assert 0 <= metrics.expected_calibration_error <= 1
    assert metrics.confusion.sum() == metrics.images == count
    assert metrics.accuracy == np.mean(probabilities.argmax(1) == labels)
    order = rng.permutation(3)
    renamed = measure(probabilities[:, order], np.argsort(order)[labels], NAMES)
    assert renamed.macro_f1 == pytest.approx(metrics.macro_f1)
    assert renamed.expected_calibration_error == pytest.approx(metrics.expected_calibration_error)


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.empty((0, 3)), np.empty(0, int)),
        (np.ones((2, 2)), np.zeros(2, int)),
        (np.ones((2, 3)), np.zeros(3, int)),
    ],
    ids=["nothing", "classes", "rows"],
)
def test_shapes_that_do_not_fit_are_refused(probabilities: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        measure(probabilities, labels, NAMES)
