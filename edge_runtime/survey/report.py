"""What a survey found: numbers about a place, and none about a person."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from edge_runtime import __version__
from edge_runtime.survey.exposure import Exposure
from edge_runtime.survey.flicker import Beat
from edge_runtime.survey.geometry import Lens
from edge_runtime.survey.places import Place
from edge_runtime.survey.readability import Grade, Limits

SCHEMA_ID: Final = "roomtone-survey/1"
# Faces darker than this, in a picture with so much plain white, sit against a window.
_BACKLIT_FACE, _BACKLIT_WHITE = 75.0, 0.06


@dataclass(frozen=True, slots=True)
class Room:
    """How the seats stand: rows at equal distances, along the camera's axis.

    Attributes:
        rows: number of them.
        first_m: distance of the first row from the camera.
        pitch_m: from one row to the next.
    """

    rows: int = 6
    first_m: float = 2.0
    pitch_m: float = 1.2

    def distances_m(self) -> list[float]:
        """Of each row from the camera."""
        return [self.first_m + index * self.pitch_m for index in range(self.rows)]


@dataclass(frozen=True, slots=True)
class Light:
    """Light and focus of the picture.

    Attributes:
        exposure: average over the survey.
        detail: median, see `edge_runtime.survey.focus.detail`.
        face_brightness: median grey level of the faces' skin; None without faces.
        beats: of the mains; empty where the film was too short to tell.
    """

    exposure: Exposure
    detail: float
    face_brightness: float | None
    beats: tuple[Beat, ...]

    @property
    def is_backlit(self) -> bool:
        """Faces are dark although the picture has a lot of white: they sit against a window."""
        dark = self.face_brightness is not None and self.face_brightness < _BACKLIT_FACE
        return dark and self.exposure.white_share > _BACKLIT_WHITE


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change.

    Attributes:
        what: is wrong.
        change: what to do.
    """

    what: str
    change: str


@dataclass(frozen=True, slots=True)
class SurveyReport:
    """See the module.

    Attributes:
        source: masked.
        site, room: of the configuration.
        width_px, height_px: of the camera's picture.
        fps: of the source; None for single pictures.
        seconds: that were looked at.
        scans: thorough looks.
        lens: as told; distances rest on it.
        seats: how the room's rows stand, as told.
        limits: widths that decide.
        places: where heads were.
        light: of the picture.
        word: `good`, `usable`, `poor`, or `empty` when nobody was seen.
        verdict: a sentence.
        advice: what to change, the most useful first.
        left_out: pictures of another size than the first.
        ts: of the report, unix s.
    """

    source: str
    site: str
    room: str
    width_px: int
    height_px: int
    fps: float | None
    seconds: float
    scans: int
    lens: Lens
    seats: Room
    limits: Limits
    places: tuple[Place, ...]
    light: Light
    word: str = ""
    verdict: str = ""
    advice: tuple[Advice, ...] = ()
    left_out: int = 0
    ts: float = field(default_factory=time.time)

    def count(self, grade: Grade) -> int:
        """Places of this grade."""
        return sum(place.grade is grade for place in self.places)

    @property
    def comfortable_m(self) -> float:
        """Up to this distance faces are read without loss."""
        return self.lens.distance_m(self.limits.comfortable_px)

    @property
    def readable_m(self) -> float:
        """Up to this distance faces are read at all."""
        return self.lens.distance_m(self.limits.least_px)

    def grade_at(self, distance_m: float) -> Grade:
        """What a well-lit face would be good for there."""
        if distance_m <= self.comfortable_m:
            return Grade.READABLE
        return Grade.MARGINAL if distance_m <= self.readable_m else Grade.SMALL

    def to_json(self) -> dict[str, Any]:
        """The report as plain values, schema `roomtone-survey/1`."""
        light = self.light
        return {
            "schema": SCHEMA_ID,
            "ts": round(self.ts, 3),
            "roomtone": __version__,
            "source": self.source,
            "site": self.site,
            "room": self.room,
            "width_px": self.width_px,
            "height_px": self.height_px,
            **({} if self.fps is None else {"fps": round(self.fps, 2)}),
            "seconds": round(self.seconds, 1),
            "scans": self.scans,
            "left_out": self.left_out,
            "verdict": self.word,
            "verdict_text": self.verdict,
            "advice": [{"what": item.what, "change": item.change} for item in self.advice],
            "limits": {
                "comfortable_px": round(self.limits.comfortable_px, 1),
                "readable_px": round(self.limits.readable_px, 1),
                "found_px": round(self.limits.found_px, 1),
            },
            "distances": {
                "lens_degrees": self.lens.degrees,
                "comfortable_m": round(self.comfortable_m, 2),
                "readable_m": round(self.readable_m, 2),
                "rows": [
                    {
                        "row": number,
                        "distance_m": round(distance, 2),
                        "face_px": round(self.lens.face_px(distance), 1),
                        "grade": self.grade_at(distance).words,
                    }
                    for number, distance in enumerate(self.seats.distances_m(), start=1)
                ],
            },
            "grades": {grade.words: self.count(grade) for grade in Grade},
            "places": [
                {
                    "x": round(place.x_px / self.width_px, 3),
                    "y": round(place.y_px / self.height_px, 3),
                    "face_px": round(place.face_px, 1),
                    "distance_m": round(self.lens.distance_m(place.face_px), 1),
                    "grade": place.grade.words,
                    "seen_share": round(place.seen_share, 2),
                    "eyes_share": round(place.eyes_share, 2),
                    "brightness": round(place.brightness),
                    "sharpness": round(place.sharpness, 4),
                }
                for place in self.places
            ],
            "light": {
                "mean": round(light.exposure.mean, 1),
                "black_share": round(light.exposure.black_share, 3),
                "white_share": round(light.exposure.white_share, 3),
                "detail": round(light.detail, 3),
                "backlit": int(light.is_backlit),
                **({} if light.face_brightness is None else {"faces": round(light.face_brightness, 1)}),
                "flicker": [
                    {
                        "mains_hz": beat.mains_hz,
                        "beat_hz": round(beat.beat_hz, 2),
                        **({} if beat.amplitude is None else {"amplitude": round(beat.amplitude, 4)}),
                        "seen": int(beat.is_seen),
                    }
                    for beat in light.beats
                ],
            },
        }
