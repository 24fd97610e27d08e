"""How well a picture is lit: too dark, too bright, against the light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edge_runtime.frames.frame import Image

_STEP_PX: Final = 4  # every fourth pixel of every fourth row is enough
BLACK, WHITE = 12, 250  # grey levels at which a sensor shows nothing any more
_COVERED_MEAN, _COVERED_SPREAD = 20.0, 6.0
_DARK_MEAN: Final = 60.0
_BURNT_SHARE: Final = 0.15


@dataclass(frozen=True, slots=True)
class Exposure:
    """Light in one picture, or on average over several.

    Attributes:
        mean: grey level, 0..255.
        spread: standard deviation of the grey level.
        black_share, white_share: of the pixels, 0..1, that hold no detail any more.
    """

    mean: float
    spread: float
    black_share: float
    white_share: float

    @property
    def is_covered(self) -> bool:
        """Almost black and without detail: a closed slider, a cap, a dark room."""
        return self.mean < _COVERED_MEAN and self.spread < _COVERED_SPREAD

    @property
    def is_dark(self) -> bool:
        """Too little light on the whole."""
        return self.mean < _DARK_MEAN

    @property
    def is_burnt(self) -> bool:
        """A good part is white: windows, lamps, or a camera that is set too bright."""
        return self.white_share > _BURNT_SHARE


def measure_exposure(image: Image) -> Exposure:
    """Measures one picture.

    Args:
        image: (H, W) grey or (H, W, 3) BGR, uint8.
    """
    few = image[::_STEP_PX, ::_STEP_PX]
    grey = few if few.ndim == 2 else few @ np.array([0.114, 0.587, 0.299], np.float32)
    return Exposure(
        mean=float(grey.mean()),
        spread=float(grey.std()),
        black_share=float((grey <= BLACK).mean()),
        white_share=float((grey >= WHITE).mean()),
    )
