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
        Label(name="angry", polarity=-1, valence=-0.51, arousal=0.59, dominance=0.25, reading="frustration"),
        Label(name="disgust", polarity=-1, valence=-0.60, arousal=0.35, dominance=0.11, reading="boredom"),
        Label(name="fear", polarity=-1, valence=-0.64, arousal=0.60, dominance=-0.43, reading="anxiety"),
        Label(name="happy", polarity=1, valence=0.76, arousal=0.48, dominance=0.35, reading="interest"),
        Label(name="sad", polarity=-1, valence=-0.63, arousal=-0.27, dominance=-0.33, reading="frustration"),
        Label(name="surprise", polarity=0, valence=0.40, arousal=0.67, dominance=-0.13, reading="curiosity"),
        Label(name="neutral", polarity=0, valence=0.0, arousal=0.0, dominance=0.0, reading="calm"),
        Label(name="contempt", polarity=-1, valence=-0.60, arousal=0.35, dominance=0.11, reading="boredom"),
    )
}
_NOWHERE: Final = Label(name="nowhere", polarity=0, valence=0.0, arousal=0.0, dominance=0.0, reading="none")


def dimensions_of(names: Sequence[str]) -> list[tuple[float, float, float]]:
    """Valence, arousal and dominance of each class; zeros for a class that no table here describes."""
    known = [_KNOWN.get(name, _NOWHERE) for name in names]
    return [(label.valence, label.arousal, label.dominance or 0.0) for label in known]


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
