import math

import numpy as np
import pytest

from calibration.guard import Limits, QuantizationGuardError, Verdict, judge, snr_db

NAMES = ("sad", "happy", "neutral")


def one_hot(choices: np.ndarray) -> np.ndarray:
    return np.eye(len(NAMES), dtype=np.float32)[choices]


def verdict(
    labels: np.ndarray, before: np.ndarray, after: np.ndarray, limits: Limits | None = None
) -> Verdict:
    return judge("onnxruntime int8", one_hot(before), one_hot(after), labels, NAMES, limits=limits)


def labelled(count: int) -> np.ndarray:
    return np.arange(count) % len(NAMES)


def test_the_same_logits_pass_when_there_are_enough_images() -> None:
    labels = labelled(300)
    found = verdict(labels, labels, labels)
    assert found.passed
    assert found.agreement == 1
    assert math.isinf(found.snr_db)
    assert found.reasons == ()


def test_too_few_images_are_not_judged_and_it_says_how_many_are_needed() -> None:
    labels = labelled(60)
    found = verdict(labels, labels, labels)
    assert found.outcome == "undecided"
    assert found.images_needed == 268  # z² · 0.99 / 0.01
    assert "about 268 are needed" in str(found)


def test_a_lost_accuracy_fails() -> None:
    labels = labelled(900)
    after = labels.copy()
    after[:45] = (after[:45] + 1) % 3
    found = verdict(labels, labels, after)
    assert found.outcome == "fail"
    assert "the accuracy drops by 5.00" in found.reasons[0]
    assert found.before.accuracy == 1
    assert found.after.accuracy == pytest.approx(0.95)


def test_one_class_that_is_lost_fails_although_the_accuracy_holds() -> None:
    labels = np.repeat([0, 1, 2], [200, 4000, 4000])
    after = labels.copy()
    after[:20] = 1
    found = verdict(labels, labels, after)
    assert found.accuracy.upper < 0.01
    assert found.outcome == "fail"
    assert found.reasons[0].startswith("sad loses 10.0 points")


def test_a_class_with_few_images_fails_only_by_more_than_chance() -> None:
    labels = np.repeat([0, 1, 2], [39, 2000, 2000])
    for lost, outcome in ((2, "pass"), (5, "fail")):  # 5.1 points of 39 images say nothing, 12.8 points do
        after = labels.copy()
        after[:lost] = 1
        found = verdict(labels, labels, after)
        assert found.outcome == outcome
        assert not found.classes[0].is_judgeable


def test_what_is_lost_and_gained_again_is_no_loss_but_needs_more_images() -> None:
    labels = labelled(300)
    before, after = labels.copy(), labels.copy()
    before[:12], after[12:24] = (labels[:12] + 1) % 3, (labels[12:24] + 1) % 3
    found = verdict(labels, before, after)
    assert found.accuracy.drop == 0
    assert found.outcome == "undecided"
    assert found.images_needed is not None
    assert found.images_needed > 2000


def test_a_logit_that_is_no_number_is_wrong() -> None:
    labels = labelled(600)
    after = one_hot(labels)
    after[::2] = np.nan
    found = judge("int8", one_hot(labels), after, labels, NAMES)
    assert found.outcome == "fail"
    assert found.agreement == pytest.approx(0.5)


def test_the_limits_are_the_callers() -> None:
    labels = labelled(900)
    after = labels.copy()
    after[:30:3] = 1  # 10 of 300 sad ones: 1.1 points in all, 3.3 of the class
    assert verdict(labels, labels, after).outcome == "fail"
    assert verdict(labels, labels, after, Limits(0.03, 0.05)).passed


def test_images_of_one_class_are_refused() -> None:
    labels = np.ones(500, np.int64)
    with pytest.raises(QuantizationGuardError, match="all 500 held-out images are happy") as error:
        verdict(labels, labels, labels)
    assert error.value.exit_code == 23


def test_signal_to_noise_is_in_decibels() -> None:
    reference = np.full((10, 3), 2.0, np.float32)
    assert snr_db(reference, reference + np.float32(0.2)) == pytest.approx(20, abs=1e-4)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="logits"):
        judge(
            "int8", np.zeros((4, 3), np.float32), np.zeros((5, 3), np.float32), np.zeros(4, np.int64), NAMES
        )


def test_a_verdict_is_plain_json() -> None:
    labels = labelled(300)
    facts = verdict(labels, labels, labels).to_json()
    assert facts["outcome"] == "pass"
    assert facts["snr_db"] is None
    assert facts["classes"]["happy"]["lost"] == 0
