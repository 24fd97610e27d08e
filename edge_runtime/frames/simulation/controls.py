"""What moves a simulated face: action units, gaze, and the expressions made of them.

Names and numbers of the action units (AU) follow the Facial Action Coding System (Ekman, Friesen and Hager
2002); the prototypes are those of EMFACS (Friesen and Ekman 1983), with two or three variants each, because
nobody smiles in one way only. Places in the valence–arousal plane follow Russell's circumplex (1980).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

EXPRESSIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

VALENCE_AROUSAL: Final[Mapping[str, tuple[float, float]]] = {
    "angry": (-0.65, 0.70),
    "disgust": (-0.70, 0.35),
    "fear": (-0.65, 0.75),
    "happy": (0.85, 0.45),
    "sad": (-0.75, -0.35),
    "surprise": (0.20, 0.80),
    "neutral": (0.0, 0.0),
}


@dataclass(frozen=True, slots=True)
class Controls:
    """The muscles of one face; all zero is a relaxed face with open eyes that looks at the camera.

    Attributes are intensities in [0, 1], both sides of the face alike; gaze is in [-1, 1], positive to the
    right and downwards in the image.

    Raises:
        ValueError: a value lies outside of its range or is not finite.
    """

    inner_brow_raise: float = 0.0  # AU1
    outer_brow_raise: float = 0.0  # AU2
    brow_lower: float = 0.0  # AU4
    upper_lid_raise: float = 0.0  # AU5
    cheek_raise: float = 0.0  # AU6
    lid_tighten: float = 0.0  # AU7
    nose_wrinkle: float = 0.0  # AU9
    upper_lip_raise: float = 0.0  # AU10
    lip_corner_pull: float = 0.0  # AU12
    lip_corner_depress: float = 0.0  # AU15
    chin_raise: float = 0.0  # AU17
    lip_stretch: float = 0.0  # AU20
    lip_tighten: float = 0.0  # AU23
    lip_press: float = 0.0  # AU24
    lips_part: float = 0.0  # AU25
    jaw_drop: float = 0.0  # AU26
    eyes_closed: float = 0.0  # AU43, in a blink AU45
    gaze_right: float = 0.0  # AU61, AU62
    gaze_down: float = 0.0  # AU63, AU64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = -1.0 if field.name.startswith("gaze") else 0.0
            if not least <= value <= 1.0:
                raise ValueError(f"{field.name} is {value}; it lies in [{least:g}, 1]")

    def vector(self) -> FloatArray:
        """The values in the order of `CONTROL_NAMES`, (C,) float32."""
        return np.array([getattr(self, name) for name in CONTROL_NAMES], np.float32)

    @classmethod
    def from_vector(cls, vector: FloatArray) -> Self:
        """The inverse of `vector`; values outside of their range are clipped."""
        return cls(*(float(value) for value in np.clip(vector, CONTROLS_LEAST, 1.0)))


CONTROL_NAMES: Final = tuple(field.name for field in fields(Controls))
CONTROL_INDEX: Final[Mapping[str, int]] = {name: index for index, name in enumerate(CONTROL_NAMES)}
CONTROLS_LEAST: Final = np.array(
    [-1.0 if name.startswith("gaze") else 0.0 for name in CONTROL_NAMES], np.float32
)

PROTOTYPES: Final[Mapping[str, tuple[Controls, ...]]] = {
    "angry": (
        Controls(
            brow_lower=1.0,
            upper_lid_raise=0.5,
            lid_tighten=0.7,
            lip_tighten=0.7,
            lip_press=0.8,
            chin_raise=0.3,
        ),
        Controls(
            brow_lower=1.0,
            upper_lid_raise=0.7,
            lid_tighten=0.5,
            upper_lip_raise=0.5,
            lip_tighten=0.4,
            lips_part=0.9,
            jaw_drop=0.25,
        ),
        Controls(brow_lower=0.9, lid_tighten=0.9, lip_tighten=0.9, lip_corner_depress=0.4, nose_wrinkle=0.2),
    ),
    "disgust": (
        Controls(
            nose_wrinkle=1.0, upper_lip_raise=0.8, brow_lower=0.5, lid_tighten=0.6, lip_corner_depress=0.4
        ),
        Controls(
            nose_wrinkle=0.8,
            upper_lip_raise=1.0,
            cheek_raise=0.4,
            lid_tighten=0.5,
            lips_part=0.5,
            chin_raise=0.4,
        ),
    ),
    "fear": (
        Controls(
            inner_brow_raise=1.0,
            outer_brow_raise=0.4,
            brow_lower=0.45,
            upper_lid_raise=1.0,
            lip_stretch=0.9,
            lips_part=0.7,
            jaw_drop=0.25,
        ),
        Controls(
            inner_brow_raise=0.9,
            outer_brow_raise=0.3,
            brow_lower=0.55,
            upper_lid_raise=0.9,
            lid_tighten=0.2,
            lip_stretch=1.0,
            lips_part=0.4,
        ),
    ),
    "happy": (
        Controls(cheek_raise=0.8, lip_corner_pull=1.0, lips_part=0.7, upper_lip_raise=0.2),
        Controls(cheek_raise=0.9, lip_corner_pull=1.0, lips_part=1.0, upper_lip_raise=0.25, jaw_drop=0.35),
        Controls(cheek_raise=0.5, lip_corner_pull=0.9),
    ),
    "sad": (
        Controls(inner_brow_raise=1.0, brow_lower=0.4, lip_corner_depress=0.9, chin_raise=0.5, gaze_down=0.3),
        Controls(
            inner_brow_raise=0.8, brow_lower=0.3, lip_corner_depress=1.0, eyes_closed=0.3, gaze_down=0.5
        ),
    ),
    "surprise": (
        Controls(
            inner_brow_raise=1.0, outer_brow_raise=1.0, upper_lid_raise=0.9, lips_part=0.6, jaw_drop=0.9
        ),
        Controls(
            inner_brow_raise=0.9, outer_brow_raise=1.0, upper_lid_raise=0.7, lips_part=0.6, jaw_drop=0.5
        ),
    ),
    "neutral": (Controls(),),
}


def expression(label: str, intensity: float = 1.0, *, variant: int = 0) -> Controls:
    """One of the prototypes at some intensity.

    Args:
        label: one of `EXPRESSIONS`.
        intensity: in [0, 1]; 0 is the relaxed face.
        variant: which prototype of the expression; counted modulo their number.

    Raises:
        ValueError: the label is not one of `EXPRESSIONS`, or the intensity is out of range.
    """
    if label not in PROTOTYPES:
        raise ValueError(f"{label!r} is not one of {', '.join(EXPRESSIONS)}")
    if not 0.0 <= intensity <= 1.0:
        raise ValueError(f"intensity is {intensity}; it lies in [0, 1]")
    prototypes = PROTOTYPES[label]
    return Controls.from_vector(np.float32(intensity) * prototypes[variant % len(prototypes)].vector())
