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
        self._smaller: dict[int, tuple[Image, float]] = {}

    @property
    def timestamp_s(self) -> float:
        """Of the frame."""
        return self.frame.timestamp_s

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the frame."""
        return self.frame.image_bgr.shape[0], self.frame.image_bgr.shape[1]

    @cached_property
    def grey(self) -> Image:
        """(H, W) uint8."""
        return np.asarray(cv2.cvtColor(self.frame.image_bgr, cv2.COLOR_BGR2GRAY), np.uint8)

    def grey_within(self, width_px: int) -> tuple[Image, float]:
        """The grey image shrunk to at most this width, and its scale against the frame, in (0, 1]."""
        if width_px not in self._smaller:
            scale = min(1.0, width_px / self.shape[1])
            image = self.grey
            if scale < 1:
                size = (width_px, max(1, round(self.shape[0] * scale)))
                # Averaging areas is fast for whole ratios only.
                method = cv2.INTER_AREA if scale == 0.5 else cv2.INTER_LINEAR
                image = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
            self._smaller[width_px] = image, scale
        return self._smaller[width_px]
