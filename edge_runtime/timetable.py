"""What a room does at which hour: activities, and a timetable of the week in local time.

P1 §3.3: what a face means depends on what the class is doing. The words are the design's.

    row = parse_row("mon-fri 10:00-10:15 break")
    activity_at([row], datetime(2026, 11, 25, 10, 5))  # "break"

A clock that jumps breaks nothing: a timetable has no state, it answers for the moment it is asked about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

Activity = Literal["lecture", "task", "discussion", "exam", "break"]
ACTIVITIES: Final[tuple[Activity, ...]] = get_args(Activity)
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_ROW: Final = re.compile(
    r"\s*(?P<days>[a-z,-]+)\s+(?P<start>\d{1,2}:\d{2})\s*-\s*(?P<end>\d{1,2}:\d{2})\s+(?P<activity>\S+)\s*",
    re.IGNORECASE,
)
_EXAMPLE: Final = "write it like “mon-fri 10:00-10:15 break” or “mon,wed 8:00-8:45 lecture”"


@dataclass(frozen=True, slots=True)
class TimetableRow:
    """One activity at one time of some days.

    Attributes:
        text: as it was written.
        days: 0 = Monday.
        start_min, end_min: minutes since local midnight; the end is exclusive, at most 1440.
        activity: what the room does.
    """

    text: str
    days: frozenset[int]
    start_min: int
    end_min: int
    activity: Activity

    def overlaps(self, other: TimetableRow) -> bool:
        """Whether both are in force at one moment."""
        return bool(self.days & other.days) and (
            self.start_min < other.end_min and other.start_min < self.end_min
        )


def parse_row(text: str) -> TimetableRow:
    """Reads `<days> <start>-<end> <activity>`; days are `mon`, `mon-fri` or `mon,wed`.

    Raises:
        ValueError: not of that shape, no such day, time or activity, or an end that is not after its start.
    """
    match = _ROW.fullmatch(text)
    if match is None:
        raise ValueError(f"“{text}” is no row of a timetable; {_EXAMPLE}")
    activity = next((known for known in ACTIVITIES if known == match["activity"].lower()), None)
    if activity is None:
        raise ValueError(f"“{text}”: {match['activity']} is not one of {', '.join(ACTIVITIES)}")
    start_min, end_min = (_minutes(match[key], text) for key in ("start", "end"))
    if end_min <= start_min:
        raise ValueError(f"“{text}” does not end after it begins; a row over midnight is two rows")
    return TimetableRow(text.strip(), _days(match["days"].lower(), text), start_min, end_min, activity)


def _minutes(clock: str, text: str) -> int:
    hour, minute = map(int, clock.split(":"))
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise ValueError(f"“{text}”: {clock} is no time of day (0:00 to 24:00)")
    return hour * 60 + minute


def _days(words: str, text: str) -> frozenset[int]:
    days: set[int] = set()
    for word in words.split(","):
        ends = word.split("-")
        if len(ends) > 2 or not all(end in DAYS for end in ends):
            raise ValueError(f"“{text}”: {word or 'nothing'} is no day; days are {', '.join(DAYS)}")
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        days |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return frozenset(days)


def check_overlaps(rows: Sequence[TimetableRow]) -> None:
    """Refuses a timetable that says two things of one moment.

    Raises:
        ValueError: names every such pair of rows.
    """
    clashes = [
        f"“{one.text}” and “{other.text}”"
        for place, one in enumerate(rows)
        for other in rows[place + 1 :]
        if one.overlaps(other)
    ]
    if clashes:
        raise ValueError(f"rows overlap: {'; '.join(clashes)}")


def activity_at(rows: Iterable[TimetableRow], local: datetime) -> Activity | None:
    """What the timetable says of a moment of local time; None between its rows."""
    minute = local.hour * 60 + local.minute
    day = local.weekday()
    return next(
        (row.activity for row in rows if day in row.days and row.start_min <= minute < row.end_min), None
    )
