"""Full scans beside the loop: one thread, one scan at a time, never a queue."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

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
    """

    view: FrameView
    track_ids: list[int]
    track_boxes_xyxy: FloatArray
    detections: Detections


class Scanner:
    """Runs a detector in a thread of its own (OpenCV releases the GIL meanwhile)."""

    def __init__(self, detector: Detector, spans: Spans) -> None:
        self._detector, self._spans = detector, spans
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scan")
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
        self._pending = self._pool.submit(self._scan, view, track_ids, track_boxes_xyxy)

    def take(self, *, wait: bool) -> ScanResult | None:
        """The result of the scan under way; None without one, or if it is unfinished and `wait` is False."""
        if self._pending is None or not (wait or self._pending.done()):
            return None
        pending, self._pending = self._pending, None
        return pending.result()

    def close(self) -> None:
        """Ends the thread; a scan under way is finished first."""
        self._pool.shutdown()
        self._pending = None

    def _scan(self, view: FrameView, track_ids: list[int], boxes: FloatArray) -> ScanResult:
        with self._spans.measure("scan"):
            detections = self._detector.detect(view)
        return ScanResult(view, track_ids, boxes, detections)
