"""The survey itself: frames in, a report and a picture out.

Each frame gives its light; one a second is looked at thoroughly, in a thread of its own, so that a camera's other
frames are still counted. Of all frames only the few that the median needs are kept, in RAM, and with the surveyor
they are gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

import numpy as np

from edge_runtime.bundle import Manifest
from edge_runtime.config import Config
from edge_runtime.errors import SourceError
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.frames.address import masked
from edge_runtime.frames.frame import EndOfSource, Frame, FrameSource, Image
from edge_runtime.frames.live import LiveCamera
from edge_runtime.pacing import Beat
from edge_runtime.survey.background import Background, hide_people
from edge_runtime.survey.exposure import Exposure, measure_exposure
from edge_runtime.survey.flicker import LightSeries
from edge_runtime.survey.focus import detail
from edge_runtime.survey.geometry import Lens
from edge_runtime.survey.heat import Heat
from edge_runtime.survey.places import Places
from edge_runtime.survey.readability import Grade, Limits, limits_of
from edge_runtime.survey.report import Light, Room, SurveyReport
from edge_runtime.survey.scan import Sightings, ThoroughScan
from edge_runtime.survey.verdict import judged

SCAN_EVERY_S: Final = 1.0
_READ_TIMEOUT_S: Final = 0.5
_NOBODY_S: Final = 15.0  # without a first frame: the camera is not there
_MASK_AT_MOST: Final = 4000  # boxes to hide; more say nothing new

Progress = Callable[[float, int], None]


class Surveyor:
    """Takes frames of one size and knows what they show. Context manager: it owns the thread of the scan.

    Args:
        config: checked.
        manifest: of the bundle that will run here.
        waits_for_scans: True for films, whose frames come faster than life; False for cameras.
        every_s: between two thorough looks, on the capture clock.
    """

    def __init__(
        self, config: Config, manifest: Manifest, *, waits_for_scans: bool, every_s: float = SCAN_EVERY_S
    ) -> None:
        self._config, self._manifest, self._waits = config, manifest, waits_for_scans
        self._beat = Beat(every_s)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="survey")
        self._pending: Future[Sightings] | None = None
        self._scan: ThoroughScan | None = None
        self._limits: Limits | None = None
        self._shape: tuple[int, ...] | None = None
        self._first_s = self._last_s = 0.0
        self._light = LightSeries()
        self._exposures: list[Exposure] = []
        self._details: list[float] = []
        self._background = Background()
        self._places = Places()
        self._heads: list[FloatArray] = []
        self._suspects: list[FloatArray] = []
        self.heat: Heat | None = None
        self.left_out = 0
        self.heads_now = 0

    @property
    def source(self) -> str:
        """Where the frames are from, without its password."""
        return masked(self._config.camera.source.strip())

    @property
    def is_empty(self) -> bool:
        """No frame came yet."""
        return self._shape is None

    @property
    def seconds(self) -> float:
        """On the capture clock, from the first frame to the last."""
        return self._last_s - self._first_s

    def add(self, frame: Frame) -> None:
        """Takes a frame; one of another size than the first is left out."""
        image = frame.image_bgr
        if self._shape is None:
            self._begin(frame)
        elif image.shape != self._shape:
            self.left_out += 1
            return
        self._last_s = frame.timestamp_s
        self._light.add(image, frame.timestamp_s)
        if self._pending is not None and (self._pending.done() or self._is_due(frame)):
            self._collect()
        if self._pending is None and self._beat.strikes(frame.timestamp_s):
            self._exposures.append(measure_exposure(image))
            self._details.append(detail(np.ascontiguousarray(image[:, :, 1])))
            self._background.offer(image)
            if self._scan is not None:
                self._pending = self._pool.submit(self._scan, image)

    def _is_due(self, frame: Frame) -> bool:
        return self._waits and self._beat.is_due(frame.timestamp_s)

    def _begin(self, frame: Frame) -> None:
        self._shape = frame.image_bgr.shape
        height, width = self._shape[:2]
        self._limits = limits_of(self._config, self._manifest, width)
        self._scan = ThoroughScan(self._config, self._manifest, self._limits)
        self.heat = Heat(width, height)
        self._first_s = frame.timestamp_s

    def _collect(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None or self.heat is None:
            return
        sightings = pending.result()
        self._places.add(sightings)
        self.heat.add(sightings)
        self.heads_now = len(sightings)
        if sum(map(len, self._suspects)) < _MASK_AT_MOST:
            self._heads.append(sightings.boxes_xyxy)
            self._suspects.append(sightings.suspects_xyxy)

    def report(self, *, lens_degrees: float = 90.0, seats: Room | None = None) -> SurveyReport:
        """What is known so far.

        Args:
            lens_degrees: horizontal angle of view.
            seats: how the rows stand; six of them when None.

        Raises:
            SourceError: no frame came.
        """
        self._collect()
        if self._shape is None or self._limits is None:
            raise SourceError(self.source, "gave no picture", hint="roomtone doctor says why")
        places = self._places.result()
        faces = [place.brightness for place in places if place.grade is not Grade.TURNED]
        light = Light(
            exposure=_mean(self._exposures),
            detail=float(np.median(self._details)),
            face_brightness=float(np.median(faces)) if faces else None,
            beats=self._light.beats(),
        )
        height, width = self._shape[:2]
        report = SurveyReport(
            source=self.source,
            site=self._config.device.site,
            room=self._config.device.room,
            width_px=width,
            height_px=height,
            fps=self._light.fps,
            seconds=self.seconds,
            scans=self._places.scans,
            lens=Lens(width, lens_degrees),
            seats=seats or Room(),
            limits=self._limits,
            places=places,
            light=light,
            left_out=self.left_out,
        )
        return judged(report, self._config)

    def empty_room(self) -> Image:
        """The room without its people, (h, w, 3) uint8; see `background`.

        Raises:
            SourceError: no frame came.
        """
        self._collect()
        median = self._background.median()
        if median is None or self._shape is None:
            raise SourceError(self.source, "gave no picture")
        scale = np.float32(median.shape[1] / self._shape[1])
        heads, suspects = (
            np.concatenate([np.empty((0, 4), np.float32), *boxes]) * scale
            for boxes in (self._heads, self._suspects)
        )
        return hide_people(median, heads, suspects)

    def close(self) -> None:
        """Ends the thread; a look under way is finished first."""
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def watch(source: FrameSource, surveyor: Surveyor, seconds: float, on_progress: Progress) -> None:
    """Feeds frames until the time is over or the film ends.

    Args:
        source: open.
        surveyor: takes the frames.
        seconds: on the capture clock.
        on_progress: called with the seconds done and the heads seen last.

    Raises:
        SourceError: no frame came for a long time, or the film cannot be decoded.
    """
    silent_s = 0.0
    while surveyor.seconds < seconds:
        try:
            frame = source.read(_READ_TIMEOUT_S)
        except EndOfSource:
            break
        if frame is None:
            silent_s += _READ_TIMEOUT_S
            _judge_silence(source, surveyor, silent_s)
            continue
        silent_s = 0.0
        surveyor.add(frame)
        on_progress(min(seconds, surveyor.seconds), surveyor.heads_now)


def _judge_silence(source: FrameSource, surveyor: Surveyor, silent_s: float) -> None:
    """Gives up a camera that does not open, or stays away; one that was there may come back for a while."""
    problem, hint = f"no frame for {silent_s:.0f} s", "roomtone doctor looks closer"
    is_over = silent_s >= _NOBODY_S
    if isinstance(source, LiveCamera):
        is_over = is_over or (source.has_failed and surveyor.is_empty)
        problem, hint = source.last_problem or problem, source.last_hint or hint
    if is_over:
        raise SourceError(surveyor.source, problem, hint=hint)


def _mean(exposures: list[Exposure]) -> Exposure:
    count = max(1, len(exposures))
    return Exposure(
        *(
            math.fsum(getattr(item, name) for item in exposures) / count
            for name in ("mean", "spread", "black_share", "white_share")
        )
    )
