"""Every image form that a decoder may return, and files that are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import FrameError
from edge_runtime.frames.pixels import as_bgr, read_image

BGR = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
GREY = BGR[:, :, 0]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(BGR, BGR, id="BGR"),
        pytest.param(GREY, cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR), id="grey 2-D"),
        pytest.param(GREY[:, :, None], cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR), id="grey with a channel axis"),
        pytest.param(cv2.cvtColor(BGR, cv2.COLOR_BGR2BGRA), BGR, id="BGRA"),
        pytest.param(BGR.astype(np.uint16) * 257, BGR, id="16-bit BGR over the type's whole range"),
        pytest.param(cv2.cvtColor(BGR.astype(np.uint16) * 257, cv2.COLOR_BGR2BGRA), BGR, id="16-bit BGRA"),
        pytest.param(
            np.array([[0, 128, 129, 65535]], np.uint16),
            [[[0] * 3, [0] * 3, [1] * 3, [255] * 3]],
            id="16-bit grey, rounded",
        ),
        pytest.param(np.full((1, 1), 7, np.uint8), [[[7, 7, 7]]], id="one pixel"),
        pytest.param(BGR[:, ::2], BGR[:, ::2], id="a view that is not contiguous"),
    ],
)
def test_an_image_of_8_or_16_bits_becomes_contiguous_bgr_bytes(image, expected):
    converted = as_bgr(image)

    assert converted.dtype == np.uint8
    assert converted.flags.c_contiguous
    np.testing.assert_array_equal(converted, expected)


def test_an_image_that_is_bgr_already_is_not_copied():
    assert as_bgr(BGR) is BGR or np.shares_memory(as_bgr(BGR), BGR)


def test_the_scale_of_16_bits_does_not_depend_on_the_brightest_pixel():
    dark = np.full((2, 2), 4 * 257, np.uint16)
    bright = dark.copy()
    bright[0, 0] = 65535

    assert as_bgr(dark)[1, 1, 0] == as_bgr(bright)[1, 1, 0] == 4


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((0, 4, 3), np.uint8), id="no row"),
        pytest.param(np.zeros((4, 0), np.uint8), id="no column"),
        pytest.param(np.zeros((4, 4, 2), np.uint8), id="two channels"),
        pytest.param(np.zeros(4, np.uint8), id="one axis"),
        pytest.param(np.zeros((1, 4, 4, 3), np.uint8), id="a batch"),
        pytest.param(np.zeros((4, 4, 3), np.float32), id="float"),
        pytest.param(np.zeros((4, 4, 3), np.int8), id="signed"),
    ],
)
def test_anything_else_is_refused_by_its_shape_and_type(image):
    with pytest.raises(FrameError, match="not a grey, BGR or BGRA image") as caught:
        as_bgr(image, source="door camera")

    assert caught.value.source == "door camera"
    assert str(image.shape) in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_an_image_with_any_name_is_read(tmp_path: Path, suffix):
    path = tmp_path / f"Ångström 教室 #1{suffix}"
    path.write_bytes(cv2.imencode(suffix, np.full((8, 6, 3), 200, np.uint8))[1].tobytes())

    image = read_image(path)

    assert image.shape == (8, 6, 3)
    assert abs(int(image.mean()) - 200) <= 2


def test_a_photo_is_turned_upright_as_its_exif_orientation_says(tmp_path: Path):
    jpeg = cv2.imencode(".jpg", np.zeros((8, 16, 3), np.uint8))[1].tobytes()
    # APP1 with one TIFF entry: tag 0x0112 (orientation), SHORT, value 6: turn right by 90° (Exif 2.32 §4.6.4)
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    path = tmp_path / "portrait.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])

    assert read_image(path).shape == (16, 8, 3)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "is empty", id="empty file"),
        pytest.param(b"this is no image", "cut short or no image", id="text"),
        pytest.param(
            cv2.imencode(".png", np.eye(99, dtype=np.uint8))[1].tobytes()[:60],
            "cut short or no image",
            id="cut png",
        ),
    ],
)
def test_a_file_that_is_no_image_is_refused_by_name(tmp_path: Path, content, problem):
    path = tmp_path / "broken.png"
    path.write_bytes(content)

    with pytest.raises(FrameError, match=problem) as caught:
        read_image(path)

    assert "broken.png" in str(caught.value)
    assert caught.value.hint


def test_a_missing_file_is_refused_with_the_systems_reason(tmp_path: Path):
    with pytest.raises(FrameError, match="No such file"):
        read_image(tmp_path / "gone.png")
