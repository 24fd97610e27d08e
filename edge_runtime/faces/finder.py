"""From frames to the faces of the moment: scan now and then, follow in between, doubt what the flow doubts.

    every 1/scan_rate      a full scan begins in its own thread
    when it is finished    its boxes are carried to the present frame and matched with the tracks
    every 1/follow_rate    tracks are followed by optical flow (or by the local cascade)
    on suspicion           the local cascade looks: new tracks, tracks that the flow or the scan lost, hidden
    tracks

With a camera the scan's result is taken when it is there; nothing waits. With a file it is taken when the
next scan is due, waiting if need be: frames may come faster than in life, and the outcome should not depend on
how fast this machine is.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from edge_runtime.config import FacesSection
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.detection import make_detector
from edge_runtime.faces.following import BoolArray, LocalSearch, follow_by_flow
from edge_runtime.faces.scanning import Scanner, ScanResult
from edge_runtime.faces.tracking import Track, Tracker
from edge_runtime.faces.view import FrameView
from edge_runtime.pacing import Beat, Rates
from edge_runtime.profiling.spans import Spans

_RETRY_HIDDEN_S: Final = 0.2
# The scan's cascade takes a cupboard for a face in each scan; so the other one is asked again, and ten scans
# without its agreement make a track tentative again.
_LOOK_AGAIN_S: Final = 5.0
_LOSE_TRUST_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of one frame, as parallel arrays; N = 0 is legal.

    Attributes:
        track_ids: (N,) int64; in memory only, never in an event.
        boxes_xyxy: (N, 4) float32 in pixels of the frame, as the frontal Haar cascade draws them; may reach
            outside.
        age_s: (N,) float64, since the track was born.
    """

    track_ids: npt.NDArray[np.int64]
    boxes_xyxy: FloatArray
    age_s: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.track_ids)

    def only(self, mask: BoolArray) -> Faces:
        """Those for which the (N,) mask is true."""
        return Faces(self.track_ids[mask], self.boxes_xyxy[mask], self.age_s[mask])

    @property
    def widths_px(self) -> FloatArray:
        """(N,) float32 widths of the boxes."""
        return self.boxes_xyxy[:, 2] - self.boxes_xyxy[:, 0]


@dataclass(slots=True)
class FinderCounters:
    """How much work was done: full scans finished and what they took in all, tracks ever begun, local searches."""

    scans: int = 0
    scans_took_s: float = 0.0
    tracks_begun: int = 0
    searches: int = 0


