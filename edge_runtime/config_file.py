"""The configuration as a file: checked whole, all faults at once with their lines; written with every key explained.

config = load_config(Path("/etc/roomtone/config.toml"))
print(to_toml(config))
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ValidationError

from edge_runtime.config import Config, url_scheme
from edge_runtime.errors import ConfigurationError, Fault


def load_config(path: Path) -> Config:
    """Reads and checks a configuration file.

    Relative paths in the file are meant from the file's own folder, also those of films and folders of
    images.

    Raises:
        ConfigurationError: the file is missing, is not TOML, or has faults; all of them are listed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(
            str(path),
            [Fault("", f"cannot be read: {exc.strerror}")],
            hint="roomtone config show prints one to start from",
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(str(path), [Fault("", f"is not UTF-8 text: {exc.reason}")]) from exc
    return parse_config(text, origin=str(path), folder=path.parent)


def parse_config(text: str, *, origin: str = "configuration", folder: Path | None = None) -> Config:
    """Checks a configuration given as TOML text; see `load_config`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(origin, [Fault("", f"not valid TOML: {exc}")]) from exc
    try:
        config = Config.model_validate(document)
    except ValidationError as exc:
        raise ConfigurationError(origin, faults_of(exc, _lines_of_keys(text))) from exc
    return config if folder is None else _resolve_paths(config, folder)


def _resolve_paths(config: Config, folder: Path) -> Config:
    sections: dict[str, BaseModel] = {}
    changed: dict[str, Path | str]
    for name in type(config).model_fields:
        section = getattr(config, name)
        changed = {
            key: folder / value
            for key, value in section
            if isinstance(value, Path) and key in section.model_fields_set and not value.is_absolute()
        }
        if name == "camera" and "source" in section.model_fields_set and is_relative_path(section.source):
            changed["source"] = str(folder / section.source.strip())
        if changed:
            sections[name] = section.model_copy(update=changed)
    return config.model_copy(update=sections)


def is_relative_path(source: str) -> bool:
    """Whether a camera's source is a film or folder that is named from somewhere."""
    source = source.strip()
    return not (url_scheme(source) or source.isdecimal() or source.startswith(("/", "~")))


def faults_of(error: ValidationError, lines: Mapping[str, int] = MappingProxyType({})) -> list[Fault]:
    """The faults that pydantic found, worded for a person; `lines` maps dotted keys to lines of the file."""
    faults = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        problem = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            problem = "is not a key that roomtone knows" + _suggestion(item["loc"])
        elif item["type"] != "value_error":
            problem = f"{problem[0].lower()}{problem[1:]}, found {_shown(item['input'])}"
        faults.append(Fault(key, problem, _line_of(item["loc"], lines)))
    return sorted(faults, key=lambda fault: (fault.line is None, fault.line or 0, fault.key))


def _line_of(location: tuple[int | str, ...], lines: Mapping[str, int]) -> int | None:
    """The line of a key, else of the nearest thing around it that has one."""
    keys = (".".join(map(str, location[:depth])) for depth in range(len(location), 1, -1))
    return next(
        (lines[key] for key in keys if key in lines),
        lines.get(str(location[0])) if len(location) == 1 else None,
    )


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
_KEY = re.compile(r"^\s*([A-Za-z0-9_.-]+)\s*=")


def _lines_of_keys(text: str) -> dict[str, int]:
    """The line of each `table` and `table.key`; keys inside inline tables and quoted keys are not found."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            table = match[1]
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            lines.setdefault(f"{table}.{match[1]}" if table else match[1], number)
    return lines


def to_toml(config: Config) -> str:
    """The configuration as a commented TOML file; reading it back gives the same configuration."""
    out = []
    for name in type(config).model_fields:
        section = getattr(config, name)
        out.append(f"[{name}]")
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            text = f"# {key} =" if value is None else f"{key} = {_toml_value(value)}"
            out.append(f"{text:<48}  # {field.description}")
        out.append("")
    return "\n".join(out)


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    # JSON's escapes are TOML's, but for DEL, which only TOML wants escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")
