"""One camera's frames → the room's windows: every stage between capture and privacy, in order of the flow.

    Frame → Faces → Crops → Probabilities → smoothed → re-weighted → RoomWindow

Only a `RoomWindow` leaves this module; frames, boxes, crops and track ids stay in its locals and die there.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Self

from edge_runtime.bundle import Manifest
from edge_runtime.config import Config
from edge_runtime.errors import EngineError
from edge_runtime.faces.crops import CropMaker
from edge_runtime.faces.finder import FaceFinder, Faces
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.landmark_engine import pupil_source
from edge_runtime.pacing import Beat, Rates
from edge_runtime.profiling.spans import Spans
from edge_runtime.room.aggregation import WindowAggregator
from edge_runtime.room.context import ContextPrior
from edge_runtime.room.smoothing import Smoother
from edge_runtime.room.window import RoomWindow
from edge_runtime.room.zoning import RoomZones, tells_teacher
from edge_runtime.timetable import Activity
from edge_runtime.updates.shadow import Shadow


@dataclass(slots=True)
class AnalysisCounters:
    """Totals: frames analysed, faces in them (summed), faces classified."""

    frames: int = 0
    faces: int = 0
    classified: int = 0


class RoomAnalysis:
    """See the module. Context manager: it owns the scan's thread, if it is its own.

    Args:
        config: checked.
        manifest: of the bundle that the engine runs.
        engine: loaded, golden outputs checked.
        spans: where stage times go.
        forgives: asked when the engine fails; True: those faces go unread, since another network is on its way.
        scan_thread: that cameras share; None: one of its own.

    Attributes:
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
    ) -> None:
        self.spans = Spans() if spans is None else spans
        self.counters = AnalysisCounters()
        self.finder = FaceFinder(
            config.faces, waits_for_scans=True, spans=self.spans, scan_thread=scan_thread
        )
        self._zones = RoomZones(config.zones, reads_teacher=tells_teacher(config.deployment))
        self._classify_beat = Beat(1 / config.inference.classify_rate_hz)
        self._config, self._forgives = config, forgives
        self._pupils = pupil_source(config)
        self.shadow: Shadow | None = None
        self.use(manifest, engine)

    def use(self, manifest: Manifest, engine: Engine) -> None:
        """Reads faces with this network from now on; between two windows, after `end`.

        Args:
            manifest: of the bundle that the engine runs.
            engine: loaded, golden outputs checked.
        """
        config = self._config
        readable = config.inference.readable_width_px or manifest.readable_width_px
        self._crops = CropMaker(manifest.alignment.template(), readable, self.spans, self._pupils)
        self._classifier = Classifier(
            engine,
            temperature=manifest.temperature,
            classes=len(manifest.labels),
            max_batch=config.inference.max_batch,
            dimensions=len(manifest.dimensions),
        )
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

    def set_rates(self, rates: Rates) -> None:
        """Works at other rates than the configured ones from now on."""
        self._classify_beat.change(1 / rates.classify_hz)
        self.finder.set_rates(rates)

    def process(self, frame: Frame, activity: Activity | None = None) -> RoomWindow | None:
        """Analyses a frame.

        Args:
            frame: not older than the one before.
            activity: what the room is doing; None: nobody said.

        Returns:
            The window that this frame shows to be over, if any.
        """
        with self.spans.measure("frame"):
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
                with self.spans.measure("infer"):
                    probabilities, dimensions = self._classifier.read(crops.images)
            except EngineError as error:
                if not self._forgives(error):
                    raise
                return
            if self.shadow is not None:
                self.shadow.compare(view, read, crops, probabilities)
            self.counters.classified += len(crops)
            self.spans.gauge("batch", len(crops))
            with self.spans.measure("smooth"):
                smoothed = self._smoother.smooth(view.timestamp_s, crops.track_ids, probabilities)
                if self._prior is not None:
                    smoothed = self._prior.apply(smoothed, activity)
            with self.spans.measure("window"):
                self._aggregator.observe_probabilities(
                    view.timestamp_s, crops.track_ids, crops.age_s, smoothed, dimensions
                )
        self._smoother.keep_only(self.finder.known_ids())

    def advance(self, now_s: float) -> RoomWindow | None:
        """Closes the present window if it is over, though no frame came; for cameras that went away."""
        return self._aggregator.advance(now_s)

    def end(self) -> RoomWindow | None:
        """Closes the present window early and forgets all faces; the next frame may have any time."""
        window = self._aggregator.flush()
        self.finder.reset()
        self._smoother.keep_only(self.finder.known_ids())
        self._classify_beat.reset()
        return window

    def close(self) -> None:
        """Ends the scan's thread."""
        self.finder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
