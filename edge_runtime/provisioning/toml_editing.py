r"""Setting keys of a TOML file that a person may have edited: only what differs is touched, comments stay.

updated("[room]\nwindow_s = 30  # short\n", {"device.room": "r12"})
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from edge_runtime.config_faults import lines_of_keys
from edge_runtime.config_file import toml_value
from edge_runtime.errors import ConfigurationError, Fault


def updated(
    text: str, values: Mapping[str, Any], *, origin: str = "configuration", notes: Mapping[str, str] = {}
) -> str:
    """The text with these keys.

    Args:
        text: valid TOML; may be empty.
        values: dotted key (`section.key`, or `key` for the top) → value; None removes the key.
        origin: how messages call it.
        notes: dotted key → a comment to set behind a value that is written anew.

    Raises:
        ConfigurationError: not TOML, or a key stands where it cannot be changed, as in an inline table.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        hint = "mend it, or move it away: a new one is written then"
        raise ConfigurationError(origin, [Fault("", f"not valid TOML: {exc}")], hint=hint) from exc
    for dotted, value in values.items():
        if _value(document, dotted) != value:
            text = _with(text, dotted, value, notes.get(dotted, ""))
    result = tomllib.loads(text) if _is_toml(text) else {}
    missed = [dotted for dotted, value in values.items() if _value(result, dotted) != value]
    if missed:
        faults = [Fault(dotted, f"cannot be set to {values[dotted]!r} by itself") for dotted in missed]
        raise ConfigurationError(origin, faults, hint="set it by hand, outside of inline tables")
    return text


def _value(document: Mapping[str, Any], dotted: str) -> Any:
    section, _, key = dotted.rpartition(".")
    table = document.get(section, {}) if section else document
    return table.get(key) if isinstance(table, Mapping) else None


def _with(text: str, dotted: str, value: Any, note: str) -> str:
    section, _, key = dotted.rpartition(".")
    lines, at = text.splitlines(), lines_of_keys(text)
    new = [] if value is None else [f"{key} = {toml_value(value)}" + (f"  # {note}" if note else "")]
    if dotted in at:
        lines[at[dotted] - 1 : at[dotted]] = new
    elif section and section in at:
        end = max(
            number for name, number in at.items() if name == section or name.rpartition(".")[0] == section
        )
        lines[end:end] = new
    elif section:
        lines += [*([""] if lines else []), f"[{section}]", *new]
    else:
        top = next((number for number, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
        while top and not lines[top - 1].strip():
            top -= 1
        lines[top:top] = new
    return "\n".join(lines) + "\n"


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
