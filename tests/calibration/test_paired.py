import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.paired import PairedDrop, least_images, paired_drop

Z = 1.6448536269514722


def test_counts_only_images_on_which_the_two_differ() -> None:
    before = np.array([True, True, False, False, True])
    after = np.array([True, False, True, False, False])
    drop = paired_drop(before, after)
    assert (drop.images, drop.lost, drop.gained) == (5, 2, 1)
    assert drop.drop == pytest.approx(0.2)


def test_complete_agreement_is_bounded_by_the_number_of_images() -> None:
    # With nothing lost and nothing gained, Tango's statistic is solved by z² / (n + z²).
    assert PairedDrop(300, 0, 0).upper == pytest.approx(Z**2 / (300 + Z**2))


@pytest.mark.parametrize("gained", [9, 16, 40])
def test_the_bound_is_zero_exactly_where_mcnemars_test_says_so(gained: int) -> None:
    # At a difference of 0 the score statistic is McNemar's (lost − gained) / √(lost + gained).
    lost = next(n for n in range(gained) if (n - gained) / math.sqrt(n + gained) > -Z)
    assert PairedDrop(500, lost, gained).upper > 0
    assert PairedDrop(500, lost - 1, gained).upper < 0


def test_agrees_with_walds_interval_where_counts_are_large() -> None:
    # Agresti, Categorical Data Analysis, table 10.1 (1,600 voters, 150 and 86 changed): standard error 0.0095.
    drop = PairedDrop(1600, 150, 86)
    assert drop.upper == pytest.approx(0.04 + Z * 0.0095, abs=3e-4)
    assert drop.lower == pytest.approx(0.04 - Z * 0.0095, abs=3e-4)


def test_the_bound_covers_the_truth_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(3)
    counts = rng.multinomial(400, [0.03, 0.01, 0.96], size=2000)
    covered = [PairedDrop(400, int(lost), int(gained)).upper > 0.02 for lost, gained, _ in counts]
    assert 0.93 < np.mean(covered) < 0.975


@given(st.integers(1, 400), st.integers(0, 200), st.integers(0, 200))
def test_drop_lies_between_its_bounds(images: int, lost: int, gained: int) -> None:
    if lost + gained > images:
        return
    drop = PairedDrop(images, lost, gained)
    assert -1 <= drop.lower <= drop.drop + 1e-9
    assert drop.drop - 1e-9 <= drop.upper <= 1


def test_least_images_are_just_enough_to_be_sure() -> None:
    least = least_images(0.01)
    assert PairedDrop(least, 0, 0).upper < 0.01 <= PairedDrop(least - 1, 0, 0).upper


def test_so_many_images_as_it_asks_for_are_enough() -> None:
    small = PairedDrop(500, 5, 3)
    needed = small.images_needed(0.01)
    assert needed is not None
    assert needed > 500
    whole = -(-needed // 500)  # in steps of 500, so that all counts are whole
    assert PairedDrop(500 * whole, 5 * whole, 3 * whole).upper < 0.01
    assert PairedDrop(500 * (whole - 1), 5 * (whole - 1), 3 * (whole - 1)).upper >= 0.01


def test_no_number_of_images_helps_where_the_drop_itself_is_too_large() -> None:
    assert PairedDrop(500, 20, 3).images_needed(0.01) is None


@pytest.mark.parametrize(
    "counts", [(0, 0, 0), (10, -1, 0), (10, 6, 5)], ids=["no image", "negative", "too many"]
)
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="of"):
        PairedDrop(*counts)
