"""`docs/configuration.md`: every key of the configuration, from the schema that checks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_runtime.config import SCHEMA_ID, config_schema
from edge_runtime.config_file import toml_value
from edge_runtime.device_profile import load_profile, profile_names

_INTRODUCTION = f"""\
# Configuration: every key

<!-- Written by `make docs` (`roomtone config docs`) from the schema that checks the files. Not by hand. -->

A configuration is one TOML file, or a folder of layers. `roomtone run --config /etc/roomtone` reads what is there of

| | |
|---|---|
| the board's profile | what suits the hardware; named by `profile = "…"` in any of the files |
| `site.toml` | the school: ids, declaration, broker; the same on all of its devices |
| `room.toml` | the room: its id, timetable, zones |
| `camera.toml` | this device: its id, its camera, its profile |

in this order. What comes later wins, key by key; an array is one value. `--config` may be given several times, for
files and folders. Relative paths are meant from the file that names them.

    roomtone config show --explain /etc/roomtone   # each key, and which layer set it
    roomtone config validate /etc/roomtone         # all faults at once, each with file and line
    roomtone config migrate old.toml               # a file of an earlier version, written anew
    roomtone config show > config.toml             # one file to start from

On top of a file, outside of every section:

* `schema = "{SCHEMA_ID}"`: the version of the file. Without it a file is of version 1. Earlier versions are read,
  with a warning that names what is called otherwise now; an unknown one is a fault.
* `profile = "raspberry-pi-5"`: one of the profiles below, `auto` for the one that fits the board, or a file's path.

User, password and private key of the broker, user and password of a network camera are no part of it: they come from
the environment or from `$CREDENTIALS_DIRECTORY` (see [installing](installing.md)).
"""


def configuration_page() -> str:
    """The whole page, in Markdown."""
    schema = config_schema()
    parts = [_INTRODUCTION]
    for name, section in schema["properties"].items():
        if "$ref" in section or "allOf" in section:
            parts.append("\n".join(_section(name, _resolved(section, schema), schema)))
    parts.append("\n".join(_profiles()))
    return "\n".join(parts)


def _section(name: str, section: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"## `[{name}]`\n"
    yield f"{_sentence(section.get('description', ''))}\n"
    yield from _table(section, schema)
    for key, field in section["properties"].items():
        for table in _tables_within(field, schema):
            yield f"### `{name}.{key}`: a table each\n"
            yield from _table(table, schema)


def _table(section: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | values | default | meaning |"
    yield "|---|---|---|---|"
    for key, field in section["properties"].items():
        default = "" if field.get("default") is None else f"`{toml_value(field['default'])}`"
        if key in section.get("required", ()):
            default = "needed"
        meaning = (
            _resolved(field, schema).get("description", "")
            if "description" not in field
            else field["description"]
        )
        cells = (f"`{key}`", _values(field, schema), default, meaning)
        yield "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    yield ""


def _values(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Type and range in words."""
    field = _resolved(field, schema)
    if "anyOf" in field:
        kinds = [_values(option, schema) for option in field["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    match field.get("type"):
        case "boolean":
            return "`true`, `false`"
        case "integer" | "number":
            return _range("whole number" if field["type"] == "integer" else "number", field)
        case "array":
            items: list[Mapping[str, Any]] = field.get("prefixItems") or [field.get("items", {})]
            return "array of " + " and ".join(dict.fromkeys(_values(item, schema) for item in items))
        case "object":
            return "table"
    if field.get("format") == "path":
        return "path"
    if "pattern" in field:
        return f"text like `{field['pattern']}`"
    return f"text, up to {field['maxLength']} characters" if "maxLength" in field else "text"


def _range(kind: str, field: Mapping[str, Any]) -> str:
    words = (
        ("minimum", "from"),
        ("exclusiveMinimum", "above"),
        ("maximum", "to"),
        ("exclusiveMaximum", "below"),
    )
    return " ".join([kind, *(f"{word} {field[bound]:g}" for bound, word in words if bound in field)])


def _tables_within(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Tables that are values of a key, or items of its array."""
    options = [field, *field.get("anyOf", ()), field.get("items", {})]
    for option in [*options, *(option.get("items", {}) for option in options)]:
        table = _resolved(option, schema)
        if table is not option and "properties" in table:
            yield table


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref") or next(
        (part["$ref"] for part in field.get("allOf", ()) if "$ref" in part), None
    )
    if reference is None:
        return field
    resolved: Mapping[str, Any] = schema["$defs"][reference.rpartition("/")[2]]
    return resolved


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _profiles() -> Iterator[str]:
    profiles = [load_profile(name) for name in profile_names()]
    yield "## The profiles\n"
    yield (
        "What each sets; `roomtone config show --explain` shows where a value is from. The rates were measured on an\n"
        "x86-64 with VNNI (`make bench`); on no other of these boards has any of it been measured yet.\n"
    )
    keys = list(dict.fromkeys(key for profile in profiles for key in profile.sources))
    yield "| | " + " | ".join(f"`{profile.name}`" for profile in profiles) + " |"
    yield "|---" * (len(profiles) + 1) + "|"
    for key in keys:
        section, name = key.split(".")
        cells = []
        for profile in profiles:
            value = profile.configuration[section].get(name, "")
            shown = ", ".join(value) if isinstance(value, list) else f"{value}"
            cells.append(shown + (" ~" if profile.sources.get(key, "").startswith("estimated") else ""))
        yield f"| `{key}` | " + " | ".join(cells) + " |"
    cells = ["yes" if profile.saturates else "no" for profile in profiles]
    yield "| INT8 sums saturate | " + " | ".join(cells) + " |"
    yield "| slows down from, °C | " + " | ".join(f"{profile.throttles_c:g}" for profile in profiles) + " |"
    yield "\n`~`: an estimate.\n"
