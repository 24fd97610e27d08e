"""One simulated device: what it would send, and when it is asked for.

    device = SimulatedDevice(Member("demo", "r012", "camera-1"), bundle, seed=7, window_s=10, always_open=True)
    for message in device.window(ts):
        client.publish(message.topic, message.payload, message.qos, message.retain)

It has no clock and no network of its own. Windows go through the device's own privacy stage, episodes through
its own tracker, numbering and payloads through its own outlet, requests through its own desk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from edge_runtime import __version__
from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.outlet import Outlet
from edge_runtime.publishing.client import STATE_LIFETIME_WINDOWS
from edge_runtime.publishing.flat import FlatPayload, encode
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Stats, band_table
from edge_runtime.publishing.request_payloads import Response
from edge_runtime.publishing.requests import RequestDesk
from edge_runtime.publishing.topics import COMMANDS, DELIVERY, ROLES, Command, Leaf, Topics
from edge_runtime.remote import request_handlers
from edge_runtime.room.episodes import EpisodeTracker
from edge_runtime.room.privacy import band, protect
from edge_runtime.simulated_fleet.lessons import Lessons
from edge_runtime.simulated_fleet.updates import SimulatedUpdates
from edge_runtime.timetable import ACTIVITIES, Activity

Condition = Literal["well", "hot", "camera_lost", "shut", "away"]

SMALL_GROUPS: Final = 0.06  # rooms with too few people to tell anything
CONDITIONS: Final[tuple[tuple[Condition, float], ...]] = (
    ("hot", 0.04),
    ("camera_lost", 0.02),
    ("shut", 0.02),
    ("away", 0.03),
)


class Outgoing(NamedTuple):
    """A message to be published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """Whose place a simulated device takes, and how it fares.

    Attributes:
        site, room, device: its place.
        condition: `well`, `hot` (degraded), `camera_lost`, `shut` (the privacy shutter), `away` (it breaks off
            every few minutes without a goodbye).
        pupils: in its class.
    """

    site: str
    room: str
    device: str
    condition: Condition = "well"
    pupils: int = 24


