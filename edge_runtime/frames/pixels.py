"""Whatever a decoder returns, as one of the two image forms of this project: (H, W, 3) uint8 in BGR order, or grey."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import FrameError
from edge_runtime.frames.frame import Image

# Colour where there is colour, 16 bits where there are 16 bits, and turned upright as the EXIF orientation
# says (IMREAD_UNCHANGED would leave a telephone's portrait photo lying on its side).
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH


def as_bgr(image: npt.NDArray[Any], *, source: str = "image") -> Image:
    """Turns a decoded image into contiguous BGR bytes.

    Grey becomes three equal channels, alpha is dropped without blending, and 16-bit values are scaled by the
    range of their type (65535 → 255), never by the brightest pixel: the same light gives the same value in
    every frame.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.
        source: what to call the image in an error.

    Returns:
        (H, W, 3) uint8, contiguous; `image` itself, not a copy, where it is that already.

    Raises:
        FrameError: the image is empty, of another shape or of another type.
    """
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))
    if not shaped or image.size == 0 or image.dtype not in (np.uint8, np.uint16):
        raise FrameError(
            source,
            f"is {image.shape} {image.dtype}, not a grey, BGR or BGRA image of 8 or 16 bits",
            hint="an image has at least one pixel and the axes (rows, columns, channels)",
        )
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[:, :, :3])


def ask_for_grey(capture: cv2.VideoCapture) -> bool:
    """Has FFmpeg hand out the brightness plane of the video itself, (H, W) uint8, where it has one of 8 bits.

    That saves two conversions of colours, YUV to BGR and BGR to grey: half of what decoding 1080p costs.

    Returns:
        Whether it will; other videos come in BGR as usual.
    """
    pixel_format = int(capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT))
    if pixel_format.to_bytes(4, "little", signed=True) != b"I420":
        return False
    # OpenCV warns at each frame that it takes the first plane for the picture, which is what we want.
    cv2.utils.logging.setLogLevel(min(cv2.utils.logging.getLogLevel(), cv2.utils.logging.LOG_LEVEL_ERROR))
    return capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)


def read_image(path: Path) -> Image:
    """Reads an image file of any format that OpenCV decodes; any character may stand in its name.

    Returns:
        (H, W, 3) uint8 in BGR order, upright.

    Raises:
        FrameError: the file cannot be read, is empty, cut short, or no image.
    """
    try:
        encoded = np.fromfile(path, np.uint8)
    except OSError as exc:
        raise FrameError(str(path), f"cannot be read: {exc.strerror}") from exc
    if encoded.size == 0:
        raise FrameError(str(path), "is empty", hint="copy it again")
    try:
        image = cv2.imdecode(encoded, _AS_STORED)
    except cv2.error as exc:  # among others: more than 2³⁰ pixels
        raise FrameError(str(path), f"cannot be decoded: {exc.err}") from exc
    if image is None:
        raise FrameError(
            str(path), "is cut short or no image", hint="open it in an image viewer, or copy it again"
        )
    return as_bgr(image, source=str(path))
