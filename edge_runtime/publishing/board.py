"""The model behind `roomtone watch`: the latest of every device, and how it looks as a table.

The board reads what anybody may have published under `roomtone/`: what is not a payload of ours, or speaks
for another device than its topic, is counted as foreign and changes nothing.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Stats
from edge_runtime.publishing.topics import ROOT, Leaf, Topics, watch_pattern

LEAVES = (Leaf.AVAILABILITY, Leaf.STATE, Leaf.EMOTION, Leaf.EPISODE, Leaf.STATS)
MAX_DEVICES = 2000  # a stranger may invent devices; a board shows a school's
MAX_KINDS = 32  # of episodes, of one device
REMEMBERED_EVENTS = 2000  # ids by which a second delivery is recognised

HEADINGS = ("room", "mood", "class", "device")  # four columns, so that 80 characters are enough
BAR_CELLS = 10
TOP_SHARES = 3
# Okabe and Ito's palette, which colour-blind readers can tell apart; label and number say the same in words.
BAR_COLOURS = ("#0072b2", "#e69f00", "#009e73")
_ALERT = "#d55e00"


@dataclass(frozen=True, slots=True)
class BoardRow:
    """What is known of one device.

    Attributes:
        site, room, device: from the topic.
        is_online: None until its availability is known.
        event: the newest window by its end; None before the first.
        stats: the latest.
        age_s: time since the newest window's end by the watcher's clock, at least 0; None before the first.
        episodes: that last, by kind.
    """

    site: str
    room: str
    device: str
    is_online: bool | None
    event: EmotionEvent | None
    stats: Stats | None
    age_s: float | None
    episodes: tuple[EpisodeEvent, ...] = ()


@dataclass(slots=True)
class _Device:
    is_online: bool | None = None
    event: EmotionEvent | None = None
    stats: Stats | None = None
    episodes: dict[str, EpisodeEvent] = field(default_factory=dict)  # the newest step of each kind

    def lasting(self) -> tuple[EpisodeEvent, ...]:
        """What has not ended, nor been cut off: of a run of the device that is over nothing lasts."""
        boot = self.event.boot if self.event is not None else 0
        return tuple(
            step for _, step in sorted(self.episodes.items()) if step.phase != "end" and step.boot >= boot
        )


class RoomBoard:
    """All rooms of a broker; used by one thread.

    Args:
        root: first level of the topics.
        wall: unix time, s.

    Attributes:
        foreign: messages that were none of ours.
        last_foreign: topic of the last of them and what was wrong with it.
    """

    def __init__(self, root: str = ROOT, wall: Callable[[], float] = time.time) -> None:
        self._root, self._wall = root, wall
        self._devices: dict[tuple[str, str, str], _Device] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.foreign = 0
        self.last_foreign = ""

    @property
    def patterns(self) -> list[str]:
        """What to subscribe to."""
        return [watch_pattern(leaf, root=self._root) for leaf in LEAVES]

    def take(self, topic: str, payload: bytes) -> EmotionEvent | None:
        """Takes a message as it came from the broker.

        Returns:
            A window that was not taken before, from `emotion` or `state`.
        """
        try:
            return self._take(topic, payload)
        except ValueError as exc:
            self.foreign += 1
            self.last_foreign = f"{topic[:120]}: {exc}"
            return None

    def _take(self, topic: str, payload: bytes) -> EmotionEvent | None:
        address = Topics.parse(topic, self._root)
        if address is None or address.leaf not in LEAVES:
            raise ValueError("not a topic of roomtone")
        key = (address.topics.site, address.topics.room, address.topics.device)
        known = self._devices.get(key)
        device = known or _Device()
        if known is None and len(self._devices) >= MAX_DEVICES:
            raise ValueError(f"more than {MAX_DEVICES} devices")
        event = None
        if address.leaf is Leaf.AVAILABILITY:
            if payload not in (b"online", b"offline"):
                raise ValueError("neither online nor offline")
            device.is_online = payload == b"online"
        elif not payload:
            return None  # a retained value was cleared
        elif address.leaf is Leaf.STATS:
            stats = Stats.decode(payload, allow_new_keys=True)
            _check_sender(stats, key)
            device.stats = stats
        elif address.leaf is Leaf.EPISODE:
            step = EpisodeEvent.decode(payload, allow_new_keys=True)
            _check_sender(step, key)
            before = device.episodes.get(step.kind)
            if before is None or (before.boot, before.seq) < (step.boot, step.seq):
                device.episodes[step.kind] = step
                if len(device.episodes) > MAX_KINDS:
                    device.episodes.pop(next(iter(device.episodes)))
        else:
            event = EmotionEvent.decode(payload, allow_new_keys=True)
            _check_sender(event, key)
            if (
                device.event is None or event.ts >= device.event.ts
            ):  # an outbox that drains sends old windows too
                device.event = event
        self._devices[key] = device
        return event if event is not None and self._is_new(event) else None

    def _is_new(self, event: EmotionEvent) -> bool:
        key = f"{event.site}/{event.room}/{event.event_id}"
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > REMEMBERED_EVENTS:
            self._seen.popitem(last=False)
        return True

    def rows(self) -> list[BoardRow]:
        """All devices, by site, room and name."""
        now = self._wall()
        return [
            BoardRow(
                *key,
                device.is_online,
                device.event,
                device.stats,
                None if device.event is None else max(0.0, now - device.event.ts),
                device.lasting(),
            )
            for key, device in sorted(self._devices.items())
        ]


def _check_sender(payload: EmotionEvent | EpisodeEvent | Stats, key: tuple[str, str, str]) -> None:
    if (payload.site, payload.room, payload.device) != key:
        raise ValueError("speaks for another device than its topic")


def table(rows: Sequence[BoardRow], *, foreign: int = 0, note: str = "") -> Table:
    """The board for a terminal.

    Args:
        rows: from `RoomBoard.rows`.
        foreign: messages that were none of ours, shown below.
        note: a line below, such as what is wrong with the broker.
    """
    out = Table(title="roomtone", caption=_caption(foreign, note), expand=True)
    for heading in HEADINGS:
        out.add_column(heading, no_wrap=heading == "mood")
    for row in rows:
        out.add_row(
            _who(row),
            mood(row.event) + _valence_arousal(row.event),
            lesson(row.event, row.episodes),
            Text("\n").join(_of_device(row)),
        )
    if not rows:
        out.add_row(Text("no room has published yet", style="dim"))
    return out


def mood(event: EmotionEvent | None) -> Text:
    """The dominant label, then the largest shares as bars with their numbers."""
    if event is None:
        return Text("–")
    if event.suppressed:
        return Text(f"private (fewer than {event.min_group})", style="italic")
    top = sorted(event.shares.items(), key=lambda item: (-item[1], item[0] != event.dominant, item[0]))
    out = Text(event.dominant or "", style="bold")
    width = max(len(label) for label, _ in top[:TOP_SHARES])
    for (label, share), colour in zip(top[:TOP_SHARES], BAR_COLOURS, strict=False):
        filled = round(share * BAR_CELLS)
        out.append(f"\n{label:<{width}} ")
        out.append("█" * filled, style=colour)
        out.append("░" * (BAR_CELLS - filled), style="dim")
        out.append(f" {share:4.0%}")
    return out


def lesson(event: EmotionEvent | None, episodes: Sequence[EpisodeEvent] = ()) -> Text:
    """Grade and activity of the class, the teacher's, what it is doing, and what lasts."""
    out = Text()
    if event is not None and event.grade is not None:
        out.append(f"{event.grade} {event.classroom_activity:.2f}", style="bold")
    lines = []
    if event is not None and event.teacher_activity is not None:
        lines.append(f"teacher {event.teacher_activity:.2f}")
    if event is not None and event.context is not None:
        lines.append(f"in {event.context}" + (", weighted" if event.context_prior else ""))
    for text in lines:
        out.append(f"\n{text}" if out else text)
    for step in episodes:
        out.append("\n" if out else "")
        out.append(f"{step.kind.replace('_', ' ')} for {_duration(step.duration_s)}", style=f"bold {_ALERT}")
    return out or Text("–")


