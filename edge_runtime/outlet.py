"""Where protected windows go: to the broker through the outbox, to a stream as JSON lines, or to both."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from edge_runtime.bundle import Label
from edge_runtime.config import Config, DeviceSection
from edge_runtime.errors import OutboxError
from edge_runtime.publishing.client import Publisher, StatusWord
from edge_runtime.publishing.credentials import load_credentials
from edge_runtime.publishing.discovery import Discovery
from edge_runtime.publishing.outbox import Outbox
from edge_runtime.publishing.payloads import (
    EmotionEvent,
    EpisodeEvent,
    EventNumber,
    Info,
    Response,
    Stats,
    encode,
)
from edge_runtime.publishing.topics import Command, Role, Topics
from edge_runtime.room.episodes import EpisodeStep
from edge_runtime.room.window import ProtectedWindow
from edge_runtime.state_directory import state_directory
from edge_runtime.timetable import Activity


def outbox_path(config: Config) -> Path:
    """The configured outbox, or the device's own in `state_directory`."""
    return config.outbox.path or state_directory() / f"{device_name(config.device)}.outbox.sqlite3"


def shutter_path(config: Config) -> Path | None:
    """Where a closed shutter is remembered: beside the outbox; nowhere for a device without a broker."""
    path = outbox_path(config)
    return path.with_name(path.name.removesuffix(".sqlite3") + ".shutter-closed") if config.mqtt.url else None


def context_path(config: Config) -> Path | None:
    """Where the activity that was set is remembered: beside the outbox; nowhere for a device without a broker."""
    path = outbox_path(config)
    return path.with_name(path.name.removesuffix(".sqlite3") + ".context") if config.mqtt.url else None


def device_name(device: DeviceSection) -> str:
    """site.room.device, as its files are called."""
    return f"{device.site}.{device.room}.{device.device}"


