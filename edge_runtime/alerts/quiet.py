"""Hours in which nobody is woken; they may reach over midnight."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Quiet hours in local time.

    Attributes:
        from_min, to_min: minutes since midnight, the end exclusive; an end before the beginning is on the next
            day. None: no such hours.
        days: days that are quiet throughout, 0 = Monday.
        zone: whose midnight; None: this machine's.
    """

    from_min: int | None = None
    to_min: int | None = None
    days: frozenset[int] = frozenset()
    zone: tzinfo | None = None

    def covers(self, ts: float) -> bool:
        """Whether a unix time is in them."""
        local = datetime.fromtimestamp(ts, self.zone)
        if local.weekday() in self.days:
            return True
        if self.from_min is None or self.to_min is None:
            return False
        minute = local.hour * 60 + local.minute
        if self.from_min < self.to_min:
            return self.from_min <= minute < self.to_min
        return minute >= self.from_min or minute < self.to_min


def parse_minute(text: str) -> int:
    """Minutes since midnight of `7:05`.

    Raises:
        ValueError: no time of the day.
    """
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise ValueError(f"{text!r} is no time of the day such as 18:00")
    return int(match[1]) * 60 + int(match[2])
