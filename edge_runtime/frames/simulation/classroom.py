"""The simulated classroom: a frame source that knows what is really in each of its frames.

    with SimulatedClassroom(students=12, seed=7, seconds=60) as source:
        frame = source.read()
        source.truth().labels

The room without heads is painted once; a head is painted anew only when it moved by what can be seen, into
the small part of the picture that it can reach.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, Self

import cv2
import numpy as np

from edge_runtime.errors import SourceUnavailableError
from edge_runtime.frames.frame import EndOfSource, Frame, Image, SourceCounters
from edge_runtime.frames.simulation.address import parse_address
from edge_runtime.frames.simulation.appearance import Appearance, Light, random_appearance
from edge_runtime.frames.simulation.controls import FloatArray
from edge_runtime.frames.simulation.desk import ROOM_NOISES, Desk, head_noise, room_noises
from edge_runtime.frames.simulation.face import FaceTruth
from edge_runtime.frames.simulation.lesson import LESSON_S, Student, StudentState, the_one_who_leaves
from edge_runtime.frames.simulation.scenery import paint_room, seats, teacher_place
from edge_runtime.frames.simulation.truth import GroundTruth

MAX_STUDENTS: Final = 60
LEAST_FACE_PX: Final = 8.0  # a face smaller than this is not drawn

# Streams of random numbers that are drawn from the one seed.
_PEOPLE, _LIGHT, _TEACHER = 101, 102, 104


class SimulatedClassroom:
    """A class that lives through a scripted lesson.

    Args:
        students: 1 to 60; more students sit in more rows and have smaller faces.
        seed: everything that is drawn at random follows from it.
        width, height: of the frames in pixels, at least 160 × 120.
        fps: frames per second of lesson time.
        seconds: length; None is endless.
        realtime: paced by the clock like a camera: frames that nobody took in time are skipped and counted as
            dropped. Otherwise frames come as fast as they are asked for.
        lesson_s: length of one lesson; the script of five phases stretches to it and starts again after it.
        teacher: somebody stands at the wall to the right; last in the truth's order, and one more than
            `students`.
        camera_id: what the frames are labelled with.
        clock, sleep: pace of `realtime`; the monotonic clock unless a test brings its own.

    Attributes:
        is_live: as `realtime`.
        appearances: who sits on each seat.
        light: the room's.

    Raises:
        SourceUnavailableError: an argument is out of range, or the faces would be smaller than 8 px.
    """

    online = True

    def __init__(
        self,
        *,
        students: int = 24,
        seed: int = 7,
        width: int = 1920,
        height: int = 1080,
        fps: float = 12.5,
        seconds: float | None = None,
        realtime: bool = False,
        lesson_s: float = LESSON_S,
        teacher: bool = False,
        camera_id: str = "camera",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        _check(
            students=students,
            seed=seed,
            width=width,
            height=height,
            fps=fps,
            seconds=seconds,
            lesson_s=lesson_s,
        )
        self.camera_id = camera_id
        self.is_live = realtime
        self.has_monotonic_clock = False
        self.counters = SourceCounters()
        self._size = (width, height)
        self._fps = fps
        self._frames_in_all = None if seconds is None else math.ceil(round(seconds * fps, 6))
        self._clock, self._sleep = clock, sleep
        self._started_s: float | None = None
        self._next = 0
        self._closed = False
        self._truth: GroundTruth | None = None

        light_rng = np.random.default_rng((seed, _LIGHT))
        self.light = Light(
            azimuth_deg=float(light_rng.uniform(-55, 55)),
            elevation_deg=float(light_rng.uniform(20, 50)),
            strength=float(light_rng.uniform(0.3, 0.6)),
            exposure=float(light_rng.uniform(0.8, 1.05)),
        )
        self.appearances = _people(students, seed)
        places = seats(students, width, height)
        if teacher:
            places.append(teacher_place(width, height))
            self.appearances.append(random_appearance(np.random.default_rng((seed, _TEACHER))))
        if (face_px := min(seat.face_px for seat in places)) < LEAST_FACE_PX:
            raise SourceUnavailableError(
                "simulated://",
                f"faces of {students} students would be {face_px:.1f} px wide in {width}×{height}",
                hint="fewer students, or larger frames",
            )
        leaver = the_one_who_leaves(seed, students)
        noise = head_noise(seed, max(places, key=lambda seat: seat.unit_px), width, height)
        self._desks = [
            Desk(
                seat,
                person,
                Student(seed, number, lesson_s=lesson_s, leaves=number == leaver),
                self.light,
                noise,
            )
            for number, (seat, person) in enumerate(zip(places, self.appearances, strict=True))
        ]
        self._room_noise = room_noises(seed, width, height)
        self._occupied: tuple[bool, ...] = ()
        self._rooms: list[Image] = []

    @classmethod
    def from_uri(cls, uri: str, *, camera_id: str = "camera", realtime: bool | None = None) -> Self:
        """Opens `simulated://students=24,seed=7,width=1280,…`; keys are the arguments up to `teacher`.

        Args:
            uri: the address.
            camera_id: of the frames.
            realtime: stands above the address's own `realtime`.

        Raises:
            SourceUnavailableError: a key is not known, or a value is malformed or out of range.
        """
        parameters = parse_address(uri)
        if realtime is not None:
            parameters["realtime"] = realtime
        return cls(camera_id=camera_id, **parameters)

    def read(self, timeout_s: float = 1.0) -> Frame | None:
        """Takes the next frame; with `realtime` the newest that is due.

        Args:
            timeout_s: with `realtime`, how long to wait for the next frame to be due.

        Returns:
            A frame, or None when none was due within `timeout_s`.

        Raises:
            EndOfSource: `seconds` are over.
            SourceUnavailableError: the source was closed.
        """
        if self._closed:
            raise SourceUnavailableError("simulated://", "was closed")
        if self._is_over():
            raise EndOfSource
        if self.is_live and not self._wait_until_due(timeout_s):
            return None
        position, self._next = self._next, self._next + 1
        timestamp_s = position / self._fps
        image = self._picture(timestamp_s, position)
        self.counters.frames += 1
        return Frame(image, timestamp_s, self.camera_id)

    def truth(self) -> GroundTruth:
        """What is in the frame that was handed out last.

        Raises:
            SourceUnavailableError: no frame was handed out yet.
        """
        if self._truth is None:
            raise SourceUnavailableError(
                "simulated://", "no frame was handed out yet", hint="call read() first"
            )
        return self._truth

    def close(self) -> None:
        """Ends the source; the last truth stays."""
        self._closed = True
        self._rooms.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _is_over(self) -> bool:
        return self._frames_in_all is not None and self._next >= self._frames_in_all

    def _wait_until_due(self, timeout_s: float) -> bool:
        """Waits for the next frame, or skips to the newest that is due; False: none in time."""
        now_s = self._clock()
        if self._started_s is None:
            self._started_s = now_s
        wait_s = self._started_s + self._next / self._fps - now_s
        if wait_s > timeout_s:
            self._sleep(max(0.0, timeout_s))
            return False
        if wait_s > 0:
            self._sleep(wait_s)
        newest = math.floor((now_s - self._started_s) * self._fps)
        if self._frames_in_all is not None:
            newest = min(newest, self._frames_in_all - 1)
        if newest > self._next:
            self.counters.dropped += newest - self._next
            self._next = newest
        return True

    def _picture(self, time_s: float, position: int) -> Image:
        states = [desk.student.at(time_s) for desk in self._desks]
        occupied = tuple(state.present for state in states)
        if occupied != self._occupied:
            self._paint_room_anew(occupied)
        image = self._rooms[position % ROOM_NOISES].copy()
        faces = [
            desk.paste(image, state, position)
            for desk, state in zip(self._desks, states, strict=True)
            if state.present
        ]
        self._truth = _truth_of(states, faces)
        return image

    def _paint_room_anew(self, occupied: tuple[bool, ...]) -> None:
        """Somebody came or went: bodies belong to the still part of the picture."""
        width, height = self._size
        people = [person if there else None for person, there in zip(self.appearances, occupied, strict=True)]
        room = paint_room(width, height, [desk.seat for desk in self._desks], people, self.light)
        self._rooms = [
            np.asarray(cv2.add(room, noise, dtype=cv2.CV_8U), np.uint8) for noise in self._room_noise
        ]
        for desk in self._desks:
            desk.place_before(room)
        self._occupied = occupied


def _truth_of(states: list[StudentState], faces: list[tuple[StudentState, FaceTruth]]) -> GroundTruth:
    present = [number for number, state in enumerate(states) if state.present]
    now = [states[number] for number in present]
    angles = [(p.pose.yaw_deg, p.pose.pitch_deg, p.pose.roll_deg) for p, _ in faces]
    return GroundTruth(
        boxes_xyxy=_stacked([face.box_xyxy for _, face in faces], (4,)),
        pupils_xy=_stacked([face.pupils_xy for _, face in faces], (2, 2)),
        landmarks_xy=_stacked([face.landmarks_xy for _, face in faces], (68, 2)),
        labels=np.array([state.label for state in now], np.str_),
        valence=np.array([state.valence for state in now], np.float32),
        arousal=np.array([state.arousal for state in now], np.float32),
        yaw_pitch_roll_deg=np.array(angles, np.float32).reshape(-1, 3),
        student=np.array(present, np.int64),
    )


def _stacked(rows: list[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    return np.array(rows, np.float32).reshape(-1, *shape)


def _people(students: int, seed: int) -> list[Appearance]:
    """A class in which every skin tone is about equally frequent."""
    rng = np.random.default_rng((seed, _PEOPLE))
    tones = rng.permutation(np.arange(students) % 6)
    return [random_appearance(rng, skin_tone=int(tone)) for tone in tones]


def _check(
    *, students: int, seed: int, width: int, height: int, fps: float, seconds: float | None, lesson_s: float
) -> None:
    ranges = {
        "students": (students, 1, MAX_STUDENTS),
        "seed": (seed, 0, 2**63 - 1),
        "width": (width, 160, 7680),
        "height": (height, 120, 4320),
        "fps": (fps, 0.1, 240),
        "seconds": (1 if seconds is None else seconds, 0, 1e7),
        "lesson_s": (lesson_s, 10, 1e5),
    }
    for name, (value, least, most) in ranges.items():
        if not least <= value <= most:
            raise SourceUnavailableError(
                "simulated://", f"{name} is {value}", hint=f"{name} lies in {least:g}–{most:g}"
            )