class FaceFinder:
    """Finds and follows the faces of one camera. Context manager: it owns the scan's thread, if it is its own.

    Args:
        settings: of the section `[faces]`.
        waits_for_scans: True for files (see the module's words), False for cameras.
        spans: where stage times go.
        scan_thread: that cameras share; None: one of its own.
    """

    def __init__(
        self,
        settings: FacesSection,
        *,
        waits_for_scans: bool,
        spans: Spans | None = None,
        scan_thread: Executor | None = None,
    ) -> None:
        self.settings, self.waits_for_scans = settings, waits_for_scans
        self.spans = Spans() if spans is None else spans
        self.counters = FinderCounters()
        self._scanner = Scanner(make_detector(self.settings), self.spans, scan_thread)
        self._search = LocalSearch()
        self._tracker = Tracker(self.settings.lose_after_s)
        self._scan_beat = Beat(1 / self.settings.scan_rate_hz)
        self._follow_beat = Beat(1 / self.settings.follow_rate_hz)
        self._retry_beat = Beat(_RETRY_HIDDEN_S)
        self._slowed_s = 0.0  # between scans, while they are fewer than configured
        self._before: FrameView | None = None
        self._is_first = True

    def find(self, view: FrameView) -> Faces:
        """The faces of this frame.

        Args:
            view: of a frame not older than the one before; its size may have changed, then all tracks end.
        """
        now_s = view.timestamp_s
        if self._before is not None and self._before.shape != view.shape:
            self.reset()
        if not self._follow_beat.strikes(now_s):
            # Scans, too, begin and end on follow steps, so that all boxes are of one time.
            return self._report(now_s)
        if self._before is not None:
            with self.spans.measure("follow"):
                self._follow(self._before, view)
        self._before = view
        self._take_scan(view)
        if not self._scanner.busy and self._scan_beat.strikes(now_s):
            tracks = self._tracker.tracks
            with self.spans.measure("prepare"):
                self._scanner.begin(view, [track.id for track in tracks], self._tracker.boxes())
            if self._is_first:
                self._take_scan(view, at_once=True)  # the first faces appear with the first frame
                self._is_first = False
        self._tracker.forget(now_s, view.shape)
        return self._report(now_s)

    def set_rates(self, rates: Rates) -> None:
        """Scans and follows at other rates than the configured ones from now on."""
        self._slowed_s = 1 / rates.scan_hz if rates.scan_hz < self.settings.scan_rate_hz else 0.0
        self._scan_beat.change(1 / rates.scan_hz)
        self._follow_beat.change(1 / rates.follow_hz)
        self._tracker.lose_after_s = self._patience_s(0.0)

    def is_due(self, now_s: float) -> bool:
        """Whether a frame of this time is looked at; one between two follow steps is not."""
        return self._follow_beat.is_due(now_s)

    def set_phase(self, phase: float) -> None:
        """Where its scans lie among those of other cameras; see `Beat.phase`."""
        self._scan_beat.phase = phase

    def _patience_s(self, scan_age_s: float) -> float:
        """How long a track lives without a scan that confirms it; longer where scans are slow or slowed down."""
        return max(self.settings.lose_after_s, 2 * max(scan_age_s, self._slowed_s))

    def reset(self) -> None:
        """Forgets every face; for a shutter, a new size, or a camera that was away."""
        self._scanner.take(wait=True)
        self._tracker.tracks.clear()
        self._before = None
        self._is_first = True
        for beat in (self._scan_beat, self._follow_beat, self._retry_beat):
            beat.reset()

    def known_ids(self) -> npt.NDArray[np.int64]:
        """(M,) int64 ids of all tracks that are not forgotten, also of those out of sight at present."""
        return np.array([track.id for track in self._tracker.tracks], np.int64)

    def close(self) -> None:
        """Ends the scan's thread."""
        self._scanner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _follow(self, before: FrameView, view: FrameView) -> None:
        visible = [track for track in self._tracker.tracks if track.visible]
        boxes = self._tracker.boxes(visible)
        if self.settings.follow == "flow":
            moved, kept = follow_by_flow(before, view, boxes)
        else:
            moved, kept = self._look(view, boxes)
        for track, box, ok in zip(visible, moved, kept, strict=True):
            if not ok:
                track.hide(view.timestamp_s)
            elif self.settings.follow == "flow":
                track.box_xyxy = box
            else:
                self._tracker.confirm(track, box, view.timestamp_s)
        lost = [track for track, ok in zip(visible, kept, strict=True) if not ok]
        suspects = lost if self.settings.follow == "flow" else []
        suspects += [track for track in visible if track.tentative and track.visible]
        if self._retry_beat.strikes(view.timestamp_s):
            suspects += [
                track
                for track in self._tracker.tracks
                if not track.visible and track.is_worth_a_look and track not in lost
            ]
        self._examine(suspects, view)

    def _examine(self, suspects: list[Track], view: FrameView) -> None:
        """A second look at each suspect: found, it is confirmed; not found, a tentative one is hidden."""
        boxes, found = self._look(view, self._tracker.boxes(suspects))
        for track, box, ok in zip(suspects, boxes, found, strict=True):
            if ok:
                self._tracker.confirm(track, box, view.timestamp_s)
                track.agree(view.timestamp_s)
            elif track.tentative:
                track.hide(view.timestamp_s)

    def _look(self, view: FrameView, boxes: FloatArray) -> tuple[FloatArray, BoolArray]:
        self.counters.searches += len(boxes)
        return self._search.find(view.grey, boxes)

    def _take_scan(self, view: FrameView, *, at_once: bool = False) -> None:
        if self.waits_for_scans and not at_once and not self._scan_beat.is_due(view.timestamp_s):
            return
        with self.spans.measure("scan_wait"):
            result = self._scanner.take(wait=self.waits_for_scans or at_once)
        if result is not None and result.view.shape == view.shape:
            self.counters.scans += 1
            self.counters.scans_took_s += result.took_s
            with self.spans.measure("confirm"):
                self._apply(result, view)

    def _apply(self, result: ScanResult, view: FrameView) -> None:
        now_s = view.timestamp_s
        # On a slow board a scan takes long; what it is about to confirm must not be forgotten meanwhile.
        self._tracker.lose_after_s = self._patience_s(now_s - result.view.timestamp_s)
        then = dict(zip(result.track_ids, result.track_boxes_xyxy, strict=True))
        missed = dict(then)
        new = self._tracker.apply_scan(result.detections.boxes_xyxy, missed, result.view.timestamp_s)
        if result.view is not view and len(new):
            carried, kept = follow_by_flow(result.view, view, new)
            new = carried[kept]
        begun = self._tracker.add(new, now_s)
        if result.detections.is_certain:
            for track in self._tracker.tracks:
                if track.id not in missed:
                    track.agree(now_s)
        self.counters.tracks_begun += len(begun)
        unseen = [track for track in self._tracker.tracks if track.id in missed and track.is_worth_a_look]
        seen = [track for track in self._tracker.tracks if track.id in then and track.id not in missed]
        doubtful = [track for track in seen if now_s - track.agreed_s >= _LOOK_AGAIN_S]
        self._examine(begun + unseen + doubtful, view)
        for track in doubtful:
            track.tentative |= now_s - track.agreed_s >= _LOSE_TRUST_S
        self._tracker.forget_doubles()

    def _report(self, now_s: float) -> Faces:
        tracks = self._tracker.reported()
        return Faces(
            np.array([track.id for track in tracks], np.int64),
            self._tracker.boxes(tracks),
            np.array([now_s - track.born_s for track in tracks], np.float64),
        )