class Outlet:
    """Numbers the windows and hands them on. Context manager: on entry the outbox opens and the publisher starts.

    Args:
        config: checked; without `mqtt.url` nothing is published and no outbox is opened.
        info: what `info` says; asked on every connection.
        on_enabled: called with the privacy shutter's commands, from the publisher's thread.
        on_context: called with the words of `context/set`, likewise.
        on_request: called with each request, likewise; must not block.
        labels: of the bundle, for Home Assistant's discovery.
        stream: gets each event as one JSON line, flushed; None: no lines.
    """

    def __init__(
        self,
        config: Config,
        *,
        info: Callable[[], Info],
        on_enabled: Callable[[bool], None],
        on_context: Callable[[str], None],
        on_request: Callable[[Command, bytes], None] | None = None,
        labels: Sequence[Label] = (),
        stream: IO[str] | None = None,
    ) -> None:
        self.topics = Topics(config.device.site, config.device.room, config.device.device)
        self._config, self._info, self._stream = config, info, stream
        self._on_enabled, self._on_context, self._on_request = on_enabled, on_context, on_request
        self._labels = labels
        self._numbers = itertools.count(1)
        self._boot = int(time.time())
        self._resources = ExitStack()
        self._told: dict[str, str] = {}
        self._episodes: dict[str, tuple[str, float]] = {}  # kind → id and beginning of the one that is open
        self.outbox: Outbox | None = None
        self.publisher: Publisher | None = None

    def __enter__(self) -> Self:
        if self._config.mqtt.url is not None:
            with ExitStack() as opening:
                self._open(opening)
                self._resources = opening.pop_all()
        return self

    def _open(self, opening: ExitStack) -> None:
        settings = self._config.outbox
        path = outbox_path(self._config)
        if settings.path is None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as exc:
                hint = "name a place with outbox.path"
                raise OutboxError(path, f"its folder cannot be made: {exc.strerror}", hint=hint) from exc
        self.outbox = opening.enter_context(
            Outbox(path, max_bytes=int(settings.max_mb * 1e6), max_age_s=settings.max_age_h * 3600)
        )
        self.publisher = opening.enter_context(
            Publisher(
                self._config.mqtt,
                self.topics,
                self.outbox,
                load_credentials(device=device_name(self._config.device)),
                info=self._info,
                on_enabled=self._on_enabled,
                on_context=self._on_context,
                on_request=self._on_request,
                discovery=self._discovery(),
                drain_rate_hz=settings.drain_rate_hz,
            )
        )

    def _discovery(self) -> Discovery | None:
        if not self._config.discovery.enabled:
            return None
        return Discovery.describing(
            self.topics,
            prefix=self._config.discovery.prefix,
            labels=self._labels,
            window_s=self._config.room.window_s,
            stats_s=self._config.stats.interval_s,
            zones=tuple(self._config.zones.students),
        )

    def __exit__(self, *exc_info: object) -> None:
        self._resources.close()

    def emit(self, window: ProtectedWindow, unix_s: float) -> EmotionEvent:
        """Sends a window on its way; on disk when this returns, if there is a broker to send it to.

        Args:
            window: from the privacy stage.
            unix_s: of its end.
        """
        event = EmotionEvent.from_window(
            window,
            topics=self.topics,
            number=self._next_number(),
            ts=unix_s,
            min_group=self._config.room.min_group,
        )
        if self.publisher is not None:
            self.publisher.submit(event)
        self._write(event)
        return event

    def emit_episode(self, step: EpisodeStep, unix_s: float) -> EpisodeEvent:
        """Sends a step of an episode on its way, likewise.

        Args:
            step: of the episode tracker.
            unix_s: end of the window that it was told after.
        """
        number, ts = self._next_number(), round(unix_s, 3)
        event_id = number.event_id(self.topics.device)
        if step.phase == "new":
            self._episodes[step.kind] = event_id, ts - step.duration_s
        episode_id, start_ts = self._episodes[step.kind]
        event = EpisodeEvent(
            ts=ts,
            site=self.topics.site,
            room=self.topics.room,
            device=self.topics.device,
            event_id=event_id,
            boot=number.boot,
            seq=number.seq,
            episode_id=episode_id,
            phase=step.phase,
            kind=step.kind,
            start_ts=round(min(start_ts, ts), 3),  # the wall clock may have been set back since
            duration_s=round(step.duration_s, 3),
            windows=step.windows,
            share=step.share,
            peak_share=step.peak_share,
            threshold=step.threshold,
        )
        if self.publisher is not None:
            self.publisher.submit_episode(event)
        self._write(event)
        return event

    def _next_number(self) -> EventNumber:
        if self.outbox is not None:
            return self.outbox.next_event_number()
        return EventNumber(self._boot, next(self._numbers))

    def _write(self, event: EmotionEvent | EpisodeEvent) -> None:
        if self._stream is not None:
            self._stream.write(encode(event).decode() + "\n")
            self._stream.flush()

    def set_status(self, role: Role, word: StatusWord) -> None:
        """Says how one part of the device is; said again only when it has changed."""
        if self._told.get(role) != word:
            self._told[role] = word
            if self.publisher is not None:
                self.publisher.set_status(role, word)

    def set_enabled(self, is_enabled: bool) -> None:
        """Says whether the shutter is open; said again only when it has changed."""
        word = "ON" if is_enabled else "OFF"
        if self._told.get("enabled") != word:
            self._told["enabled"] = word
            if self.publisher is not None:
                self.publisher.set_enabled_state(is_enabled)

    def set_context(self, activity: Activity | None) -> None:
        """Says which activity is in force; said again only when it has changed."""
        word = activity or "none"
        if self._told.get("context") != word:
            self._told["context"] = word
            if self.publisher is not None:
                self.publisher.set_context_state(word)

    def respond(self, response: Response) -> None:
        """Sends the answer to a request."""
        if self.publisher is not None:
            self.publisher.respond(response)

    def use_labels(self, labels: Sequence[Label]) -> None:
        """Another bundle runs: says so in `info`, and tells Home Assistant its labels."""
        self._labels = labels
        if self.publisher is not None:
            self.publisher.tell_info(self._discovery())

    def publish_stats(self, stats: Stats) -> None:
        """Sends the device's health."""
        if self.publisher is not None:
            self.publisher.publish_stats(stats)

    def flush(self, timeout_s: float) -> bool:
        """Waits for the broker's acknowledgement of every event; False when some are left (they stay on disk)."""
        if self.publisher is None or self.outbox is None or len(self.outbox) == 0:
            return True
        is_away = not self.publisher.connected and self.publisher.last_problem is not None
        return not is_away and self.publisher.flush(timeout_s)
