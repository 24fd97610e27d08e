"""One camera's frames → the room's windows: every stage between capture and privacy, in order of the flow.

    Frame → Faces → Crops → Probabilities → smoothed → re-weighted → RoomWindow

A network of sequences is asked at its own stride, and reads a face when its last frames are together.

Only a `RoomWindow` leaves this module; frames, boxes, crops and track ids stay in its locals and die there.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Self

from edge_runtime.bundle import Manifest
from edge_runtime.config import Config
from edge_runtime.errors import EngineError
from edge_runtime.faces.crops import CropMaker
from edge_runtime.faces.finder import FaceFinder, Faces
from edge_runtime.faces.landmarks import LandmarkFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.pupil_search import pupil_source, pupil_way
from edge_runtime.inference.reading import reader_of
from edge_runtime.inference.sequences import SourcePace
from edge_runtime.pacing import Beat, Rates
from edge_runtime.profiling.spans import Spans
from edge_runtime.room.aggregation import WindowAggregator
from edge_runtime.room.context import ContextPrior
from edge_runtime.room.smoothing import Smoother
from edge_runtime.room.window import RoomWindow
from edge_runtime.room.zoning import RoomZones, tells_teacher
from edge_runtime.timetable import Activity
from edge_runtime.turns import Turns
from edge_runtime.updates.shadow import Shadow


@dataclass(slots=True)
class AnalysisCounters:
    """Totals: frames analysed, faces in them (summed), faces classified, faces that warmed up for a sequence."""

    frames: int = 0
    faces: int = 0
    classified: int = 0
    warming_up: int = 0


class RoomAnalysis:
    """See the module. Context manager: it owns the scan's thread, if it is its own.

    Args:
        config: checked.
        manifest: of the bundle that the engine runs.
        engine: loaded, golden outputs checked.
        spans: where stage times go.
        forgives: asked when the engine fails; True: those faces go unread, since another network is on its way.
        scan_thread: that cameras share; None: one of its own.
        landmarks: for a network that wants to see them; see `edge_runtime.inference.landmark_engine`.

    Attributes:
        turns: at the board's cores, for frames that are worked on; None: it need not wait for any.
        shadow: a candidate that reads the same faces, to be compared; None: there is none.
    """

    def __init__(
        self,
        config: Config,
        manifest: Manifest,
        engine: Engine,
        *,
        spans: Spans | None = None,
        forgives: Callable[[EngineError], bool] = lambda error: False,
        scan_thread: Executor | None = None,
        landmarks: LandmarkFinder | None = None,
    ) -> None:
        self.spans = Spans() if spans is None else spans
        self.counters = AnalysisCounters()
        self.finder = FaceFinder(
            config.faces, waits_for_scans=True, spans=self.spans, scan_thread=scan_thread
        )
        self._zones = RoomZones(config.zones, reads_teacher=tells_teacher(config.deployment))
        self._config, self._forgives = config, forgives
        self._rates_classify_hz = config.inference.classify_rate_hz
        self._classify_beat = Beat(1 / config.inference.classify_rate_hz)
        self.turns: Turns | None = None
        self.shadow: Shadow | None = None
        self.use(manifest, engine, landmarks)

    def use(self, manifest: Manifest, engine: Engine, landmarks: LandmarkFinder | None = None) -> None:
        """Reads faces with this network from now on; between two windows, after `end`.

        Args:
            manifest: of the bundle that the engine runs.
            engine: loaded, golden outputs checked.
            landmarks: for a network that wants to see them.

        Raises:
            EngineError: it wants to, and there are none; or, like
            BundleError: the landmark network that finds its pupils cannot be opened.
        """
        config = self._config
        readable = config.inference.readable_width_px or manifest.readable_width_px
        pupils = pupil_source(pupil_way(config.faces, manifest))
        self._crops = CropMaker(manifest.alignment.template(), readable, self.spans, pupils)
        self._reader = reader_of(
            manifest, engine, config.inference.max_batch, landmarks=landmarks, spans=self.spans
        )
        self._classify_beat.change(self._reader.stride_s or 1 / self._rates_classify_hz)
        self._smoother = Smoother(config.room.smoothing_s)
        readings = [label.reading for label in manifest.labels]
        self._prior = ContextPrior(readings) if config.context.prior else None
        self._aggregator = WindowAggregator(
            manifest.labels,
            window_s=config.room.window_s,
            min_track_s=config.room.min_track_s,
            zones=self._zones,
            dimensions=manifest.dimensions,
            context_prior=config.context.prior,
        )

    @property
    def classify_hz(self) -> float:
        """How often faces are read, per second of video: as configured and governed, or by the network's stride."""
        return 1 / self._classify_beat.interval_s

    @property
    def source_pace(self) -> SourcePace | None:
        """Whether frames come as often as a network of sequences wants; None: the network is none."""
        return self._reader.pace

    def set_rates(self, rates: Rates) -> None:
        """Works at other rates than the configured ones from now on."""
        self._rates_classify_hz = rates.classify_hz
        # A stride is part of the contract: a sequence of slower frames would show a slower face.
        self._classify_beat.change(self._reader.stride_s or 1 / rates.classify_hz)
        self.finder.set_rates(rates)

    def is_due(self, now_s: float) -> bool:
        """Whether a frame of this time is worked on; one between two beats only repeats the last answer."""
        return self.finder.is_due(now_s) or self._classify_beat.is_due(now_s)

    def set_phase(self, phase: float) -> None:
        """Where its scans and classifications lie among those of other cameras; see `Beat.phase`."""
        self._classify_beat.phase = phase
        self.finder.set_phase(phase)

    def process(self, frame: Frame, activity: Activity | None = None) -> RoomWindow | None:
        """Analyses a frame.

        Args:
            frame: not older than the one before.
            activity: what the room is doing; None: nobody said.

        Returns:
            The window that this frame shows to be over, if any.
        """
        turn = self.turns if self.turns is not None and self.is_due(frame.timestamp_s) else nullcontext()
        with self.spans.measure("frame"), turn:
            view = FrameView(frame)
            faces = self.finder.find(view)
            self.counters.frames += 1
            self.counters.faces += len(faces)
            self.spans.gauge("faces", len(faces))
            with self.spans.measure("window"):
                window = self._aggregator.observe_frame(frame.timestamp_s, len(faces), activity)
            if self._classify_beat.strikes(frame.timestamp_s):
                self._classify(view, faces, activity)
        return window

    def _classify(self, view: FrameView, faces: Faces, activity: Activity | None) -> None:
        height, width = view.shape
        places = self._zones.places(faces.boxes_xyxy, width, height)
        self._aggregator.observe_places(faces.track_ids, places)
        read = faces.only(self._zones.is_read(places))
        crops = self._crops.make(view, read)
        if len(crops):
            try:
                # Whoever waits for the engine lets the others follow their faces.
                pause = nullcontext() if self.turns is None else self.turns.paused()
                with self.spans.measure("infer"), pause:
                    reading = self._reader.read(view, crops)
            except EngineError as error:
                if not self._forgives(error):
                    raise
                return
            if self.shadow is not None:
                self.shadow.compare(view, read, reading.crops, reading.probabilities)
            self.counters.classified += len(reading)
            self.counters.warming_up += len(crops) - len(reading)
            self.spans.gauge("batch", len(crops))
            tracks = reading.crops.track_ids
            with self.spans.measure("smooth"):
                smoothed = self._smoother.smooth(view.timestamp_s, tracks, reading.probabilities)
                if self._prior is not None:
                    smoothed = self._prior.apply(smoothed, activity)
            with self.spans.measure("window"):
                self._aggregator.observe_probabilities(
                    view.timestamp_s, tracks, reading.crops.age_s, smoothed, reading.dimensions
                )
        self._forget_lost()

    def _forget_lost(self) -> None:
        known = self.finder.known_ids()
        self._smoother.keep_only(known)
        self._reader.keep_only(known)
        if self.shadow is not None:
            self.shadow.keep_only(known)

    def advance(self, now_s: float) -> RoomWindow | None:
        """Closes the present window if it is over, though no frame came; for cameras that went away."""
        return self._aggregator.advance(now_s)

    def end(self) -> RoomWindow | None:
        """Closes the present window early and forgets all faces; the next frame may have any time."""
        window = self._aggregator.flush()
        self.finder.reset()
        self._forget_lost()
        self._classify_beat.reset()
        return window

    def close(self) -> None:
        """Ends the scan's thread."""
        self.finder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
