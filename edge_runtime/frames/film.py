"""A film as a source: decoded in the background, as fast as it is taken or at its own pace."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from edge_runtime.errors import FrameError, SourceUnavailableError
from edge_runtime.frames.containers import is_cut_short
from edge_runtime.frames.frame import EndOfSource, Frame, SourceCounters
from edge_runtime.frames.pixels import as_bgr, ask_for_grey
from edge_runtime.profiling.spans import Spans

logger = logging.getLogger(__name__)

FRAMES_AHEAD = 3  # enough to decode while the last frame is analysed; 18 MB at 1080p
_DEFAULT_FPS = 25.0
# Containers round their duration, and edit lists hide a few frames at the end of a sound film.
_TOLERATED_SHORTAGE_S = 1.0


class Film:
    """A film file (anything FFmpeg decodes, animated GIF too).

    A thread decodes ahead of the reader, so that decoding overlaps with analysis: OpenCV lets go of the
    interpreter lock while it decodes. By default every frame comes, in order. With `realtime` the film plays
    at its own pace from the first `read` on and, as with a camera, a frame that nobody took is replaced by
    the next and counted as dropped; a decoder slower than the film falls behind its pace.

    Timestamps are the container's, in seconds from the film's start; where it has none, or they step back,
    one nominal frame period is added to the timestamp before.

    Args:
        path: the film.
        camera_id: what the frames are labelled with.
        realtime: play at the film's own pace.
        grey: frames need no colour; where the decoder can leave it out, they have none.
        spans: where decoding times go.

    Attributes:
        is_live: as `realtime`; `read` raises `EndOfSource` at the end of the film all the same.

    Raises:
        SourceUnavailableError: the file is missing, cannot be read, or is no film.
    """

    online = True

    def __init__(
        self,
        path: Path,
        *,
        camera_id: str = "camera",
        realtime: bool = False,
        grey: bool = False,
        spans: Spans | None = None,
    ) -> None:
        self.camera_id = camera_id
        self.is_live = realtime
        self.has_monotonic_clock = False
        self.counters = SourceCounters()
        self._path, self._spans = path, Spans() if spans is None else spans
        self._capture = _open(path)
        self._is_grey = grey and ask_for_grey(self._capture)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._period_s = 1 / fps if math.isfinite(fps) and 0 < fps <= 1000 else 1 / _DEFAULT_FPS
        self._announced_s = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) * self._period_s

        # Everything below is shared with the decoder and guarded by `_changed`.
        self._changed = threading.Condition()
        self._ready: deque[Frame] = deque()
        self._started_s: float | None = None  # monotonic time of the first read
        self._decoded = False
        self._closed = False
        self._decoder = threading.Thread(target=self._decode, name=f"decode {path.name}", daemon=True)
        self._decoder.start()

    def read(self, timeout_s: float = 1.0) -> Frame | None:
        """Takes the next frame; with `realtime` the newest one that was not taken yet.

        Raises:
            EndOfSource: all frames were taken.
            FrameError: the film holds no frame that can be decoded.
            SourceUnavailableError: the source was closed.
        """
        with self._changed:
            if self._started_s is None:
                self._started_s = time.monotonic()
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._ready or self._decoded or self._closed, timeout_s)
            if self._closed:
                raise SourceUnavailableError(str(self._path), "was closed")
            if self._ready:
                self.counters.frames += 1
                frame = self._ready.popleft()
                self._changed.notify_all()
                return frame
            if not self._decoded:
                return None
            if not self.counters.frames:
                raise FrameError(
                    str(self._path),
                    "holds no frame that can be decoded",
                    hint="play it elsewhere, or copy it again",
                )
            raise EndOfSource

    def close(self) -> None:
        """Ends the decoder and closes the file."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._decoder.join(timeout=2.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _decode(self) -> None:
        """The decoder thread; it alone uses the capture, and releases it."""
        end_s, problem = 0.0, ""
        try:
            for frame in self._frames():
                if not self._hand_over(frame):
                    return
                end_s = frame.timestamp_s + self._period_s
            problem = self._missing_part(end_s)
        except (cv2.error, OSError) as exc:
            problem = f"cannot be decoded behind {end_s:.1f} s: {exc}"
        finally:
            self._capture.release()
            with self._changed:
                self.counters.corrupt += bool(problem)
                self._decoded = True
                self._changed.notify_all()
            if problem:
                logger.warning("film %s %s", self._path, problem)

    def _frames(self) -> Iterator[Frame]:
        timestamp_s = -math.inf
        while True:
            with self._spans.measure("decode"):
                if not self._capture.grab():
                    return
                decoded, image = self._capture.retrieve()
            position_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if math.isfinite(position_s) and position_s > timestamp_s:
                timestamp_s = position_s
            else:
                timestamp_s = max(0.0, timestamp_s + self._period_s)
            try:
                if not decoded:
                    raise FrameError(str(self._path), f"the frame at {timestamp_s:.2f} s cannot be decoded")
                pixels = (
                    np.asarray(image, np.uint8) if self._is_grey else as_bgr(image, source=str(self._path))
                )
            except FrameError as exc:
                with self._changed:
                    self.counters.corrupt += 1
                logger.warning("frame skipped: %s", exc)
                continue
            yield Frame(pixels, timestamp_s, self.camera_id)

    def _hand_over(self, frame: Frame) -> bool:
        """Waits until the frame may be had, and offers it; False: the source was closed meanwhile."""
        with self._changed:
            if self.is_live:
                self._wait_until_due(frame.timestamp_s)
                self.counters.dropped += len(self._ready)
                self._ready.clear()
            else:
                self._changed.wait_for(lambda: self._closed or len(self._ready) < FRAMES_AHEAD)
            if not self._closed:
                self._ready.append(frame)
                self._spans.gauge("decoded_ahead", len(self._ready))
                self._changed.notify_all()
            return not self._closed

    def _wait_until_due(self, timestamp_s: float) -> None:
        self._changed.wait_for(lambda: self._closed or self._started_s is not None)
        if self._started_s is not None:
            early_s = self._started_s + timestamp_s - time.monotonic()
            self._changed.wait_for(lambda: self._closed, max(0.0, early_s))

    def _missing_part(self, end_s: float) -> str:
        if is_cut_short(self._path):
            return f"breaks off at {end_s:.1f} s: the file is cut short; copy it again"
        if self._announced_s - end_s > _TOLERATED_SHORTAGE_S:
            return f"breaks off at {end_s:.1f} s of {self._announced_s:.1f} s; copy it again"
        return ""


def _open(path: Path) -> cv2.VideoCapture:
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as exc:
        raise SourceUnavailableError(
            str(path), f"cannot be read: {exc.strerror}", hint="check the path and its permissions"
        ) from exc
    if is_empty:
        raise SourceUnavailableError(str(path), "is empty", hint="copy it again")
    with _quiet_opencv():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise SourceUnavailableError(
            str(path),
            "is no film that FFmpeg can open, or cut so short that its index is missing",
            hint="play it elsewhere, or copy it again; images belong in a folder of their own",
        )
    return capture


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keeps OpenCV and FFmpeg from writing to stderr what is reported as an exception or a counter anyway.

    FFmpeg's level is read once per process, when the first film opens; who sets it in the environment keeps
    it.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
