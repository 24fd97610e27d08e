"""What a room's page shows of the time before now, read from the history store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from edge_runtime.dashboard.device import trend_value
from edge_runtime.dashboard.words import say
from edge_runtime.errors import RoomtoneError

if TYPE_CHECKING:
    from edge_runtime.dashboard.picture import Picture
    from edge_runtime.history.store import HistoryStore

MAX_POINTS: Final = 1200  # more than a wide screen has pixels for
DEFAULT_POINTS: Final = 600
MAX_SPAN_S: Final = 366 * 86_400
_SEEDED_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Question:
    """A room and a time; unix seconds."""

    site: str
    room: str
    start_ts: float
    end_ts: float
    points: int


class Past:
    """Answers questions about the past.

    Args:
        store: None when no history is kept.
        wall: unix time, s.
    """

    def __init__(self, store: HistoryStore | None, wall: Callable[[], float] = time.time) -> None:
        self._store, self._wall = store, wall
        self._seeded: set[tuple[str, str]] = set()

    @property
    def is_kept(self) -> bool:
        """Whether there is a history at all."""
        return self._store is not None

    def question(self, path: Mapping[str, Any], query: Mapping[str, str]) -> Question:
        """Reads a request's `start`, `end` (unix s) and `points`.

        Raises:
            ValueError: they are no times, or too far apart; the message is for the page.
        """
        now_s = self._wall()
        try:
            end_ts = float(query.get("end", now_s))
            start_ts = float(query.get("start", end_ts - 3600))
            points = int(query.get("points", DEFAULT_POINTS))
        except ValueError as exc:
            raise ValueError(say("error.bad_times")) from exc
        if not 0 <= start_ts < end_ts <= now_s + MAX_SPAN_S or end_ts - start_ts > MAX_SPAN_S:
            raise ValueError(say("error.bad_times"))
        return Question(path["site"], path["room"], start_ts, end_ts, min(max(points, 1), MAX_POINTS))

    def answer(self, asked: Question) -> dict[str, Any]:
        """The windows and episodes of a time.

        Returns:
            `kept`, `windows` (keys as on the wire; each is one window, or the mean of several), `episodes`, and
            `problem`: why there is nothing, in a sentence, when the database cannot answer.
        """
        nothing: dict[str, Any] = {"kept": self.is_kept, "windows": [], "episodes": [], "problem": ""}
        if self._store is None:
            return nothing
        where = (asked.site, asked.room, asked.start_ts, asked.end_ts)
        try:
            windows = self._store.windows(*where, max_points=asked.points)
            episodes = self._store.episodes(*where)
        except RoomtoneError as problem:
            return nothing | {"problem": str(problem)}
        return nothing | {
            "windows": [point.flat() for point in windows],
            "episodes": [asdict(episode) for episode in episodes],
        }

    def seed(self, picture: Picture) -> None:
        """Gives the rooms that are new in the picture their last hour; a store that cannot answer gives none yet."""
        if self._store is None:
            return
        now_s = self._wall()
        for site, room in picture.rooms():
            if (site, room) in self._seeded:
                continue
            by_device: dict[str, list[tuple[float, float]]] = {}
            try:
                points = self._store.windows(site, room, now_s - _SEEDED_S, now_s, max_points=MAX_POINTS)
            except RoomtoneError:
                return
            for point in points:
                if not point.is_private:
                    by_device.setdefault(point.device, []).append((point.ts, trend_value(point)))
            self._seeded.add((site, room))
            for device, trend in by_device.items():
                picture.remember(site, room, device, trend)
