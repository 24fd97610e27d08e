"""A scripted lesson: how every student's face and head move over time.

Five phases follow each other and start again. In each phase a student's time is cut into slots; a slot
holds at most one expression, which rises (onset), stays (apex) and falls (offset), all within the slot, so
two expressions never mix. Which one, how strong and how long is drawn from the phase's mood and the
student's temperament. Blinks, glances and turns of the head have slots of their own.

Every draw is seeded by (seed, student, kind of event, slot): a lesson is a pure function of time. Two
sources with the same seed agree, and frames may be skipped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from edge_runtime.frames.simulation.appearance import Pose
from edge_runtime.frames.simulation.controls import (
    CONTROL_INDEX,
    CONTROLS_LEAST,
    VALENCE_AROUSAL,
    Controls,
    FloatArray,
    expression,
)
from edge_runtime.timetable import Activity

LESSON_S: Final = 300.0  # length of a lesson that says no other
LABEL_FROM: Final = 0.4  # of its apex: from here on a face bears the expression's label, below it is neutral
_SLOT_S: Final = 7.0
_BLINK_SLOT_S: Final = 4.0
_BLINK_S: Final = 0.32
_TURN_SLOT_S: Final = 11.0


class _Event(IntEnum):
    TEMPERAMENT = 0
    EXPRESSION = 1
    BLINK = 2
    TURN = 3
    ABSENCE = 4


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a lesson.

    Attributes:
        name: what happens.
        activity: the room's, as a timetable would have it.
        share: of the lesson's length.
        moods: label → chance of an expression in a slot; what is missing to 1 stays neutral.
        posture: how a relaxed face looks meanwhile.
        valence, arousal: of a neutral face in this phase.
        looking_down: chance that a student looks down at the desk in a slot.
    """

    name: str
    activity: Activity
    share: float
    moods: Mapping[str, float]
    posture: Controls
    valence: float
    arousal: float
    looking_down: float


PHASES: Final = (
    Phase(
        "arrival", "break", 0.15, {"happy": 0.40, "surprise": 0.12, "sad": 0.05}, Controls(), 0.1, 0.1, 0.10
    ),
    Phase(
        "lecture",
        "lecture",
        0.25,
        {"happy": 0.08, "surprise": 0.10, "sad": 0.08, "disgust": 0.05},
        Controls(),
        0.0,
        0.0,
        0.15,
    ),
    Phase(
        "hard task",
        "task",
        0.25,
        {"angry": 0.22, "fear": 0.13, "sad": 0.15, "disgust": 0.10},
        Controls(brow_lower=0.18, lid_tighten=0.1),
        -0.15,
        0.15,
        0.40,
    ),
    Phase(
        "break-through",
        "discussion",
        0.15,
        {"happy": 0.68, "surprise": 0.20},
        Controls(cheek_raise=0.05),
        0.2,
        0.2,
        0.08,
    ),
    Phase(
        "tired",
        "lecture",
        0.20,
        {"sad": 0.30, "disgust": 0.12, "happy": 0.05},
        Controls(eyes_closed=0.22),
        -0.1,
        -0.4,
        0.25,
    ),
)


@dataclass(frozen=True, slots=True)
class Temperament:
    """How one student differs from the next.

    Attributes:
        expressiveness: factor on the chance and the strength of expressions.
        restlessness: factor on turns of the head and small movements.
        cheerfulness: in [−1, 1]; shifts chances between happy and sad.
    """

    expressiveness: float
    restlessness: float
    cheerfulness: float


@dataclass(frozen=True, slots=True)
class StudentState:
    """One student at one moment.

    Attributes:
        present: the seat is taken; all else has no meaning while it is not.
        controls: (C,) float32.
        pose: of the head.
        sway: (2,) displacement of the head, in units of the distance between the pupils.
        label: one of `controls.EXPRESSIONS`.
        intensity: how far the current expression has unfolded, in [0, 1]; 0 when there is none.
        valence, arousal: in [−1, 1].
    """

    present: bool
    controls: FloatArray
    pose: Pose
    sway: tuple[float, float]
    label: str
    intensity: float
    valence: float
    arousal: float


@dataclass(frozen=True, slots=True)
class _Episode:
    label: str
    apex: FloatArray
    start_s: float
    onset_s: float
    hold_s: float
    offset_s: float

    def unfolded(self, time_s: float) -> float:
        return unfold(time_s - self.start_s, self.onset_s, self.hold_s, self.offset_s)


