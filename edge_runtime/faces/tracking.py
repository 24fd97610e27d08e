"""Tracks: the same face from frame to frame, as an id that lives in memory and dies with the process.

A track is *tentative* until a second cascade agrees with the scan, *visible* while scan, flow or local search
keep finding it, and *hidden* when they do not; it is forgotten `lose_after_s` after it was last confirmed by
a cascade. Flow alone drifts, so it moves a track but never confirms it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.detection import intersection_over_union

_SAME_FACE_IOU: Final = 0.3
_DOUBLE_IOU: Final = 0.5


@dataclass(slots=True, eq=False)  # a track is itself, whatever its box
class Track:
    """One followed face; see the module's words for its states.

    Attributes:
        id: unique in this tracker.
        box_xyxy: (4,) float32, where it is now.
        born_s, confirmed_s: when it was first found and last confirmed by a cascade, on the capture clock.
        visible: it is in the picture now.
        hidden_s: when it last ceased to be.
        agreed_s: when the second cascade (or a detector that is certain) last took it for a face.
        tentative: nothing has agreed with the first look yet, or not for long.
    """

    id: int
    box_xyxy: FloatArray
    born_s: float
    confirmed_s: float
    visible: bool = True
    hidden_s: float = -math.inf
    agreed_s: float = -math.inf
    tentative: bool = True

    @property
    def is_worth_a_look(self) -> bool:
        """Whether a second cascade may be asked for it: what it denied before needs another hit of the scan first."""
        return self.visible or not self.tentative

    def agree(self, now_s: float) -> None:
        """A second look took it for a face too."""
        self.agreed_s, self.tentative = now_s, False

    def hide(self, now_s: float) -> None:
        """It is not in the picture any more."""
        if self.visible:
            self.visible, self.hidden_s = False, now_s


@dataclass(slots=True)
class Tracker:
    """The set of tracks of one camera, and the rules by which they are matched, moved and forgotten.

    Attributes:
        lose_after_s: a track that no cascade confirmed for so long is forgotten.
        tracks: in the order of birth.
    """

    lose_after_s: float
    tracks: list[Track] = field(default_factory=list)
    _ids: count[int] = field(default_factory=lambda: count(1))

    def boxes(self, tracks: list[Track] | None = None) -> FloatArray:
        """(N, 4) float32 boxes of the given tracks, or of all."""
        chosen = self.tracks if tracks is None else tracks
        return np.array([track.box_xyxy for track in chosen], np.float32).reshape(-1, 4)

    def reported(self) -> list[Track]:
        """The tracks that count as faces of this frame: confirmed and visible."""
        return [track for track in self.tracks if track.visible and not track.tentative]

    def apply_scan(self, detected: FloatArray, then: dict[int, FloatArray], scanned_s: float) -> FloatArray:
        """Matches a scan's boxes with where the tracks were in the scanned frame, and corrects the tracks.

        Args:
            detected: (M, 4) float32 boxes in the scanned frame.
            then: track id → its box in the scanned frame; the ids that were matched are taken out of it.
            scanned_s: time of the scanned frame; a track that was lost since is not found again by it.

        Returns:
            (U, 4) float32: the detected boxes that belong to no track.
        """
        known = [track for track in self.tracks if track.id in then]
        if not known or not len(detected):
            return detected
        overlap = intersection_over_union(np.array([then[track.id] for track in known], np.float32), detected)
        free = np.ones(len(detected), np.bool_)
        for flat in np.argsort(-overlap, axis=None):
            row, column = divmod(int(flat), len(detected))
            if overlap[row, column] < _SAME_FACE_IOU:
                break
            track = known[row]
            if not free[column] or track.id not in then:
                continue
            free[column] = False
            moved_since = track.box_xyxy - then.pop(track.id)
            if track.visible or track.hidden_s <= scanned_s:
                self.confirm(track, detected[column] + moved_since, scanned_s)
        return detected[free]

    def confirm(self, track: Track, box: FloatArray, now_s: float) -> None:
        """A cascade saw this track at `box`: its place is taken over, its flickering size is averaged."""
        middle, old_half = (box[:2] + box[2:]) / 2, (track.box_xyxy[2:] - track.box_xyxy[:2]) / 2
        half = (box[2:] - box[:2]) / 2
        if track.visible:
            half = 0.5 * half + 0.5 * old_half
        track.box_xyxy = np.concatenate([middle - half, middle + half]).astype(np.float32)
        track.confirmed_s, track.visible = max(track.confirmed_s, now_s), True

    def add(self, boxes: FloatArray, now_s: float) -> list[Track]:
        """Begins a tentative track for each box that lies on no track; a hidden track takes the box over."""
        begun = []
        for box in boxes:
            overlap = intersection_over_union(box[None], self.boxes())[0] if self.tracks else np.zeros(0)
            near = int(overlap.argmax()) if len(overlap) else -1
            if near >= 0 and overlap[near] >= _SAME_FACE_IOU:
                if not self.tracks[near].visible:
                    self.confirm(self.tracks[near], box, now_s)
                continue
            track = Track(next(self._ids), box.astype(np.float32), now_s, now_s)
            self.tracks.append(track)
            begun.append(track)
        return begun

    def forget(self, now_s: float, shape: tuple[int, int]) -> None:
        """Drops tracks long unconfirmed or outside of the picture."""
        boxes = self.boxes()
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside: npt.NDArray[np.bool_] = np.all((middle >= 0) & (middle < shape[::-1]), axis=1)
        if not inside.all() or any(now_s - track.confirmed_s > self.lose_after_s for track in self.tracks):
            self.tracks = [
                track
                for track, is_inside in zip(self.tracks, inside, strict=True)
                if is_inside and now_s - track.confirmed_s <= self.lose_after_s
            ]

    def forget_doubles(self) -> None:
        """Drops the younger of two tracks on one face: what flow brought together, or a scan found twice."""
        boxes = self.boxes()
        if len(boxes) > 1:
            is_double = np.tril(intersection_over_union(boxes, boxes), -1).max(axis=1) >= _DOUBLE_IOU
            self.tracks = [track for track, drop in zip(self.tracks, is_double, strict=True) if not drop]
