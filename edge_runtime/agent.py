"""The agent: one device at work. Joins the stages, and keeps going when a camera or a broker does not.

    with Agent(config) as agent:
        agent.run(until_end=True)

The loop takes the newest frame, analyses it, and hands each window through the privacy stage to the outlet. It runs in
the caller's thread; `stop` may be called from a signal handler or another thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final, Self

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import open_bundle
from edge_runtime.clock import CaptureClock
from edge_runtime.config import Config
from edge_runtime.description import describe
from edge_runtime.frames.frame import EndOfSource, FrameSource, SourceCounters
from edge_runtime.frames.opening import open_source
from edge_runtime.inference.landmark_engine import landmarks_for
from edge_runtime.inference.opening import Opener
from edge_runtime.lawful import check_lawful
from edge_runtime.meter import Meter
from edge_runtime.outlet import Outlet, context_path, device_name, shutter_path
from edge_runtime.profiling.spans import Spans
from edge_runtime.publishing.payloads import EmotionEvent, Info, Stats
from edge_runtime.publishing.requests import RequestDesk
from edge_runtime.publishing.topics import Topics
from edge_runtime.remote import request_handlers
from edge_runtime.resources import Resources
from edge_runtime.room.context import RoomContext
from edge_runtime.room.episodes import EpisodeStep, EpisodeTracker, check_kinds
from edge_runtime.room.privacy import protect
from edge_runtime.room.window import RoomWindow
from edge_runtime.room.zoning import tells_teacher
from edge_runtime.service_manager import ServiceManager, Supervisor
from edge_runtime.shutter import Shutter
from edge_runtime.state_directory import state_directory
from edge_runtime.status_file import StatusFile
from edge_runtime.updates.remote import RemoteUpdates
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.starting import open_slots, start
from edge_runtime.updates.trial import Trials

_log = logging.getLogger(__name__)

_READ_TIMEOUT_S: Final = 0.5  # so often the loop looks whether it is to stop
_FLUSH_TIMEOUT_S: Final = 5.0  # for the broker's last acknowledgements, when the agent ends


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run did.

    Attributes:
        windows: handed to the outlet.
        classified: faces, counted exactly; for whoever runs it, never for the wire.
        stats: the last reading.
        wall_s: how long it took.
    """

    windows: int
    classified: int
    stats: Stats
    wall_s: float