def unfold(time_s: float, onset_s: float, hold_s: float, offset_s: float) -> float:
    """The course of an expression: from 0 smoothly up to 1 at the apex, and smoothly back to 0.

    Args:
        time_s: since the beginning of the onset.
        onset_s: time to the apex, above 0.
        hold_s: time at the apex.
        offset_s: time from the apex back to rest, above 0.
    """
    if time_s < onset_s + hold_s:
        return _smooth_step(time_s / onset_s)
    return _smooth_step(1 - (time_s - onset_s - hold_s) / offset_s)


def phase_at(time_s: float, lesson_s: float) -> Phase:
    """The phase of the lesson at some time; lessons follow each other without a break."""
    place = (time_s % lesson_s) / lesson_s
    for phase in PHASES:
        if place < phase.share:
            return phase
        place -= phase.share
    return PHASES[-1]


class Student:
    """One student's part in the script; `at` is a pure function of time.

    Args:
        seed: of the classroom.
        number: seat of the student.
        lesson_s: length of the lesson.
        leaves: leaves the room once in every lesson, and comes back.
    """

    def __init__(self, seed: int, number: int, *, lesson_s: float, leaves: bool = False) -> None:
        self._seed, self._number, self._lesson_s, self._leaves = seed, number, lesson_s, leaves
        rng = self._rng(_Event.TEMPERAMENT, 0)
        self.temperament = Temperament(
            expressiveness=float(rng.uniform(0.75, 1.25)),
            restlessness=float(rng.uniform(0.4, 1.3)),
            cheerfulness=float(rng.uniform(-0.7, 0.7)),
        )
        self._phase_shift = rng.uniform(0, 2 * math.pi, size=6)
        self._tempo = rng.uniform(0.7, 1.3, size=6)
        self._stagger_s = float(rng.uniform(0, _SLOT_S))
        self._episode: tuple[int, _Episode | None] = (-1, None)
        self._blink: tuple[int, float] = (-1, 0.0)
        self._turn: tuple[int, tuple[float, float, float, float]] = (-1, (0.0, 0.0, 0.0, 0.0))

    def at(self, time_s: float) -> StudentState:
        """The student's state; `time_s` ≥ 0 since the beginning of the lesson."""
        phase = phase_at(time_s, self._lesson_s)
        controls = phase.posture.vector()
        episode = self._episode_at(time_s)
        unfolded = episode.unfolded(time_s) if episode is not None else 0.0
        label, valence, arousal = "neutral", phase.valence, phase.arousal
        if episode is not None:
            controls = (1 - unfolded) * controls + unfolded * episode.apex
            its_valence, its_arousal = VALENCE_AROUSAL[episode.label]
            valence += unfolded * (its_valence - valence)
            arousal += unfolded * (its_arousal - arousal)
            label = episode.label if unfolded >= LABEL_FROM else label
        turn_yaw, turn_pitch, turned = self._turn_at(time_s)
        controls[_EYES_CLOSED] = max(controls[_EYES_CLOSED], self._blink_at(time_s))
        controls[_GAZE_DOWN] += 0.5 * turned * (turn_pitch > 0)
        controls[_GAZE_RIGHT] += 0.012 * turn_yaw
        wave = np.sin(2 * math.pi * _SWAY_HZ * self._tempo * time_s + self._phase_shift)
        yaw, pitch, roll, dx, dy, gaze = (wave * _SWAY * self.temperament.restlessness).tolist()
        controls[_GAZE_RIGHT] += gaze
        return StudentState(
            present=not self._is_out(time_s),
            controls=np.clip(controls, CONTROLS_LEAST, 1.0).astype(np.float32),
            pose=Pose(yaw + turn_yaw, pitch + turn_pitch, roll),
            sway=(dx, dy),
            label=label,
            intensity=unfolded,
            valence=valence,
            arousal=arousal,
        )

    def _rng(self, event: _Event, slot: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, self._number, int(event), slot))

    def _episode_at(self, time_s: float) -> _Episode | None:
        slot = math.floor((time_s + self._stagger_s) / _SLOT_S)
        if slot != self._episode[0]:
            self._episode = (slot, self._draw_episode(slot))
        return self._episode[1]

    def _draw_episode(self, slot: int) -> _Episode | None:
        begin_s = slot * _SLOT_S - self._stagger_s
        rng = self._rng(_Event.EXPRESSION, slot)
        phase = phase_at(max(0.0, begin_s + _SLOT_S / 2), self._lesson_s)
        label = self._draw_label(rng.random(), phase)
        onset_s, offset_s = float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.5, 1.1))
        hold_s = float(rng.uniform(2.5, _SLOT_S - onset_s - offset_s - 0.2))
        start_s = begin_s + float(rng.uniform(0, _SLOT_S - onset_s - hold_s - offset_s))
        strength = float(np.clip(rng.normal(0.85, 0.12) * self.temperament.expressiveness, 0.5, 1.0))
        variant = int(rng.integers(6))
        if label == "neutral":
            return None
        return _Episode(
            label, expression(label, strength, variant=variant).vector(), start_s, onset_s, hold_s, offset_s
        )

    def _draw_label(self, chance: float, phase: Phase) -> str:
        moody = {"happy": 1 + self.temperament.cheerfulness, "sad": 1 - self.temperament.cheerfulness}
        chances = {
            label: share * moody.get(label, 1.0) * self.temperament.expressiveness
            for label, share in phase.moods.items()
        }
        # Even the liveliest student is neutral in one slot out of twenty.
        total = max(1.0, sum(chances.values()) / 0.95)
        for label, share in chances.items():
            chance -= share / total
            if chance < 0:
                return label
        return "neutral"

    def _blink_at(self, time_s: float) -> float:
        slot = math.floor(time_s / _BLINK_SLOT_S)
        if slot != self._blink[0]:
            start = self._rng(_Event.BLINK, slot).uniform(0, _BLINK_SLOT_S - _BLINK_S)
            self._blink = (slot, slot * _BLINK_SLOT_S + float(start))
        since = (time_s - self._blink[1]) / _BLINK_S
        return math.sin(math.pi * since) if 0 < since < 1 else 0.0

    def _turn_at(self, time_s: float) -> tuple[float, float, float]:
        """Yaw, pitch and how far the turn has unfolded."""
        slot = math.floor((time_s + self._stagger_s) / _TURN_SLOT_S)
        if slot != self._turn[0]:
            self._turn = (slot, self._draw_turn(slot))
        yaw, pitch, start_s, hold_s = self._turn[1]
        turned = unfold(time_s - start_s, 0.6, hold_s, 0.6)
        return yaw * turned, pitch * turned, turned

    def _draw_turn(self, slot: int) -> tuple[float, float, float, float]:
        begin_s = slot * _TURN_SLOT_S - self._stagger_s
        rng = self._rng(_Event.TURN, slot)
        phase = phase_at(max(0.0, begin_s + _TURN_SLOT_S / 2), self._lesson_s)
        kind = rng.random()
        hold_s = float(rng.uniform(0.8, 5.0))
        start_s = begin_s + float(rng.uniform(0, _TURN_SLOT_S - hold_s - 1.3))
        yaw, pitch = float(rng.uniform(12, 28) * rng.choice((-1, 1))), float(rng.uniform(12, 24))
        if kind < phase.looking_down:
            return 0.2 * yaw, pitch, start_s, hold_s
        if kind < phase.looking_down + 0.22 * self.temperament.restlessness:
            return yaw, 0.0, start_s, hold_s
        return 0.0, 0.0, start_s, hold_s

    def _is_out(self, time_s: float) -> bool:
        if not self._leaves:
            return False
        lesson = math.floor(time_s / self._lesson_s)
        leave, away = self._rng(_Event.ABSENCE, lesson).uniform((0.08, 0.05), (0.5, 0.15))
        return bool(leave <= time_s / self._lesson_s - lesson < leave + away)


def the_one_who_leaves(seed: int, students: int) -> int | None:
    """Which student leaves the room and returns; None in a class of one."""
    return None if students < 2 else int(np.random.default_rng((seed, students)).integers(students))


def _smooth_step(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


_EYES_CLOSED: Final = CONTROL_INDEX["eyes_closed"]
_GAZE_RIGHT: Final = CONTROL_INDEX["gaze_right"]
_GAZE_DOWN: Final = CONTROL_INDEX["gaze_down"]
# Small movements: yaw, pitch and roll in degrees, place in pupil distances, gaze.
_SWAY: Final = np.array([3.0, 2.0, 2.0, 0.06, 0.03, 0.08])
_SWAY_HZ: Final = np.array([0.11, 0.13, 0.07, 0.09, 0.21, 0.17])
