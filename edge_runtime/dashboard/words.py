"""All English that the dashboard says, on the page and here, is in one file: `static/strings.en.json`."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Final

STATIC: Final = files("edge_runtime.dashboard") / "static"


@cache
def strings() -> dict[str, str]:
    """Key → sentence; `{names}` in it are filled in by `say` here and by `say` of `words.js` on the page."""
    table: dict[str, str] = json.loads((STATIC / "strings.en.json").read_text(encoding="utf-8"))
    return table


def say(key: str, **facts: object) -> str:
    """One sentence, with its facts filled in."""
    return strings()[key].format(**facts)


def duration(seconds: float) -> str:
    """A time span as people say it: `40 s`, `12 min`, `3 h 5 min`, `4 days`."""
    seconds = abs(seconds)
    if seconds < 90:
        return say("unit.seconds", count=round(seconds))
    minutes = round(seconds / 60)
    if minutes < 60:
        return say("unit.minutes", count=minutes)
    if minutes < 48 * 60:
        hours, rest = divmod(minutes, 60)
        return (
            say("unit.hours_minutes", hours=hours, minutes=rest) if rest else say("unit.hours", count=hours)
        )
    return say("unit.days", count=round(minutes / 1440))
