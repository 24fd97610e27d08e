"""Full scans beside the loop: one thread, one scan at a time.

Cameras of one board may share the thread. Each has at most one scan there, under way or waiting, so they are served in
turn and nothing can pile up.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.detection import Detections, Detector
from edge_runtime.faces.view import FrameView
from edge_runtime.profiling.spans import Spans


@dataclass(frozen=True, slots=True)
class ScanResult:
    """A finished scan.

    Attributes:
        view: the frame that was scanned.
        track_ids: the tracks that were followed when the scan began, (N,) …
        track_boxes_xyxy: … and where they were in that frame, (N, 4).
        detections: what was found in it.
        took_s: from the order to the result, waiting for other cameras' scans included.
    """

    view: FrameView
    track_ids: list[int]
    track_boxes_xyxy: FloatArray
    detections: Detections
    took_s: float


def scan_thread() -> ThreadPoolExecutor:
    """The thread that scans run in."""
    return ThreadPoolExecutor(1, thread_name_prefix="scan")


class Scanner:
    """Runs one camera's detector in the scan thread (OpenCV releases the GIL meanwhile).

    Args:
        detector: used by that thread alone.
        spans: where stage times go.
        thread: that cameras share, see `scan_thread`; None: one of its own.
    """

    def __init__(self, detector: Detector, spans: Spans, thread: Executor | None = None) -> None:
        self._detector, self._spans = detector, spans
        self._is_own = thread is None
        self._thread = scan_thread() if thread is None else thread
        self._pending: Future[ScanResult] | None = None

    @property
    def busy(self) -> bool:
        """Whether a scan was begun whose result was not taken yet."""
        return self._pending is not None

    def begin(self, view: FrameView, track_ids: list[int], track_boxes_xyxy: FloatArray) -> None:
        """Starts a scan; the one before must have been taken."""
        if self._pending is not None:
            raise RuntimeError("a scan is under way; take its result first")
        self._detector.prepare(view)  # here, so that two threads do not make the same image
        self._pending = self._thread.submit(self._scan, view, track_ids, track_boxes_xyxy, perf_counter())

    def take(self, *, wait: bool) -> ScanResult | None:
        """The result of the scan under way; None without one, or if it is unfinished and `wait` is False."""
        if self._pending is None or not (wait or self._pending.done()):
            return None
        pending, self._pending = self._pending, None
        return pending.result()

    def close(self) -> None:
        """Ends its own thread; a scan under way is finished first."""
        if self._pending is not None and not self._pending.cancel():
            self._pending.exception()  # waited for: its frame must not outlive the camera
        self._pending = None
        if self._is_own:
            self._thread.shutdown()

    def _scan(self, view: FrameView, track_ids: list[int], boxes: FloatArray, ordered_s: float) -> ScanResult:
        with self._spans.measure("scan"):
            detections = self._detector.detect(view)
        return ScanResult(view, track_ids, boxes, detections, perf_counter() - ordered_s)
