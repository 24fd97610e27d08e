"""The faults of a configuration in sentences, and the lines of its keys."""

from __future__ import annotations

import re
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError

from edge_runtime.config import Config
from edge_runtime.errors import Fault


def faults_of(error: ValidationError) -> list[Fault]:
    """The faults that pydantic found, worded for a person; `config_layers` adds file and line."""
    faults = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        problem = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            problem = "is not a key that roomtone knows" + _suggestion(item["loc"])
        elif item["type"] != "value_error":
            problem = f"{problem[0].lower()}{problem[1:]}, found {_shown(item['input'])}"
        faults.append(Fault(key, problem))
    return sorted(faults, key=lambda fault: fault.key)


def _shown(value: object) -> str:
    """The value as it may stand in a message: whatever could hold a password is only named by its kind."""
    if isinstance(value, str) and "@" in value:
        return "a url or an address"
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    return repr(value)


def _suggestion(location: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = Config
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return ""
        model = field.annotation
    close = get_close_matches(str(location[-1]), list(model.model_fields), n=1)
    return f"; did you mean {close[0]}?" if close else ""


_TABLE = re.compile(r"^\s*\[\s*([A-Za-z0-9_.-]+)\s*\]")
_TABLE_OF_ARRAY = re.compile(r"^\s*\[\[\s*([A-Za-z0-9_.-]+)\s*\]\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.-]+)\s*=")


def lines_of_keys(text: str) -> dict[str, int]:
    """The line of each `table`, `table.key` and `array.0.key`; keys of inline tables and quoted ones are not found."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE_OF_ARRAY.match(line):
            counts[match[1]] = counts.get(match[1], -1) + 1
            table = f"{match[1]}.{counts[match[1]]}"
            lines.setdefault(match[1], number)
            lines.setdefault(table, number)
        elif match := _TABLE.match(line):
            table = match[1]
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            lines.setdefault(f"{table}.{match[1]}" if table else match[1], number)
    return lines
