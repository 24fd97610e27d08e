"""Folds, bulges and highlights of the skin that come and go with the action units.

They are painted as grey levels into a layer that multiplies the skin (see `skin.NEUTRAL_SHADE`), and
blurred with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.controls import CONTROL_INDEX, FloatArray
from edge_runtime.frames.simulation.skin import NEUTRAL_SHADE
from edge_runtime.frames.simulation.strokes import ellipse, fill, lines

_FAINTEST: Final = 0.03  # a fold weaker than this is not drawn


def _both(part: str) -> tuple[str, str]:
    return f"{part}_left", f"{part}_right"


_BROW_RIDGES: Final = _both("brow_ridge")
_BAGS: Final = _both("bag")
_NASOLABIAL: Final = _both("fold")
_CROWS_FEET: Final = _both("crow")
_FROWNS: Final = _both("frown")
_WINGS: Final = _both("wing")
_DIMPLES: Final = _both("dimple")
_FOREHEAD: Final = tuple(f"forehead_{number}" for number in range(3))
_BRIDGE: Final = tuple(f"bridge_wrinkle_{number}" for number in range(2))


def paint_folds(
    shade: Image, outline: Mapping[str, FloatArray], controls: FloatArray, unit_px: float, lamp_x: float
) -> None:
    """Paints one face's folds.

    Args:
        shade: (H, W) uint8, filled with `NEUTRAL_SHADE`.
        outline: outlines by name, in pixels of `shade`.
        controls: (C,) float32.
        unit_px: distance between the pupils.
        lamp_x: from which side the light comes, −1 image-left to 1 image-right.
    """
    au = {name: float(controls[index]) for name, index in CONTROL_INDEX.items()}

    def fold(names: Sequence[str], depth: float, width: float) -> None:
        if depth > _FAINTEST:
            paths = [outline[name] for name in names]
            lines(shade, paths, (NEUTRAL_SHADE * (1 - min(depth, 0.8)),), width * unit_px)

    brows = max(au["inner_brow_raise"], au["outer_brow_raise"])
    smile = max(
        au["lip_corner_pull"], 0.8 * au["upper_lip_raise"], 0.7 * au["nose_wrinkle"], 0.4 * au["lip_stretch"]
    )
    # The side of the nose that is turned away from the lamp lies in its shadow.
    fold(["nose_side_left"], 0.10 + 0.16 * max(0.0, lamp_x), 0.12)
    fold(["nose_side_right"], 0.10 + 0.16 * max(0.0, -lamp_x), 0.12)
    fold(_BROW_RIDGES, 0.12 + 0.22 * au["brow_lower"] + 0.10 * au["nose_wrinkle"], 0.13)
    fold(_BAGS, 0.07 + 0.16 * au["cheek_raise"] + 0.08 * au["lid_tighten"], 0.05)
    fold(_NASOLABIAL, 0.05 + 0.20 * smile, 0.04)
    fold(_CROWS_FEET, 0.22 * au["cheek_raise"], 0.03)
    fold(_FROWNS, 0.42 * au["brow_lower"], 0.05)
    fold(_WINGS, 0.22 + 0.12 * au["nose_wrinkle"], 0.05)
    fold(_DIMPLES, 0.14 + 0.08 * max(au["lip_corner_pull"], au["lip_press"]), 0.05)
    fold(_FOREHEAD, 0.20 * max(0.0, brows - 0.25), 0.03)
    fold(_BRIDGE, 0.32 * au["nose_wrinkle"], 0.04)
    fold(["under_lip"], 0.10 + 0.16 * max(au["chin_raise"], au["lip_press"]), 0.07)
    base = outline["nose_base"]
    fill(
        shade,
        np.concatenate([base, base[::-1] + np.array([0.0, 0.05], np.float32) * unit_px]),
        (NEUTRAL_SHADE * 0.76,),
    )
    lines(shade, [outline["ridge"]], (NEUTRAL_SHADE * 1.10,), 0.11 * unit_px)
    ellipse(shade, outline["ridge"][-1], (0.10 * unit_px, 0.08 * unit_px), (NEUTRAL_SHADE * 1.18,))
