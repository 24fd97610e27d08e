"""One frame in the forms that the stages of face finding need, each made once and shared."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from edge_runtime.frames.frame import Frame, Image


class FrameView:
    """A frame, its grey image, and smaller grey images; the latter are made when first asked for.

    Not thread-safe while a form is made for the first time.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._smaller: dict[tuple[int, int], tuple[Image, float]] = {}  # (times halved, width) → image, scale

    @property
    def timestamp_s(self) -> float:
        """Of the frame."""
        return self.frame.timestamp_s

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the frame."""
        return self.frame.size

    @cached_property
    def grey(self) -> Image:
        """(H, W) uint8."""
        return self.frame.image_grey

    def octaves(self, width_px: int, count: int) -> list[tuple[Image, float]]:
        """`grey_within` this width, and that image halved again and again: `count` images with their scales."""
        images = [self.grey_within(width_px)]
        while len(images) < count:
            before, scale = images[-1]
            key = len(images), width_px
            if key not in self._smaller:
                size = max(1, before.shape[1] // 2), max(1, before.shape[0] // 2)
                halved = np.asarray(cv2.resize(before, size, interpolation=cv2.INTER_AREA), np.uint8)
                self._smaller[key] = halved, scale * size[0] / before.shape[1]
            images.append(self._smaller[key])
        return images

    def grey_within(self, width_px: int) -> tuple[Image, float]:
        """The grey image shrunk to at most this width, and its scale against the frame, in (0, 1]."""
        key = 0, width_px
        if key not in self._smaller:
            scale = min(1.0, width_px / self.shape[1])
            image = self.grey
            if scale < 1:
                size = (width_px, max(1, round(self.shape[0] * scale)))
                # Averaging areas is fast for whole ratios only.
                method = cv2.INTER_AREA if scale == 0.5 else cv2.INTER_LINEAR
                image = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
            self._smaller[key] = image, scale
        return self._smaller[key]
