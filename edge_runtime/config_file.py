"""The configuration as files: checked whole, all faults at once with their lines; written with every key explained.

config = load_config(Path("/etc/roomtone"))   # a folder of layers, or a single file
print(to_toml(config))
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from edge_runtime.config import SCHEMA_ID, Config
from edge_runtime.config_layers import layer_of, merged, read_layers


def load_config(*paths: Path) -> Config:
    """Reads and checks a configuration; see `config_layers.read_layers`.

    Raises:
        ConfigurationError: a file is missing, is not TOML, or has faults; all of them are listed.
    """
    return read_layers(*paths).config


def parse_config(text: str, *, origin: str = "configuration", folder: Path | None = None) -> Config:
    """Checks a configuration given as TOML text; see `load_config`."""
    return merged([layer_of(text, name=origin, folder=folder)], origin=origin).config


def to_toml(config: Config) -> str:
    """The configuration as a commented TOML file; reading it back gives the same configuration."""
    out = [f'schema = "{SCHEMA_ID}"', ""]
    for name in type(config).model_fields:
        section = getattr(config, name)
        out.append(f"[{name}]")
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            text = f"# {key} =" if value is None else f"{key} = {toml_value(value)}"
            out.append(f"{text:<48}  # {field.description}")
        out.append("")
    return "\n".join(out)


def toml_value(value: object) -> str:
    """A value as TOML writes it on one line; tables become inline tables, without the keys that are None."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict):
        pairs = (f"{key} = {toml_value(item)}" for key, item in value.items() if item is not None)
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    # JSON's escapes are TOML's, but for DEL, which only TOML wants escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")
