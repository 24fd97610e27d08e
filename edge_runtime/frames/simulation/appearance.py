"""How the simulated people look, and how light falls on them.

Drawn at random with equal chances for every skin tone, so that a measurement can be split by tone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from edge_runtime.frames.simulation.controls import FloatArray

Colour = tuple[float, float, float]  # BGR, 0–255

HairStyle = Literal["short", "crop", "fringe", "bob", "long", "afro", "bun", "headscarf"]
HAIR_STYLES: Final[tuple[HairStyle, ...]] = (
    "short",
    "crop",
    "fringe",
    "bob",
    "long",
    "afro",
    "bun",
    "headscarf",
)

# From light to dark, in the order of Fitzpatrick's types I–VI, as a camera with automatic exposure shows
# them.
SKIN_TONES_BGR: Final[tuple[Colour, ...]] = (
    (182, 204, 237),
    (158, 184, 224),
    (132, 165, 208),
    (98, 134, 180),
    (70, 100, 146),
    (50, 72, 108),
)
_HAIR_BGR: Final[tuple[Colour, ...]] = (
    (22, 22, 26),
    (28, 38, 58),
    (38, 58, 92),
    (60, 100, 150),
    (104, 164, 212),
    (38, 72, 140),
)
_DARK_HAIR: Final = 2  # the first so many hair colours also go with dark skin
_EYES_BGR: Final[tuple[Colour, ...]] = ((30, 45, 75), (40, 70, 105), (130, 110, 70), (80, 110, 85))
_CLOTHES_BGR: Final[tuple[Colour, ...]] = (
    (150, 92, 60),
    (74, 96, 160),
    (96, 140, 96),
    (90, 90, 98),
    (150, 150, 90),
    (110, 80, 130),
    (70, 130, 190),
    (176, 168, 160),
)


@dataclass(frozen=True, slots=True)
class Appearance:
    """What does not change about one person.

    Attributes:
        skin_tone: index into `SKIN_TONES_BGR`, 0 is the lightest.
        hair: style; a headscarf covers hair and ears.
        hair_bgr, eyes_bgr, clothes_bgr: colours, 0–255.
        glasses: thin-rimmed glasses.
        face_width, jaw_width, eye_size, nose_length, mouth_width: proportions, 1 is the average.
        texture_seed: seeds the fine irregularities of skin and hair.

    Raises:
        ValueError: the skin tone is none of the six, or a proportion lies outside of [0.5, 2].
    """

    skin_tone: int = 1
    hair: HairStyle = "short"
    hair_bgr: Colour = (28, 38, 58)
    eyes_bgr: Colour = (40, 70, 105)
    clothes_bgr: Colour = (150, 92, 60)
    glasses: bool = False
    face_width: float = 1.0
    jaw_width: float = 1.0
    eye_size: float = 1.0
    nose_length: float = 1.0
    mouth_width: float = 1.0
    texture_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.skin_tone < len(SKIN_TONES_BGR):
            raise ValueError(f"skin_tone is {self.skin_tone}; it lies in 0–{len(SKIN_TONES_BGR) - 1}")
        for name in ("face_width", "jaw_width", "eye_size", "nose_length", "mouth_width"):
            if not 0.5 <= getattr(self, name) <= 2.0:
                raise ValueError(f"{name} is {getattr(self, name)}; it lies in [0.5, 2]")

    @property
    def skin_bgr(self) -> Colour:
        """The skin's colour in full light."""
        return SKIN_TONES_BGR[self.skin_tone]


@dataclass(frozen=True, slots=True)
class Light:
    """One soft lamp and the light that comes from everywhere.

    Attributes:
        azimuth_deg: where the lamp is: −90 image-left, 0 behind the camera, 90 image-right.
        elevation_deg: 0 at the height of the face, 90 straight above.
        strength: share of the lamp in [0, 1]; the rest is ambient.
        exposure: gain of the whole picture, 1 is well exposed.

    Raises:
        ValueError: strength or exposure is out of range.
    """

    azimuth_deg: float = -25.0
    elevation_deg: float = 35.0
    strength: float = 0.5
    exposure: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength is {self.strength}; it lies in [0, 1]")
        if not 0.1 <= self.exposure <= 2.0:
            raise ValueError(f"exposure is {self.exposure}; it lies in [0.1, 2]")

    def direction(self) -> FloatArray:
        """Unit vector from the face to the lamp; (3,) float32, x right, y down, z to the camera."""
        azimuth, elevation = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        level = math.cos(elevation)
        return np.array(
            [level * math.sin(azimuth), -math.sin(elevation), level * math.cos(azimuth)], np.float32
        )


@dataclass(frozen=True, slots=True)
class Pose:
    """How a head is turned, in degrees.

    Convention: at 0, 0, 0 the face looks straight into the camera; positive yaw turns it to the image's
    right, positive pitch downwards, positive roll tilts it clockwise as seen in the image.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    rotation: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        yaw, pitch, roll = (math.radians(angle) for angle in (self.yaw_deg, self.pitch_deg, self.roll_deg))
        cy, sy, cp, sp, cr, sr = (f(angle) for angle in (yaw, pitch, roll) for f in (math.cos, math.sin))
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        object.__setattr__(self, "rotation", (about_z @ about_y @ about_x).astype(np.float32))


def random_appearance(rng: np.random.Generator, *, skin_tone: int | None = None) -> Appearance:
    """A person drawn at random; `skin_tone` fixes that one trait."""
    tone = int(rng.integers(len(SKIN_TONES_BGR))) if skin_tone is None else skin_tone
    hair_colours = _HAIR_BGR[: _DARK_HAIR if tone >= 3 else None]
    eye_colours = _EYES_BGR[: 2 if tone >= 3 else None]
    style = HAIR_STYLES[rng.choice(len(HAIR_STYLES), p=_hair_chances(tone))]
    hair_bgr = (
        _CLOTHES_BGR[rng.integers(len(_CLOTHES_BGR))] if style == "headscarf" else _pick(rng, hair_colours)
    )
    sizes = np.clip(
        rng.normal(1.0, 0.045, size=6), 0.9, 1.1
    )  # one is spare: five would make others of all seeds
    return Appearance(
        skin_tone=tone,
        hair=style,
        hair_bgr=hair_bgr,
        eyes_bgr=_pick(rng, eye_colours),
        clothes_bgr=_pick(rng, _CLOTHES_BGR),
        glasses=bool(rng.random() < 0.2),
        face_width=float(sizes[0]),
        jaw_width=float(sizes[1]),
        eye_size=float(sizes[2]),
        nose_length=float(sizes[3]),
        mouth_width=float(sizes[4]),
        texture_seed=int(rng.integers(2**31)),
    )


def _hair_chances(tone: int) -> npt.NDArray[np.float64]:
    chances = np.array([3.0, 2.0, 2.0, 2.0, 2.5, 0.3, 1.5, 0.8])  # in the order of HAIR_STYLES
    if tone >= 4:
        chances[HAIR_STYLES.index("afro")] = 2.5
    return np.asarray(chances / chances.sum(), np.float64)


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    shade = rng.uniform(0.9, 1.1)
    blue, green, red = colours[rng.integers(len(colours))]
    return (blue * shade, green * shade, red * shade)
