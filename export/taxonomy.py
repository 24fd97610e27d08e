"""How the classes of a data set are read: polarity, valence, arousal, reading for learning.

Valence (pleasure), arousal and dominance are the means that raters gave the words in Russell and Mehrabian 1977,
Table 2: joyful, angry, fearful, sad, disgusted, surprised. Contempt is not among those words and has the place
of disgusted. The readings for learning are P1 §4's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_runtime.bundle import Label
from edge_runtime.errors import ConfigurationError, Fault

_KNOWN: Final = {
    label.name: label
    for label in (
        Label(name="angry", polarity=-1, valence=-0.51, arousal=0.59, reading="frustration"),
        Label(name="disgust", polarity=-1, valence=-0.60, arousal=0.35, reading="boredom"),
        Label(name="fear", polarity=-1, valence=-0.64, arousal=0.60, reading="anxiety"),
        Label(name="happy", polarity=1, valence=0.76, arousal=0.48, reading="interest"),
        Label(name="sad", polarity=-1, valence=-0.63, arousal=-0.27, reading="frustration"),
        Label(name="surprise", polarity=0, valence=0.40, arousal=0.67, reading="curiosity"),
        Label(name="neutral", polarity=0, valence=0.0, arousal=0.0, reading="calm"),
        Label(name="contempt", polarity=-1, valence=-0.60, arousal=0.35, reading="boredom"),
    )
}
# The third mean of the same table.
_DOMINANCE: Final = {
    "angry": 0.25,
    "disgust": 0.11,
    "fear": -0.43,
    "happy": 0.35,
    "sad": -0.33,
    "surprise": -0.13,
    "neutral": 0.0,
    "contempt": 0.11,
}


def dimensions_of(names: Sequence[str]) -> list[tuple[float, float, float]]:
    """Valence, arousal and dominance of each class; zeros for a class that no table here describes."""
    nowhere = (0.0, 0.0, 0.0)
    return [
        (_KNOWN[name].valence, _KNOWN[name].arousal, _DOMINANCE[name]) if name in _KNOWN else nowhere
        for name in names
    ]


def labels_of(names: Sequence[str], origin: Path) -> tuple[Label, ...]:
    """The label table of the classes of a checkpoint or a data set, in their order.

    Raises:
        ConfigurationError: there is a class that no table here describes.
    """
    unknown = [
        Fault(name, "is a class without polarity, valence and arousal")
        for name in names
        if name not in _KNOWN
    ]
    if unknown:
        hint = f"known are {', '.join(_KNOWN)}; add others to export/taxonomy.py, with their source"
        raise ConfigurationError(str(origin), unknown, hint=hint)
    return tuple(_KNOWN[name] for name in names)