class Agent:
    """See the module. Context manager: entering checks the law, opens the bundle, the engine and the outlet.

    Args:
        config: checked.
        stream: gets each event as a JSON line; None: no lines.
        on_event: called with each event, in the loop's thread.
        wall: unix time, s.
        spans: where stage times go; the profiler's record each of them.
        read_config: reads the configuration again, for the request `reload`; None: it is not from a file.
        resources: of the board, where other cameras use them too; None: its own.
        manager: who wants to know that it is ready and alive; systemd when None.

    Attributes:
        next_config: what to run with next, after a `reload` ended the loop; None: nothing is asked for.

    Raises (on entry):
        UnlawfulUseError: the declared use is prohibited.
        BundleError, EngineError: the network cannot be run as configured.
        OutboxError: the outbox is in use.
        ConfigurationError: credentials cannot be read, or an episode is of a kind that the bundle never tells.
    """

    def __init__(
        self,
        config: Config,
        *,
        stream: IO[str] | None = None,
        on_event: Callable[[EmotionEvent], None] = lambda event: None,
        wall: Callable[[], float] = time.time,
        spans: Spans | None = None,
        read_config: Callable[[], Config] | None = None,
        resources: Resources | None = None,
        manager: Supervisor | None = None,
    ) -> None:
        self.config = config
        self._shared = resources
        self._spans = Spans() if spans is None else spans
        self._read_config = read_config
        self.next_config: Config | None = None
        self._stream, self._on_event, self._wall = stream, on_event, wall
        self._stopping = threading.Event()
        self._owned = ExitStack()
        self._source: FrameSource | None = None
        self._closed_sources = SourceCounters()
        self._windows = 0
        self._window_end_s = 0.0  # unix time of the last one's end
        self._manager = ServiceManager.from_environment() if manager is None else manager
        self._status = StatusFile(config)
        self._trials: Trials | None = None
        self._latest_stats: Stats | None = None

    def __enter__(self) -> Self:
        check_lawful(self.config.deployment)
        self._status.write("starting")
        with ExitStack() as opening:
            shared = self._shared if self._shared is not None else opening.enter_context(Resources())
            shared.use_threads(self.config.faces.scan_threads)
            self._turns, self._phase = shared.turns, shared.next_phase()
            slots = self._open_network(shared.engines.open)
            episodes = self.config.episodes
            check_kinds(episodes.thresholds, self._bundle.manifest.labels)
            self._status.bundle = self._bundle.digest
            self._analysis = opening.enter_context(
                RoomAnalysis(
                    self.config,
                    self._bundle.manifest,
                    self._choice.engine,
                    spans=self._spans,
                    forgives=lambda error: self._trials is not None and self._trials.failed(error),
                    scan_thread=shared.scans,
                    landmarks=landmarks_for(self._bundle, self.config.inference.threads),
                )
            )
            self._load = shared.governor.admit(self.config)
            opening.callback(shared.governor.leave, self._load)
            opening.callback(self._close_source)
            self._episodes = EpisodeTracker(
                episodes.thresholds,
                windows=episodes.windows,
                gap_windows=episodes.gap_windows,
                window_s=self.config.room.window_s,
            )
            self._shutter = Shutter(shutter_path(self.config))
            self._context = RoomContext(self.config.context.rows(), context_path(self.config))
            desk = self._open_desk(opening, slots, shared.engines.open)
            self._outlet = opening.enter_context(
                Outlet(
                    self.config,
                    info=self.info,
                    on_enabled=self._shutter.set,
                    on_context=self._context.set,
                    on_request=desk.take,
                    labels=self._bundle.manifest.labels,
                    stream=self._stream,
                )
            )
            self._meter = Meter(self.config, self._outlet)
            opening.enter_context(desk)
            self._owned = opening.pop_all()
        self._manager.ready()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.next_config is None:  # a reload is no end: systemd would wait for one
            self._manager.stopping()
        self._owned.close()
        if exc_info[0] is None and self.next_config is None:
            self._status.write("stopped")

    def _open_network(self, opens: Opener) -> Slots | None:
        """The configured bundle, or else what the slots say; returns the slots in the second case."""
        if (named := self.config.inference.bundle) is not None:
            self._bundle = open_bundle(named)
            self._choice = opens(self._bundle, self.config.inference)
            return None
        slots = open_slots(self.config.updates, state_directory())
        running, self._choice = start(slots, self.config.inference, opens)
        self._bundle = running.bundle
        return slots

    def _open_desk(self, opening: ExitStack, slots: Slots | None, opens: Opener) -> RequestDesk:
        """Trials of new bundles, and the desk where requests are answered."""
        updates = None
        if slots is not None:
            frames = self._analysis.counters
            self._trials = opening.enter_context(
                Trials(slots, self._bundle, self.config, lambda: frames.frames, opens)
            )
            updates = RemoteUpdates(slots, self.config, self._trials.report)
            opening.callback(updates.close)
        handlers = request_handlers(
            self.config,
            stats=lambda: self._latest_stats,
            identity=lambda: {
                "bundle": f"{self._bundle.manifest.name}@{self._bundle.manifest.version}",
                "bundle_digest": self._bundle.digest,
            },
            reload=None if self._read_config is None else self._reload,
            trials=self._trials,
            updates=updates,
        )
        device = self.config.device
        topics = Topics(device.site, device.room, device.device)
        return RequestDesk(topics, handlers, lambda response: self._outlet.respond(response), wall=self._wall)

    def _reload(self) -> None:
        """Reads the configuration again and ends the loop for it; a faulty one changes nothing."""
        assert self._read_config is not None  # noqa: S101 - else the handler is None
        config = self._read_config()
        check_lawful(config.deployment)
        if not self._stopping.is_set():
            self.next_config = config
        self._stopping.set()
        self._shutter.wake()

    def info(self) -> Info:
        """What runs here, and why."""
        return describe(self.config, self._bundle, self._choice, ts=self._wall())

    def stop(self) -> None:
        """Asks the loop to end: the present window is closed and sent, then the agent says goodbye."""
        self._stopping.set()
        self._shutter.wake()

    def run(self, *, until_end: bool = False) -> RunSummary:
        """Works until `stop`, or until a film or folder is at its end.

        Args:
            until_end: end with the film; otherwise it begins again, as a camera would go on.

        Raises:
            SourceError: the film or folder cannot be used (a camera that is away is waited for).
        """
        began_s = time.monotonic()
        self._outlet.set_status("infer", "online")
        while not self._stopping.is_set():
            self._follow_updates()
            if not self._shutter.is_open:
                self._stay_shut()
            elif not self._step():
                self._close_window()
                if until_end:
                    break
                _log.info("the source is at its end and begins again; --until-end would stop here")
                self._close_source()
            if self._meter.is_due():
                self._tell_stats()
        self._close_window()
        stats = self._tell_stats()
        if not self._outlet.flush(_FLUSH_TIMEOUT_S):
            _log.warning("events are left in the outbox; they are sent at the next start")
        return RunSummary(
            self._windows, self._analysis.counters.classified, stats, time.monotonic() - began_s
        )

    def _follow_updates(self) -> None:
        """A candidate in the shadow, or another bundle to run from now on."""
        if self._trials is None:
            return
        self._analysis.shadow = self._trials.shadow
        if (order := self._trials.take_order()) is None:
            return
        self._close_window()
        self._bundle, self._choice = order.bundle, order.choice
        self._analysis.use(
            order.bundle.manifest,
            order.choice.engine,
            landmarks_for(order.bundle, self.config.inference.threads),
        )
        self._status.bundle = order.bundle.digest
        self._outlet.use_labels(order.bundle.manifest.labels)
        _log.info("%s %s runs from now on", order.bundle.manifest.name, order.bundle.manifest.version)

    def _step(self) -> bool:
        """One frame, or the lack of one. False at the end of the source."""
        source = self._source or self._open_source()
        asked_s = time.monotonic()
        try:
            with self._spans.measure("capture"):
                frame = source.read(_READ_TIMEOUT_S)
        except EndOfSource:
            return False
        self._keep_pace(source, waited_s=time.monotonic() - asked_s)
        self._outlet.set_status("capture", "online" if source.online else "offline")
        if frame is not None:
            self._clock.begin(frame.timestamp_s)
            activity = self._context.in_force(datetime.fromtimestamp(self._clock.unix_s(frame.timestamp_s)))
            self._outlet.set_context(activity)
            self._emit(self._analysis.process(frame, activity))
            if source.has_monotonic_clock:
                self._spans.gauge("latency_ms", (time.monotonic() - frame.timestamp_s) * 1000)
        elif source.has_monotonic_clock:
            self._emit(self._analysis.advance(time.monotonic()))
        if frame is not None or not source.online:  # a camera that is known to be away is waited for
            self._manager.alive()
        return True

    def _keep_pace(self, source: FrameSource, *, waited_s: float) -> None:
        """Tells the governor how busy this camera is, and works at the rates that it sets."""
        if not (source.is_live and source.online):
            self._load.rested()
            return
        counters = self._analysis.finder.counters
        if self._load.worked(waited_s=waited_s, scans=counters.scans, scans_took_s=counters.scans_took_s):
            self._analysis.set_rates(self._load.rates)

    def _stay_shut(self) -> None:
        """The shutter is closed: the window ends, the camera device is closed, nothing is analysed."""
        if self._source is not None:
            _log.info("the privacy shutter is closed: the camera is released")
            self._close_window()
            self._close_source()
        self._load.rested()
        self._outlet.set_status("capture", "disabled")
        self._outlet.set_enabled(False)
        self._outlet.set_context(self._context.in_force(datetime.fromtimestamp(self._wall())))
        self._manager.alive()
        self._shutter.wait_for_change(_READ_TIMEOUT_S)

    def _open_source(self) -> FrameSource:
        self._source = open_source(
            self.config.camera,
            camera_id=device_name(self.config.device),
            device=device_name(self.config.device),
            grey=not self.config.faces.needs_colour,
            spans=self._spans,
        )
        self._analysis.finder.waits_for_scans = not self._source.is_live
        is_live = self._source.is_live  # a film has no time to be late in
        self._analysis.turns = self._turns if is_live else None
        self._analysis.set_phase(self._phase if is_live else 1.0)
        self._clock = CaptureClock(is_live=self._source.has_monotonic_clock, wall=self._wall)
        self._outlet.set_enabled(True)
        if self._source.has_monotonic_clock and self.config.deployment.purpose == "simulation":
            _log.warning(
                "the declared purpose is simulation, but this is a camera: whoever it sees must have agreed"
            )
        return self._source

    def _close_source(self) -> None:
        if self._source is not None:
            self._closed_sources = self._source_counters()
            self._source.close()
            self._source = None

    def _source_counters(self) -> SourceCounters:
        """Totals over all sources that this agent opened."""
        return self._closed_sources if self._source is None else self._closed_sources + self._source.counters

    def _close_window(self) -> None:
        """Ends the present window, and with it all episodes: no window follows on it."""
        self._emit(self._analysis.end())
        self._tell_episodes(self._episodes.end(), self._window_end_s)

    def _emit(self, window: RoomWindow | None) -> None:
        if window is None:
            return
        protected = protect(
            window,
            self._bundle.manifest.labels,
            self.config.room.min_group,
            tells_teacher=tells_teacher(self.config.deployment),
        )
        self._window_end_s = self._clock.unix_s(window.end_s)
        with self._spans.measure("publish"):
            event = self._outlet.emit(protected, self._window_end_s)
            self._tell_episodes(self._episodes.observe(protected), self._window_end_s)
        self._windows += 1
        self._on_event(event)

    def _tell_episodes(self, steps: Sequence[EpisodeStep], unix_s: float) -> None:
        for step in steps:
            self._outlet.emit_episode(step, unix_s)

    def _tell_stats(self) -> Stats:
        stats = self._meter.read(
            self._analysis,
            self._source_counters(),
            ts=self._wall(),
            is_enabled=self._shutter.is_open,
            camera_online=self._source is None or self._source.online,
            pace=self._load,
        )
        self._latest_stats = stats
        outbox = self._outlet.outbox
        if outbox is not None:
            self._outlet.set_status("outbox", "online" if outbox.problem is None else "offline")
        self._outlet.publish_stats(stats)
        self._status.write("running", stats, windows=self._windows)
        self._manager.status(f"{stats.health}: {stats.fps:g} frames/s, {self._windows} windows")
        return stats