def people(event: EmotionEvent | None) -> Text:
    """Bands of the people read and the people seen."""
    if event is None:
        return Text("–")
    return Text(f"{_band(event.readable_min, event.readable_max)} of {_band(event.seen_min, event.seen_max)}")


def _band(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


def _who(row: BoardRow) -> Text:
    """Room, device, people read and seen."""
    out = Text(f"{row.site}/{row.room}\n").append(row.device, style="dim")
    return (
        out if row.event is None else out.append("\nread " + people(row.event).plain.replace(" of", "\nof"))
    )


def _valence_arousal(event: EmotionEvent | None) -> Text:
    if event is None or event.valence is None or event.arousal is None:
        return Text()
    return Text(f"\nvalence {event.valence:+.2f}\narousal {event.arousal:+.2f}", style="dim")


def _state(row: BoardRow) -> Text:
    if row.is_online is None:
        return Text("unknown", style="dim")
    return Text("● online", style="#009e73") if row.is_online else Text("○ offline", style=_ALERT)


def _of_device(row: BoardRow) -> Iterator[Text]:
    """State, health, and how long ago its newest window ended."""
    yield _state(row)
    if row.stats is not None:
        style = "" if row.stats.health == "ok" else "bold"
        yield Text(f"{row.stats.health}, {row.stats.fps:.1f} fps", style=style)
    if row.age_s is not None:
        yield Text(f"{_duration(row.age_s)} ago", style="dim")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _caption(foreign: int, note: str) -> str | None:
    parts = [note] if note else []
    if foreign:
        parts.append(f"{foreign} foreign message{'s' if foreign != 1 else ''} on these topics")
    return " · ".join(parts) or None
