"""What the room is doing, and what that changes about the reading of faces (P1 §3.3).

    context = RoomContext(config.context.rows(), memory=path)
    context.set("exam")                   # from `context/set`; "auto" goes back to the timetable
    context.in_force(datetime.now())      # "exam"

Two tables, both by the reading for learning that the bundle gives its labels, so that they fit any label set;
a reading that a table does not name is left as it is.

* `PRIOR`, off by default: how much more or less often a reading is met in an activity than in the training
  data. By Bayes' rule with that ratio, p'(k) = p(k)·w(k) / Σ p·w. P1 gives no numbers; these are our judgement,
  kept between 2/3 and 3/2 so that no face is overruled.
* `READING`: what a reading becomes. P1 §3.3: frustration in a challenging task may be deep contemplation;
  P1 §4, 5): disgust is dissatisfaction or boredom; 1): happiness is interest or satisfaction.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.timetable import ACTIVITIES, Activity, TimetableRow, activity_at

_log = logging.getLogger(__name__)

AUTO: Final = "auto"

PRIOR: Final[Mapping[Activity, Mapping[str, float]]] = MappingProxyType(
    {
        "lecture": {"calm": 1.25, "boredom": 1.25, "interest": 0.8, "frustration": 0.8, "anxiety": 0.8},
        "task": {"thinking": 1.5, "calm": 1.25, "curiosity": 1.25, "interest": 0.8, "boredom": 0.8},
        "discussion": {"interest": 1.25, "curiosity": 1.25, "calm": 0.8, "anxiety": 0.8},
        "exam": {"thinking": 1.5, "anxiety": 1.25, "calm": 1.25, "interest": 0.67, "curiosity": 0.67},
        "break": {"interest": 1.5, "curiosity": 1.25, "boredom": 0.67, "anxiety": 0.67, "frustration": 0.67},
    }
)
READING: Final[Mapping[Activity, Mapping[str, str]]] = MappingProxyType(
    {
        "lecture": {},
        "task": {"frustration": "thinking"},
        "discussion": {"boredom": "dissatisfaction"},
        "exam": {"frustration": "thinking"},
        "break": {"interest": "satisfaction", "boredom": "dissatisfaction"},
    }
)


class RoomContext:
    """The activity in force. Set from the network's thread, read from the loop's.

    Args:
        rows: of the timetable.
        memory: a file that holds the activity that was set, over a restart; None: it is forgotten.
    """

    def __init__(self, rows: Sequence[TimetableRow], memory: Path | None = None) -> None:
        self._rows, self._memory = tuple(rows), memory
        self._lock = threading.Lock()
        self._set = self._remembered()

    def set(self, word: str) -> None:
        """An activity, or `auto`. One that cannot be remembered is in force all the same.

        Raises:
            ValueError: another word.
        """
        activity = next((known for known in ACTIVITIES if known == word), None)
        if activity is None and word != AUTO:
            raise ValueError(f"{word!r} is not one of {', '.join(ACTIVITIES)}, {AUTO}")
        with self._lock:
            self._set = activity
            self._remember(activity)

    def in_force(self, local: datetime) -> Activity | None:
        """What was set, else what the timetable says of this moment of local time; None: neither."""
        return self._set or activity_at(self._rows, local)

    def _remembered(self) -> Activity | None:
        try:
            word = "" if self._memory is None else self._memory.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            _log.warning("the activity that was set before the restart cannot be read: %s", exc)
            return None
        return next((known for known in ACTIVITIES if known == word), None)

    def _remember(self, activity: Activity | None) -> None:
        if self._memory is None:
            return
        try:
            if activity is None:
                self._memory.unlink(missing_ok=True)
            else:
                # Written aside and renamed: a power cut leaves the old word or the new one.
                aside = self._memory.with_name(f"{self._memory.name}.new")
                aside.write_text(activity, encoding="utf-8")
                aside.replace(self._memory)
        except OSError as exc:
            _log.warning("the activity cannot be kept over a restart: %s", exc)


class ContextPrior:
    """Re-weights class probabilities by the activity in force.

    Args:
        readings: reading for learning of each label, in the bundle's order.
    """

    def __init__(self, readings: Sequence[str]) -> None:
        self._weights = {
            activity: np.array([table.get(reading, 1.0) for reading in readings], np.float32)
            for activity, table in PRIOR.items()
        }

    def apply(
        self, probabilities: npt.NDArray[np.float32], activity: Activity | None
    ) -> npt.NDArray[np.float32]:
        """Bayes' rule with the activity's ratios.

        Args:
            probabilities: (N, K) float32, rows sum to 1.
            activity: in force; None changes nothing.

        Returns:
            (N, K) float32, rows sum to 1.
        """
        if activity is None:
            return probabilities
        weighted: npt.NDArray[np.float32] = probabilities * self._weights[activity]
        weighted /= weighted.sum(axis=1, keepdims=True)
        return weighted


def reading_in(activity: Activity | None, reading: str) -> str:
    """What a reading for learning becomes while the room is doing this."""
    return reading if activity is None else READING[activity].get(reading, reading)
