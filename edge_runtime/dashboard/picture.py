"""The live picture: all rooms of a broker as they are now, and what changed since the page last looked.

Anybody may have published under `roomtone/`: what is not a payload of ours, or speaks for another device than
its topic, is counted and changes nothing. Memory is bounded: so many devices, of each the latest and an hour
of one value.

Each change gets the next *revision*. A page that has seen revision 41 asks for what came after it, so the
server keeps no queue for any page, and a page that was away catches up with one answer.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from edge_runtime.alerts.alert import AlertEvent
from edge_runtime.dashboard.device import Device, shown
from edge_runtime.dashboard.diagnosis import diagnose
from edge_runtime.publishing.connection import Message
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Stats
from edge_runtime.publishing.topics import ROOT, Address, Leaf, Topics, watch_pattern
from edge_runtime.timetable import ACTIVITIES

MAX_DEVICES: Final = 2000  # a stranger may invent devices; a dashboard shows a school's
MAX_FORGOTTEN: Final = 500  # of which pages are still told that they are gone
_LEAVES: Final = (
    Leaf.AVAILABILITY,
    Leaf.STATE,
    Leaf.EMOTION,
    Leaf.STATS,
    Leaf.INFO,
    Leaf.STATUS,
    Leaf.EPISODE,
    Leaf.ENABLED_STATE,
    Leaf.CONTEXT_STATE,
)
_CONTEXTS: Final = tuple(word.encode() for word in ("none", *ACTIVITIES))
_STATUS_WORDS: Final = (b"online", b"offline", b"disabled")

_Key = tuple[str, str, str]
_P = TypeVar("_P", AlertEvent, EmotionEvent, EpisodeEvent, Info, Stats)


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened after a revision.

    Attributes:
        revision: that the page has seen with these.
        devices: one record for each device that changed; see `Device.record`.
    """

    revision: int
    devices: list[dict[str, Any]]


