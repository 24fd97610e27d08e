"""What the collector hands to the store: a payload of ours, whose it is, and when it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Stats

Clock = Literal["ok", "late", "early"]


class Place(NamedTuple):
    """Whose message it is: the three levels of its topic."""

    site: str
    room: str
    device: str


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A window or an episode's phase: what is numbered, and may come twice.

    Attributes:
        event: as decoded.
        received_ts: unix time of its arrival, s, by the collector's clock.
        clock: how the two clocks agree: `late` events waited in an outbox or come from a clock that is behind;
            `early` ones claim a future.
    """

    event: EmotionEvent | EpisodeEvent
    received_ts: float
    clock: Clock


@dataclass(frozen=True, slots=True)
class StatsRecord:
    """A device's health."""

    stats: Stats
    received_ts: float


@dataclass(frozen=True, slots=True)
class InfoRecord:
    """What a device runs."""

    info: Info
    received_ts: float


@dataclass(frozen=True, slots=True)
class WordRecord:
    """A plain word on a retained topic.

    Attributes:
        place: of the topic.
        leaf: `availability`, `status/capture`, `enabled/state`, …
        word: `online`, `OFF`, …
        received_ts: unix time of its arrival, s.
        is_retained: it was said before the collector listened, nobody knows when.
    """

    place: Place
    leaf: str
    word: str
    received_ts: float
    is_retained: bool


Record = EventRecord | StatsRecord | InfoRecord | WordRecord