def members(rooms: int, seed: int) -> list[Member]:
    """A fleet over a few schools; the same for the same seed."""
    rng = np.random.default_rng([seed, rooms])
    found = []
    for number in range(rooms):
        school = ("north-school", "lake-school", "hill-school", "west-college")[number * 4 // max(rooms, 4)]
        shares = [share for _, share in CONDITIONS]
        fate = rng.choice(len(CONDITIONS) + 1, p=[*shares, 1 - sum(shares)])
        condition: Condition = CONDITIONS[fate][0] if fate < len(CONDITIONS) else "well"
        pupils = int(rng.integers(4, 9)) if rng.random() < SMALL_GROUPS else int(rng.integers(16, 31))
        found.append(Member(school, f"r{number + 1:03}", f"camera-{number + 1:04}", condition, pupils))
    return found


class SimulatedDevice:
    """See the module.

    Args:
        member: whose place it takes.
        bundle: whose labels and name it tells.
        seed: of the fleet.
        window_s: length of its windows.
        always_open: see `Lessons`.
    """

    def __init__(
        self, member: Member, bundle: Bundle, *, seed: int, window_s: float, always_open: bool
    ) -> None:
        place = {"site": member.site, "room": member.room, "device": member.device}
        self.member, self.topics = member, Topics(**place)
        self.config = Config.model_validate(
            {
                "device": place,
                "room": {"window_s": window_s},
                "deployment": {"purpose": "simulation"},
                "updates": {"allow_remote": True},
            }
        )
        self._labels = bundle.manifest.labels
        self._rng = np.random.default_rng([seed, *place_number(member)])
        self._lessons = Lessons(self._labels, self._rng, pupils=member.pupils, always_open=always_open)
        self._outlet = Outlet(
            self.config, info=self._no_info, on_enabled=lambda _: None, on_context=lambda _: None
        )
        episodes = self.config.episodes
        self._tracker = EpisodeTracker(
            episodes.thresholds,
            windows=episodes.windows,
            gap_windows=episodes.gap_windows,
            window_s=window_s,
        )
        self._is_enabled = member.condition != "shut"
        self._context: Activity | None = None  # set by an admin; None: by timetable
        self._told_context = ""
        self._began_ts: float | None = None
        self._asked_ts = 0.0
        self._frames = 0
        self._updates = SimulatedUpdates(bundle)
        handlers = request_handlers(
            self.config,
            stats=lambda: self.health(self._asked_ts),
            identity=self._updates.report,
            reload=None,
            trials=None,
            updates=self._updates,
        )
        self._responses: list[Response] = []
        # Never entered: a thread for each of thousands would cost more than their answers.
        self._desk = RequestDesk(self.topics, handlers, self._responses.append, wall=lambda: self._asked_ts)

    @property
    def will(self) -> Outgoing:
        """The last will."""
        return self._word(self.topics.availability, Leaf.AVAILABILITY, "offline")

    @property
    def subscriptions(self) -> list[str]:
        """What it obeys."""
        requests = [self.topics.request(command) for command in COMMANDS]
        return [self.topics.enabled_set, self.topics.context_set, *requests]

    def greeting(self, ts: float) -> list[Outgoing]:
        """What it says on every connection."""
        self._began_ts = ts if self._began_ts is None else self._began_ts
        said = [
            self._word(self.topics.availability, Leaf.AVAILABILITY, "online"),
            self._payload(self.topics.info, Leaf.INFO, self.info(ts)),
            *self._shutter_words(),
        ]
        return [*said, self._context_word(ts)]

    def goodbye(self) -> list[Outgoing]:
        """What it says before it leaves in order."""
        return [self.will, *(self._word(self.topics.status(r), Leaf.STATUS, "offline") for r in ROLES)]

    def events(self, ts: float) -> list[EmotionEvent | EpisodeEvent]:
        """The window that ends now, and what it changes of episodes; nothing while the shutter is closed."""
        if not self._is_enabled or self.member.condition == "camera_lost":
            return []
        length_s = self.config.room.window_s
        window = self._lessons.window(ts, length_s, self._context or self._lessons.activity(ts))
        protected = protect(window, self._labels, self.config.room.min_group)
        self._frames += window.frames
        told: list[EmotionEvent | EpisodeEvent] = [self._outlet.emit(protected, ts)]
        return told + [self._outlet.emit_episode(step, ts) for step in self._tracker.observe(protected)]

    def is_school_time(self, ts: float) -> bool:
        """Whether there is a lesson or a break."""
        return self._lessons.activity(ts) is not None

    def window(self, ts: float) -> list[Outgoing]:
        """The same as messages, with the latest state, and the context when it changed."""
        out = []
        for event in self.events(ts):
            if isinstance(event, EpisodeEvent):
                out.append(self._payload(self.topics.episode, Leaf.EPISODE, event))
                continue
            message = self._payload(self.topics.emotion, Leaf.EMOTION, event)
            state = DELIVERY[Leaf.STATE]
            lifetime_s = round(STATE_LIFETIME_WINDOWS * event.window_s)
            out.append(message)
            out.append(Outgoing(self.topics.state, message.payload, state.qos, state.retain, lifetime_s))
        if self._context_word_now(ts) != self._told_context:
            out.append(self._context_word(ts))
        return out

    def stats(self, ts: float) -> Outgoing:
        """How it fares."""
        return self._payload(self.topics.stats, Leaf.STATS, self.health(ts))

    def obey(self, topic: str, payload: bytes, ts: float) -> list[Outgoing]:
        """Takes a command; what it answers."""
        word = payload.decode("utf-8", "replace")
        if topic == self.topics.enabled_set and word in ("ON", "OFF"):
            self._is_enabled = word == "ON"
            return self._shutter_words()
        if topic == self.topics.context_set and word in (*ACTIVITIES, "auto"):
            self._context = next((activity for activity in ACTIVITIES if activity == word), None)
            return [self._context_word(ts)]
        if (address := Topics.parse(topic)) is not None and address.leaf == Leaf.REQUEST and address.command:
            return self._answer(address.command, payload, ts)
        return []

    def _answer(self, command: Command, payload: bytes, ts: float) -> list[Outgoing]:
        self._asked_ts, before = ts, self._updates.current
        self._desk.answer(command, payload)
        topic = self.topics.response(command)
        said = [self._payload(topic, Leaf.RESPONSE, response) for response in self._responses]
        self._responses.clear()
        if self._updates.current != before:
            said.append(self._payload(self.topics.info, Leaf.INFO, self.info(ts)))
        return said

    def _shutter_words(self) -> list[Outgoing]:
        capture = "online" if self._is_enabled else "disabled"
        if self.member.condition == "camera_lost":
            capture = "offline"
        words = {"capture": capture, "infer": capture, "outbox": "online"}
        state = self._word(self.topics.enabled_state, Leaf.ENABLED_STATE, "ON" if self._is_enabled else "OFF")
        return [state, *(self._word(self.topics.status(r), Leaf.STATUS, words[r]) for r in ROLES)]

    def _context_word_now(self, ts: float) -> str:
        return self._context or self._lessons.activity(ts) or "none"

    def _context_word(self, ts: float) -> Outgoing:
        self._told_context = self._context_word_now(ts)
        return self._word(self.topics.context_state, Leaf.CONTEXT_STATE, self._told_context)

    def health(self, ts: float) -> Stats:
        """How it fares, as a payload."""
        rng, condition = self._rng, self.member.condition
        is_hot, has_camera = condition == "hot", condition != "camera_lost" and self._is_enabled
        slow = 2.4 if is_hot else 1.0
        stages = {"frame": 16.0, "follow": 4.0, "scan": 85.0, "infer": 11.0}
        latencies: dict[str, float] = {}
        for stage, usual_ms in stages.items():
            p50 = usual_ms * slow * rng.uniform(0.9, 1.1)
            latencies |= {
                f"{stage}_p50_ms": round(p50, 3),
                f"{stage}_p95_ms": round(p50 * rng.uniform(1.6, 2.2), 3),
                f"{stage}_p99_ms": round(p50 * rng.uniform(2.4, 3.2), 3),
            }
        health = "camera_lost" if condition == "camera_lost" else "degraded" if is_hot else "ok"
        seen = band(self.member.pupils if has_camera else 0, self.config.room.min_group)
        return Stats.model_validate(
            {
                "ts": round(ts, 3),
                **self.config.device.model_dump(),
                "uptime_s": round(max(0.0, ts - (self._began_ts or ts)), 1),
                "health": health if self._is_enabled else "disabled",
                "fps": round(float(rng.normal(5.5 if is_hot else 12.5, 0.1)), 2) if has_camera else 0.0,
                "frames": self._frames,
                "faces_seen_min": seen.low,
                "faces_seen_max": seen.high,
                "scans": self._frames // 6,
                "classified": self._frames * 3,
                "dropped_frames": self._frames if is_hot else 0,
                "corrupt_frames": 0,
                "stalls": 3 if condition == "camera_lost" else 0,
                "reconnects": 3 if condition == "camera_lost" else 0,
                "outbox_rows": 0,
                "outbox_dropped": 0,
                "outbox_recovered": 0,
                "broker_connected": 1,
                "reconnects_broker": 0,
                "rss_mb": round(float(rng.normal(208, 2)), 1),
                "temperature_c": round(float(rng.normal(88 if is_hot else 58, 1.0)), 1),
                "latencies_ms": latencies,
            }
        )

    def info(self, ts: float) -> Info:
        """What it claims to run."""
        bundle, policy, deployment = self._updates.current, self.config.room, self.config.deployment
        bands = (band(count, policy.min_group) for count in (0, 1, policy.min_group))
        return Info(
            ts=round(ts, 3),
            **self.config.device.model_dump(),
            window_s=policy.window_s,
            detector=self.config.faces.detector,
            bundle_name=bundle.name,
            bundle_version=bundle.version,
            bundle_digest=bundle.digest,
            engine_backend="simulated",
            engine_precision="fp32",
            engine_instruction_set="none",
            engine_threads=1,
            engine_reason="a simulated device runs no network",
            privacy_min_group=policy.min_group,
            privacy_share_step=0.05,
            privacy_bands=band_table(bands) + ",…",
            deployment_jurisdiction=deployment.jurisdiction,
            deployment_setting=deployment.setting,
            deployment_purpose=deployment.purpose,
            versions={"roomtone": __version__},
        )

    def _no_info(self) -> Info:
        raise NotImplementedError("the outlet of a simulated device has no publisher")

    def _word(self, topic: str, leaf: Leaf, word: str) -> Outgoing:
        return Outgoing(topic, word.encode(), DELIVERY[leaf].qos, DELIVERY[leaf].retain)

    def _payload(self, topic: str, leaf: Leaf, payload: FlatPayload) -> Outgoing:
        return Outgoing(topic, encode(payload), DELIVERY[leaf].qos, DELIVERY[leaf].retain)


def place_number(member: Member) -> Sequence[int]:
    """The same numbers for the same place, in every process."""
    return list(f"{member.site}/{member.room}/{member.device}".encode())