class Picture:
    """See the module. Messages come from one thread, pages ask from others.

    Args:
        root: first level of the topics.
        wall: unix time, s.

    Attributes:
        epoch: tells this picture from that of a server before a restart; revisions count within it.
        foreign: messages that were none of ours.
        last_foreign: topic of the last of them and what was wrong with it.
    """

    def __init__(self, root: str = ROOT, wall: Callable[[], float] = time.time) -> None:
        self.epoch = secrets.token_hex(4)
        self.foreign = 0
        self.last_foreign = ""
        self._root, self._alerts, self._wall = root, f"{root}/alert/", wall
        self._lock = threading.Lock()
        self._devices: OrderedDict[_Key, Device] = OrderedDict()  # the latest changed is the last
        self._forgotten: OrderedDict[_Key, Device] = OrderedDict()
        self._revision = 0
        self._oldest_revision = 0  # pages that have seen less must begin anew

    @property
    def patterns(self) -> list[str]:
        """What to subscribe to."""
        # Alerts last: what is retained comes in this order, and an alert alone makes no device.
        return [*(watch_pattern(leaf, root=self._root) for leaf in _LEAVES), f"{self._alerts}+/+/+/+"]

    @property
    def revision(self) -> int:
        """Of the latest change."""
        return self._revision

    def take(self, message: Message) -> None:
        """Takes a message as it came from the broker."""
        try:
            with self._lock:
                self._take(message)
        except ValueError as exc:
            self.foreign += 1
            self.last_foreign = f"{message.topic[:120]}: {str(exc)[:200]}"

    def review(self) -> None:
        """Looks at all devices again: silence is news too, and sends no message."""
        now_s = self._wall()
        with self._lock:
            for key, device in list(self._devices.items()):
                self._judge(key, device, now_s)

    def changes_since(self, revision: int) -> Changes | None:
        """What a page does not know yet; None when it must begin anew, with `changes_since(0)`."""
        with self._lock:
            if 0 < revision < self._oldest_revision:
                return None
            records = []
            for device in (*reversed(self._forgotten.values()), *reversed(self._devices.values())):
                if device.revision > revision:
                    records.append(device.record(revision))
                elif not device.is_forgotten:
                    break  # all before it are older still
            return Changes(self._revision, [r for r in records if revision or "gone" not in r])

    def rooms(self) -> list[tuple[str, str]]:
        """Site and room of each device that is known."""
        with self._lock:
            return sorted({key[:2] for key in self._devices})

    def remember(self, site: str, room: str, device: str, points: list[tuple[float, float]]) -> None:
        """Adds an hour that passed before this server began, as pairs of unix time and trend value."""
        with self._lock:
            known = self._devices.get((site, room, device))
            if known is not None and points:
                for ts, value in points:
                    known.trend.add(ts, value)
                self._note((site, room, device), known, trend=known.trend.points(self._wall()))

    def _take(self, message: Message) -> None:
        if message.topic.startswith(self._alerts):
            self._take_alert(message)
            return
        address = Topics.parse(message.topic, self._root)
        if address is None or address.leaf not in _LEAVES:
            raise ValueError("not a topic of roomtone")
        topics = address.topics
        key = (topics.site, topics.room, topics.device)
        device = self._devices.get(key)
        if (
            not message.payload
        ):  # a retained value was cleared; with its availability, the device is forgotten
            if address.leaf is Leaf.AVAILABILITY and device is not None:
                self._forget(key, device)
            return
        if device is None:
            if len(self._devices) >= MAX_DEVICES:
                raise ValueError(f"more than {MAX_DEVICES} devices")
            device = Device(*key)
        now_s = self._wall()
        if self._hear(device, address, message, now_s):
            self._forgotten.pop(key, None)
            self._devices[key] = device
            self._note_all(key, device, now_s)

    def _take_alert(self, message: Message) -> None:
        *place, rule = message.topic.removeprefix(self._alerts).split("/")
        device = self._devices.get((place[0], place[1], place[2])) if len(place) == 3 else None
        if device is None:
            return
        if message.payload:
            device.take_alert(_sent_by(device, AlertEvent.decode(message.payload, allow_new_keys=True)))
        else:
            device.alerts.pop(rule, None)
        self._note_all((device.site, device.room, device.name), device, self._wall())

    def _hear(self, device: Device, address: Address, message: Message, now_s: float) -> bool:
        """Takes what a message says into its device; False when it says nothing new."""
        payload, leaf = message.payload, address.leaf
        if leaf is Leaf.AVAILABILITY:
            is_online = _one_of(payload, (b"online", b"offline")) == "online"
            if is_online is not device.is_online:
                device.online_since_s = None if message.is_retained else now_s
            device.is_online = is_online
        elif leaf is Leaf.STATUS:
            device.status[address.role or ""] = _one_of(payload, _STATUS_WORDS)
        elif leaf is Leaf.ENABLED_STATE:
            device.is_enabled = _one_of(payload, (b"ON", b"OFF")) == "ON"
        elif leaf is Leaf.CONTEXT_STATE:
            device.context = _one_of(payload, _CONTEXTS)
        elif leaf is Leaf.EPISODE:
            device.take_episode(_sent_by(device, EpisodeEvent.decode(payload, allow_new_keys=True)))
        elif leaf is Leaf.STATS:
            device.take_stats(_sent_by(device, Stats.decode(payload, allow_new_keys=True)), now_s=now_s)
        elif leaf is Leaf.INFO:
            device.info = _sent_by(device, Info.decode(payload, allow_new_keys=True))
        elif device.is_repetition(payload):
            return False
        else:
            event = _sent_by(device, EmotionEvent.decode(payload, allow_new_keys=True))
            device.take_window(event, now_s=now_s)
        return True

    def _note_all(self, key: _Key, device: Device, now_s: float) -> None:
        parts: dict[str, Any] = {
            "link": {
                "online": device.is_online,
                "since": device.online_since_s,
                "enabled": device.is_enabled,
                "context": device.context,
                "status": dict(device.status),
                "skew_s": round(device.skew_s or 0.0, 1),
            },
            "episodes": [shown(step) for step in device.episodes.values()],
            "alerts": [shown(alert) for alert in device.alerts.values()],
        }
        if device.window is not None:
            parts["window"] = shown(device.window)
            parts["trend"] = device.trend.points(now_s)
        if device.stats is not None:
            parts["stats"] = shown(device.stats)
        if device.info is not None:
            parts["info"] = shown(device.info)
        self._note(key, device, **parts)
        self._judge(key, device, now_s)

    def _judge(self, key: _Key, device: Device, now_s: float) -> None:
        self._note(key, device, verdict=diagnose(device, now_s).record())

    def _note(self, key: _Key, device: Device, **parts: Any) -> None:
        for name, value in parts.items():
            device.put(name, value, self._revision + 1)
        if device.revision > self._revision:
            self._revision += 1
            self._devices.move_to_end(key)

    def _forget(self, key: _Key, device: Device) -> None:
        del self._devices[key]
        self._revision += 1
        device.is_forgotten, device.revision = True, self._revision
        self._forgotten[key] = device
        if len(self._forgotten) > MAX_FORGOTTEN:
            self._oldest_revision = self._forgotten.popitem(last=False)[1].revision


def _one_of(payload: bytes, words: tuple[bytes, ...]) -> str:
    if payload not in words:
        raise ValueError(f"is none of {', '.join(word.decode() for word in words)}")
    return payload.decode()


def _sent_by(device: Device, payload: _P) -> _P:
    if (payload.site, payload.room, payload.device) != (device.site, device.room, device.name):
        raise ValueError("speaks for another device than its topic")
    return payload
