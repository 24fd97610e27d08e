"""A message from the broker → a record, or the reason why it is none. Nothing here raises or forgets in silence.

Anybody may publish under `roomtone/`. What breaks its schema, speaks for another device than its topic, or is of
a schema that this version does not know, is counted by kind and told once for each sender. So is what is in
order but tells of a mistake: a clock that is off, a device that moved, two devices with one name.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeVar, get_args

from edge_runtime.history.records import (
    Clock,
    EventRecord,
    InfoRecord,
    Place,
    Record,
    StatsRecord,
    WordRecord,
)
from edge_runtime.publishing.connection import Message
from edge_runtime.publishing.contract import TRAFFIC, Words
from edge_runtime.publishing.flat import FlatPayload
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Stats
from edge_runtime.publishing.topics import DELIVERY, ROOT, Address, Leaf, Topics, watch_pattern

log = logging.getLogger(__name__)

NUMBERED: Final = (Leaf.EMOTION, Leaf.EPISODE)
_CLASSES: Final[Mapping[Leaf, type[EmotionEvent | EpisodeEvent | Stats | Info]]] = {
    Leaf.EMOTION: EmotionEvent,
    Leaf.EPISODE: EpisodeEvent,
    Leaf.STATE: EmotionEvent,
    Leaf.STATS: Stats,
    Leaf.INFO: Info,
}
PLAIN_WORDS: Final = (Leaf.AVAILABILITY, Leaf.STATUS, Leaf.ENABLED_STATE, Leaf.CONTEXT_STATE)

LATE_S: Final = 15 * 60.0  # older than this when it comes: it waited in an outbox, or its clock is behind
EARLY_S: Final = 60.0  # from the future by more than this: its clock is ahead
CLOCK_OFF_S: Final = 120.0
SILENT_S: Final = 180.0  # a device that was not heard for so long may be the one that turns up elsewhere
MAX_DEVICES: Final = 10_000  # a stranger may invent devices; a collector serves a district's
MAX_TOLD: Final = (
    25  # of each kind, once for each sender; when a whole fleet is odd, a log of it helps nobody
)
LARGEST_COUNT: Final = 2**53  # beyond it JSON readers disagree, and databases refuse

Remark = Literal[
    "foreign",
    "unreadable",
    "unknown_schema",
    "wrong_sender",
    "ghost",
    "clock_off",
    "moved",
    "namesake",
    "conflict",
]
REMARKS: Final[tuple[Remark, ...]] = get_args(Remark)
_WORDS: Final[Mapping[Remark, str]] = {
    "foreign": "is no topic of roomtone",
    "unreadable": "breaks its schema",
    "unknown_schema": "is of a schema that this version does not know",
    "wrong_sender": "speaks for another device than its topic",
    "ghost": "is retained, which events never are: somebody keeps old messages on the broker",
}


class Intake:
    """See the module; used by one thread.

    Args:
        root: first level of the topics.
        wall: unix time, s.
        tell: gets each remark in a sentence, once for each sender.

    Attributes:
        remarks: how often each kind was noticed.
        clocks: events by how their clock agreed: ok, late, early.
    """

    def __init__(
        self,
        root: str = ROOT,
        wall: Callable[[], float] = time.time,
        tell: Callable[[str], None] = log.warning,
    ) -> None:
        self._root, self._wall, self._tell = root, wall, tell
        self.remarks: Counter[Remark] = Counter()
        self.clocks: Counter[Clock] = Counter()
        self._told: dict[Remark, set[str]] = {kind: set() for kind in REMARKS}
        self._heard: dict[tuple[str, str], dict[Place, float]] = {}  # site and name → place → when, by that
        self._gone: dict[tuple[str, str], Place] = {}  # site and name → the place that went offline last
        self._places: set[Place] = set()

    def patterns(self, group: str | None) -> list[str]:
        """What to subscribe to.

        Within a group, events and stats are shared. Retained topics are not: a broker sends no retained values
        to shared subscriptions (MQTT 5.0 §4.8.2), and every collector wants to know who is there.

        Args:
            group: of collectors; None: this one takes all.
        """
        share = f"$share/{group}/" if group else ""
        numbered = [share + watch_pattern(leaf, root=self._root) for leaf in (*NUMBERED, Leaf.STATS)]
        return numbered + [watch_pattern(leaf, root=self._root) for leaf in (Leaf.INFO, *PLAIN_WORDS)]

    def glances(self, group: str | None) -> list[str]:
        """What to look at after each connection: in a group, the latest windows, for a gap that nobody covered."""
        return [watch_pattern(Leaf.STATE, root=self._root)] if group else []

    def take(self, message: Message) -> Record | None:
        """Reads a message as it came from the broker."""
        try:
            return self._take(message)
        except _FaultError as fault:
            self._remark(
                fault.kind, message.topic, f"{message.topic[:200]} {_WORDS[fault.kind]}{fault.detail}"
            )
            return None

    def tell_conflict(self, event_id: str) -> None:
        """The store had another event under this id, `site/room/<event_id>`."""
        text = f"two devices speak under one name: {event_id} came with two contents; the first stays in the history"
        self._remark("conflict", event_id.rsplit("-", 2)[0], f"{text}, the other is kept apart")

    def _take(self, message: Message) -> Record | None:
        address = Topics.parse(message.topic, self._root)
        if address is None:
            raise _FaultError("foreign")
        place = Place(address.topics.site, address.topics.room, address.topics.device)
        if place not in self._places:
            if len(self._places) >= MAX_DEVICES:
                raise _FaultError("foreign", f": it would be device number {MAX_DEVICES + 1}")
            self._places.add(place)
        if message.is_retained and not DELIVERY[address.leaf].retain:
            raise _FaultError("ghost")
        if not message.payload:
            return None  # a retained value was cleared
        now = self._wall()
        if isinstance(content := TRAFFIC[address.leaf].content, Words):
            return self._word(address, place, message, content, now)
        if address.leaf not in _CLASSES:
            raise _FaultError("foreign")
        payload = _decoded(_CLASSES[address.leaf], message.payload)
        if (payload.site, payload.room, payload.device) != place:
            raise _FaultError("wrong_sender")
        if not message.is_retained:
            self._note_presence(place, now)
        if isinstance(payload, Info):
            return InfoRecord(payload, now)
        if isinstance(payload, Stats):
            self._check_clock(place, payload.ts - now)
            return StatsRecord(payload, now)
        if address.leaf is Leaf.STATE and abs(payload.ts - now) > LATE_S:
            return None  # kept by the broker since long ago
        clock: Clock = "ok"
        if abs(payload.ts - now) > EARLY_S:
            clock = "early" if payload.ts > now else "late" if now - payload.ts > LATE_S else "ok"
        self.clocks[clock] += 1
        return EventRecord(payload, now, clock)

    def _word(
        self, address: Address, place: Place, message: Message, content: Words, now: float
    ) -> WordRecord:
        word = message.payload[:64].decode("utf-8", "replace")
        if word not in content.words:
            raise _FaultError("unreadable", f": {word!r} is none of {', '.join(content.words)}")
        if address.leaf is Leaf.AVAILABILITY and word == "offline":
            name = (place.site, place.device)
            if self._heard.get(name, {}).pop(place, None) is not None:
                self._gone[name] = place
        leaf = f"{address.leaf}/{address.role}" if address.role else str(address.leaf)
        return WordRecord(place, leaf, word, now, message.is_retained)

    def _note_presence(self, place: Place, now: float) -> None:
        """A name that speaks from a second room has moved there, or there are two of that name.

        Places are ordered by when they were heard last and leave at the front, so that a thousand devices of one
        name cost no more than a thousand of different ones.
        """
        rooms = self._heard.setdefault((place.site, place.device), {})
        if rooms.pop(place, None) is None:
            gone = self._gone.pop((place.site, place.device), None)
            while (first := next(iter(rooms), None)) is not None and now - rooms[first] > SILENT_S:
                del rooms[gone := first]
            if first is not None:
                told = (
                    f"two devices of {place.site} are called {place.device}, in {first.room} and {place.room}"
                )
                self._remark("namesake", f"{place.site}/{place.device}", f"{told}; names should be unique")
            elif gone is not None and gone != place:
                told = f"{place.device} of {place.site} was in {gone.room} and speaks from {place.room} now"
                self._remark("moved", f"{gone}{place}", f"{told}; its past stays with {gone.room}")
        rooms[place] = now

    def _check_clock(self, place: Place, offset_s: float) -> None:
        if abs(offset_s) > CLOCK_OFF_S:
            way = "ahead" if offset_s > 0 else "behind"
            text = f"{'/'.join(place)}: its clock is {abs(offset_s) / 60:.0f} min {way} of the collector's"
            self._remark("clock_off", str(place), text)

    def _remark(self, kind: Remark, key: str, text: str) -> None:
        self.remarks[kind] += 1
        told = self._told[kind]
        if key in told or len(told) > MAX_TOLD:
            return
        told.add(key)
        self._tell(
            text if len(told) <= MAX_TOLD else f"{text}; further remarks of this kind are only counted"
        )


class _FaultError(Exception):
    def __init__(self, kind: Remark, detail: str = "") -> None:
        super().__init__(kind)
        self.kind, self.detail = kind, detail


_Payload = TypeVar("_Payload", bound=FlatPayload)


def _decoded(content: type[_Payload], data: bytes) -> _Payload:
    try:
        payload = content.decode(data, allow_new_keys=True)
    except ValueError as exc:
        if (schema := _other_schema(content, data)) is not None:
            raise _FaultError("unknown_schema", f": {schema!r}") from exc
        raise _FaultError("unreadable", f": {str(exc)[:200]}") from exc
    if any(isinstance(value, int) and value > LARGEST_COUNT for value in payload.flat().values()):
        raise _FaultError("unreadable", f": a count is above {LARGEST_COUNT}")
    return payload


def _other_schema(content: type[FlatPayload], data: bytes) -> str | None:
    """The schema that a payload names, when it is another version of the one expected."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    schema = document.get("schema") if isinstance(document, dict) else None
    family = content.SCHEMA_ID.rpartition("/")[0]
    if not isinstance(schema, str) or schema == content.SCHEMA_ID or not schema.startswith(f"{family}/"):
        return None
    return schema[:64]
