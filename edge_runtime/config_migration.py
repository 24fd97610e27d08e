"""Versions of the configuration file: what was written for an earlier roomtone is read by this one.

    document, moved = to_current({"camera": {"width": 1280}})   # {"camera": {"width_px": 1280}}, {"camera.width": …}
    text = rewritten(old_text)                                  # the file itself, comments kept

A file names its version: `schema = "roomtone-config/2"`. One without is of version 1, which had no such key.

    1 → 2   camera.width, camera.height are camera.width_px, camera.height_px: units stand in names
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from edge_runtime.config import SCHEMA_ID, SCHEMA_VERSION
from edge_runtime.config_faults import lines_of_keys
from edge_runtime.errors import ConfigurationError, Fault

# version → keys that it calls by another name than the version before: {old: new}, dotted
_RENAMED: Final[Mapping[int, Mapping[str, str]]] = {
    2: {"camera.width": "camera.width_px", "camera.height": "camera.height_px"},
}


def to_current(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Brings a file's contents to this version.

    Args:
        document: as TOML gives it.

    Returns:
        The contents without `schema`; and which keys were renamed, {old: new}.

    Raises:
        ValueError: the version is unknown, or a key stands there under both its names.
    """
    current = deepcopy(dict(document))
    version = _version(current.pop("schema", None))
    moved = {}
    for step in range(version + 1, SCHEMA_VERSION + 1):
        for old, new in _RENAMED[step].items():
            section, old_key = old.split(".")
            table = current.get(section)
            if not isinstance(table, dict) or old_key not in table:
                continue
            new_key = new.split(".")[1]
            if new_key in table:
                raise ValueError(f"{old} is called {new} since version {step}, and both are there")
            table[new_key] = table.pop(old_key)
            moved[old] = new
    return current, moved


def _version(declared: object) -> int:
    if declared is None:
        return 1
    known = {
        SCHEMA_ID.replace(str(SCHEMA_VERSION), str(number)): number for number in range(1, SCHEMA_VERSION + 1)
    }
    if not isinstance(declared, str) or declared not in known:
        raise ValueError(f"schema is {declared!r}; this roomtone reads {', '.join(known)}")
    return known[declared]


def rewritten(text: str, *, origin: str = "configuration") -> str:
    """The file in this version, with its comments and its order.

    Args:
        text: valid TOML.
        origin: how messages call it.

    Raises:
        ConfigurationError: its version is unknown, or a key to be renamed stands where it is not found, as in an inline
            table.
    """
    document = tomllib.loads(text)
    try:
        current, moved = to_current(document)
    except ValueError as exc:
        raise ConfigurationError(origin, [Fault("", str(exc))]) from exc
    at = lines_of_keys(text)
    lines = text.splitlines()
    for old, new in moved.items():
        if old in at:
            lines[at[old] - 1] = lines[at[old] - 1].replace(old.split(".")[1], new.split(".")[1], 1)
    if "schema" in at:
        lines[at["schema"] - 1] = re.sub(r"=.*", f'= "{SCHEMA_ID}"', lines[at["schema"] - 1])
    else:
        lines.insert(0, f'schema = "{SCHEMA_ID}"')
    result = "\n".join(lines) + "\n"
    if tomllib.loads(result) != {"schema": SCHEMA_ID, **current}:
        faults = [Fault(old, f"is now called {new}; rename it by hand") for old, new in moved.items()]
        raise ConfigurationError(origin, faults, hint="it stands in an inline table, or under a quoted name")
    return result
