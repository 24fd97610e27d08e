"""Alignment: the pupils land where the template says, at any turn and scale, without aliasing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.faces.alignment import (
    LOOSE_TEMPLATE,
    P1_TEMPLATE,
    AlignmentTemplate,
    align,
    boxes_around,
    default_pupils,
    similarity,
)


def pupils_at(middle, distance, angle_deg):
    half = distance / 2 * np.array([np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))])
    return np.array([middle - half, middle + half], np.float32)


def textured(height, width, seed=1, smooth=2.0):
    noise = np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), smooth)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def brightest(crop, around, radius):
    """The centre of gravity of the brightest spot in a neighbourhood, (x, y)."""
    x, y = (int(v) for v in around)
    part = crop[y - radius : y + radius + 1, x - radius : x + radius + 1].astype(np.float64)
    part = np.maximum(part - 0.6 * part.max(), 0)
    rows, columns = np.mgrid[y - radius : y + radius + 1, x - radius : x + radius + 1]
    return np.array([(part * columns).sum(), (part * rows).sum()]) / part.sum()


@pytest.mark.parametrize("template", [P1_TEMPLATE, LOOSE_TEMPLATE], ids=lambda template: template.name)
@pytest.mark.parametrize("seed", range(8))
def test_dots_drawn_on_the_pupils_land_on_the_templates_places(template, seed):
    rng = np.random.default_rng(seed)
    distance, angle = rng.uniform(20, 260), rng.uniform(-60, 60)
    pair = pupils_at(rng.uniform(380, 420, 2), distance, angle)
    image = np.full((800, 800), 20, np.uint8)
    for x, y in pair.astype(np.float64):
        # Four bits of sub-pixel position; as large as a pupil, so that the dot survives the shrinking.
        cv2.circle(
            image, (round(x * 16), round(y * 16)), round(distance * 16 * 0.06), 255, -1, cv2.LINE_AA, 4
        )
    (crop,) = align(image, pair[None], template)
    for x in (template.pupil_x_px, template.size_px - template.pupil_x_px):
        place = np.array([x, template.pupil_y_px])
        assert np.abs(brightest(crop, place, 7) - place).max() < 0.5


def test_the_crop_of_paper_1_is_two_pupil_distances_wide_and_high():
    d = 100.0
    matrix = similarity(pupils_at(np.array([300.0, 200.0]), d, 0)[None], P1_TEMPLATE)[0].astype(np.float64)
    corners = {  # in the image → in the crop: d to each side of the middle, 0.5 d above, 1.5 d below the line
        (300 - d, 200 - 0.5 * d): (0, 0),
        (300 + d, 200 - 0.5 * d): (96, 0),
        (300 - d, 200 + 1.5 * d): (0, 96),
        (300 + d, 200 + 1.5 * d): (96, 96),
        (300 - d / 2, 200): (24, 24),
        (300 + d / 2, 200): (72, 24),
    }
    for there, here in corners.items():
        np.testing.assert_allclose(matrix @ [*there, 1], here, atol=1e-3)


@pytest.mark.parametrize("angle", [-90, -30, 0, 17, 45, 179])
def test_the_transform_turns_and_scales_but_neither_shears_nor_mirrors(angle):
    linear = similarity(pupils_at(np.array([50.0, 60.0]), 31.0, angle)[None], P1_TEMPLATE)[0, :, :2]
    scale = 48 / 31
    np.testing.assert_allclose(linear @ linear.T, scale**2 * np.eye(2), atol=1e-4)
    assert np.linalg.det(linear) == pytest.approx(scale**2, rel=1e-4)


@pytest.mark.parametrize("angle", [0, 20])
def test_the_crop_is_opencvs_warp_equalised(angle):
    image, pair = textured(300, 300), pupils_at(np.array([150.0, 140.0]), 60.0, angle)
    (crop,) = align(image, pair[None])
    # The same three correspondences, solved by OpenCV: both pupils, and the point d below the middle.
    down = np.array([-(pair[1] - pair[0])[1], (pair[1] - pair[0])[0]])
    three = np.stack([pair[0], pair[1], pair.mean(0) + down]).astype(np.float32)
    matrix = cv2.getAffineTransform(three, np.array([[24, 24], [72, 24], [48, 72]], np.float32))
    expected = cv2.equalizeHist(cv2.warpAffine(image, matrix, (96, 96), borderMode=cv2.BORDER_REPLICATE))
    assert np.abs(crop.astype(int) - expected).mean() < 1
    np.testing.assert_array_equal(cv2.equalizeHist(crop) >= 128, crop >= 128)


@pytest.mark.parametrize("factor", [3, 5, 8])
@pytest.mark.parametrize("fineness", [0.0, 3.0], ids=["noise", "structure"])
def test_large_faces_shrink_like_area_averages_and_not_by_leaving_out_pixels(factor, fineness):
    side = 96 * factor
    image = textured(side, side, smooth=max(fineness, 0.3))
    # Pupils such that the crop is the whole image; crop pixel centres lie on the centres of factor² blocks.
    first = np.array([24, 24]) * factor + (factor - 1) / 2
    pair = np.array([first, first + np.array([48 * factor, 0])], np.float32)
    (crop,) = align(image, pair[None])
    reference = cv2.equalizeHist(cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA))
    naive = cv2.equalizeHist(np.ascontiguousarray(image[factor // 2 :: factor, factor // 2 :: factor]))
    inner = np.s_[4:-4, 4:-4]

    def correlation(first_crop, second_crop):
        return np.corrcoef(first_crop[inner].ravel(), second_crop[inner].ravel())[0, 1]

    assert correlation(crop, reference) > 0.85  # the average of 64 noisy pixels has few grey levels left
    if fineness == 0:
        assert correlation(crop, reference) > correlation(naive, reference) + 0.2


def test_nobody_gives_no_crops():
    assert align(np.zeros((50, 50), np.uint8), np.empty((0, 2, 2), np.float32)).shape == (0, 96, 96)


def test_crops_are_written_in_place_where_a_place_is_given():
    image = textured(200, 200)
    pairs = np.stack([pupils_at(np.array([100.0, 90.0]), d, 0) for d in (30.0, 50.0)])
    batch = np.full((5, 96, 96), 7, np.uint8)
    crops = align(image, pairs, out=batch)
    assert np.shares_memory(crops, batch)
    np.testing.assert_array_equal(batch[:2], align(image, pairs))
    assert (batch[2:] == 7).all()


@pytest.mark.parametrize(
    "out",
    [np.empty((1, 96, 96), np.uint8), np.empty((2, 64, 64), np.uint8), np.empty((2, 96, 96), np.float32)],
    ids=["too few", "another size", "another type"],
)
def test_a_place_that_does_not_fit_is_refused(out):
    pairs = np.stack([pupils_at(np.array([100.0, 90.0]), 30.0, 0)] * 2)
    with pytest.raises(ValueError, match="needed is"):
        align(textured(200, 200), pairs, out=out)


@pytest.mark.parametrize("middle", [(-500, 50), (50, -500), (700, 50), (50, 700), (0, 0), (199, 199)])
@pytest.mark.parametrize("distance", [20.0, 300.0])
def test_a_face_at_or_beyond_the_border_continues_the_border(middle, distance):
    crops = align(textured(200, 200), pupils_at(np.array(middle, float), distance, 10)[None])
    assert crops.shape == (1, 96, 96)


@pytest.mark.parametrize(
    "bad", [{"pupil_x_px": 48}, {"pupil_x_px": 0}, {"pupil_y_px": 96}, {"pupil_y_px": -1}]
)
def test_a_template_whose_pupils_are_swapped_or_outside_is_refused(bad):
    with pytest.raises(ValueError, match="middle"):
        AlignmentTemplate(**bad)


def test_default_pupils_lie_level_and_symmetric_in_the_box():
    boxes = np.array([[100, 50, 300, 250], [0, 0, 20, 20]], np.float32)
    pupils = default_pupils(boxes)
    np.testing.assert_allclose(pupils.mean(axis=1)[:, 0], [200, 10])
    np.testing.assert_allclose(pupils[0], [[163, 131], [237, 131]], atol=0.01)  # 0.315, 0.685; 0.405 of 200
    assert default_pupils(np.empty((0, 4), np.float32)).shape == (0, 2, 2)


def test_the_box_around_pupils_has_them_for_its_default_ones():
    boxes = np.array([[10, 20, 90, 100], [-5, 3, 25, 33]], np.float32)
    np.testing.assert_allclose(boxes_around(default_pupils(boxes)), boxes, atol=1e-3)
    assert boxes_around(np.empty((0, 2, 2), np.float32)).shape == (0, 4)
