from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from edge_runtime.faces.alignment import LOOSE_TEMPLATE, P1_TEMPLATE
from edge_runtime.features.landmark_table import REGIONS
from edge_runtime.features.lbp import BINS, LENGTH, lbp

TEMPLATES = {"p1": P1_TEMPLATE, "loose": LOOSE_TEMPLATE}


def by_hand(crop: np.ndarray, template) -> np.ndarray:
    """P1 eqs 9–11 pixel by pixel, and the uniform patterns of Ojala et al. 2002 by their definition."""
    rows = []
    span = template.size_px - 2 * template.pupil_x_px
    ring = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    uniform = [p for p in range(256) if sum(p >> u & 1 != p >> (u + 1) % 8 & 1 for u in range(8)) <= 2]
    for region in REGIONS:
        x0, y0, x1, y1 = region.box
        counts, pixels = np.zeros(59), 0
        for y in range(1, 95):
            for x in range(1, 95):
                u, v = (x - 48) / span, (y - template.pupil_y_px) / span
                if not (x0 <= u < x1 and y0 <= v < y1):
                    continue
                pattern = sum(
                    2**number * (int(crop[y + dy, x + dx]) - int(crop[y, x]) >= 0)
                    for number, (dy, dx) in enumerate(ring)
                )
                counts[uniform.index(pattern) if pattern in uniform else 58] += 1
                pixels += 1
        rows.append(counts / pixels)
    return np.concatenate(rows)


@pytest.fixture
def crops() -> np.ndarray:
    noise = np.random.default_rng(4).integers(0, 256, (3, 24, 24), np.uint8)
    blocks = noise.repeat(4, 1).repeat(4, 2)
    return (blocks // 2 + np.random.default_rng(5).integers(0, 30, blocks.shape)).astype(np.uint8)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))
def test_histograms_are_those_of_the_papers_equations(crops, template):
    found = lbp(crops, template)
    for row, crop in zip(found, crops, strict=True):
        assert_allclose(row, by_hand(crop, template), atol=1e-6)


def test_seven_histograms_of_59_patterns_each_sum_to_one(crops):
    found = lbp(crops, LOOSE_TEMPLATE)
    assert found.shape == (3, LENGTH) == (3, 7 * 59)
    assert found.dtype == np.float32
    assert_allclose(found.reshape(3, 7, BINS).sum(axis=2), 1, rtol=1e-5)


def test_a_crop_does_not_depend_on_its_neighbours(crops):
    together = lbp(crops, P1_TEMPLATE)
    for row, crop in enumerate(crops):
        assert_array_equal(lbp(crop[None], P1_TEMPLATE)[0], together[row])
    assert lbp(crops[:0], P1_TEMPLATE).shape == (0, LENGTH)


def test_light_that_brightens_all_of_a_face_changes_nothing(crops):
    assert_array_equal(lbp(crops + 60, P1_TEMPLATE), lbp(crops, P1_TEMPLATE))


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))
def test_what_changes_at_the_mouth_changes_the_mouths_histogram_alone(crops, template):
    span = template.size_px - 2 * template.pupil_x_px
    top, bottom = (round(template.pupil_y_px + span * part) for part in (1.02, 1.2))
    left, right = (round(48 + span * part) for part in (-0.3, 0.3))
    changed = crops.copy()
    changed[:, top:bottom, left:right] = 0
    differs = (lbp(changed, template) != lbp(crops, template)).reshape(3, 7, BINS).any(axis=(0, 2))
    assert [region.name for region, differ in zip(REGIONS, differs, strict=True) if differ] == ["mouth"]


def test_crops_of_another_size_have_regions_in_proportion(crops):
    assert_allclose(lbp(crops[:, ::2, ::2].copy(), P1_TEMPLATE).reshape(3, 7, BINS).sum(axis=2), 1, rtol=1e-5)


def test_memory_that_is_not_in_one_piece_is_read(crops):
    view = np.repeat(crops, 2, axis=0)[::2]
    assert_array_equal(lbp(view, P1_TEMPLATE), lbp(crops, P1_TEMPLATE))
