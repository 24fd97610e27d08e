"""Every key of the configuration wrong once: each with a message that names it, its line, and what would be right.

The rows come from the schema, so a new key has its rows as soon as it exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from edge_runtime.config import Config, config_schema
from edge_runtime.config_file import parse_config, toml_value
from edge_runtime.errors import ConfigurationError

SCHEMA = config_schema()


@dataclass(frozen=True)
class Wrong:
    """A key, a value that it cannot have, and words that the message must hold."""

    key: str
    value: Any
    words: str

    def __str__(self) -> str:
        return f"{self.key} = {toml_value(self.value)}"[:70]


# What the schema cannot tell, since a function checks it.
BY_HAND = (
    Wrong("deployment.jurisdiction", "Germany", "ISO 3166-1"),
    Wrong("camera.source", " ", "is empty"),
    Wrong("camera.source", "ftp://camera", "is not one of rtsp"),
    Wrong("mqtt.url", "broker.school", "is not mqtt://"),
)


def resolved(field: dict[str, Any]) -> dict[str, Any]:
    reference = field.get("$ref") or next((part["$ref"] for part in field.get("allOf", ())), None)
    return SCHEMA["$defs"][reference.rpartition("/")[2]] if reference else field


def kinds(field: dict[str, Any]) -> list[dict[str, Any]]:
    """What a key may be, without the null that stands for absent."""
    field = resolved(field)
    options = [resolved(option) for option in field.get("anyOf", [field])]
    return [option for option in options if option.get("type") != "null"]


def wrong_values(field: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """Values that a key cannot have, each with what its message must say."""
    (kind, *others) = kinds(field)
    match kind.get("type"):
        case _ if others:
            yield {"neither": 1}, ""
        case _ if "enum" in kind:
            yield "qqq", f"'{kind['enum'][0]}'"
            yield 3, f"'{kind['enum'][0]}'"
        case "boolean":
            yield "perhaps", "valid boolean"
        case "integer" | "number":
            yield "wide", "valid " + ("integer" if kind["type"] == "integer" else "number")
            for bound, step, words in (
                ("minimum", -1, "greater than or equal to"),
                ("exclusiveMinimum", 0, "greater than"),
                ("maximum", 1, "less than or equal to"),
                ("exclusiveMaximum", 0, "less than"),
            ):
                if bound in kind:
                    yield kind[bound] + step, f"{words} {kind[bound]:g}"
        case "array":
            yield 3, "valid tuple"
            yield [{"zzz": 1}], ""
        case "object":
            yield 3, ""
        case "string":
            yield 3, "path" if kind.get("format") == "path" else "valid string"
            if "pattern" in kind:
                yield "NOT like this!", "match pattern"
            if "maxLength" in kind:
                yield "x" * (kind["maxLength"] + 1), f"at most {kind['maxLength']} characters"
        case unknown:
            raise AssertionError(f"no wrong value is known for type {unknown}: add a case here")


def rows() -> Iterator[Wrong]:
    for name in Config.model_fields:
        for key, field in resolved(SCHEMA["properties"][name])["properties"].items():
            for value, words in wrong_values(field):
                yield Wrong(f"{name}.{key}", value, words)
    yield from BY_HAND


@pytest.mark.parametrize("wrong", list(rows()), ids=str)
def test_a_wrong_value_is_a_fault_that_names_its_key_its_line_and_what_would_be_right(wrong: Wrong) -> None:
    section, _, key = wrong.key.partition(".")
    with pytest.raises(ConfigurationError) as caught:
        parse_config(f"[{section}]\n# the next line is wrong\n{key} = {toml_value(wrong.value)}\n")
    faults = [fault for fault in caught.value.faults if fault.key.startswith(wrong.key)]
    assert faults, str(caught.value)
    assert all(fault.line == 3 for fault in faults)
    assert any(wrong.words in fault.problem for fault in faults), str(caught.value)


def test_every_key_has_a_row() -> None:
    keys = {f"{name}.{key}" for name, section in Config() for key in type(section).model_fields}
    assert {wrong.key for wrong in rows()} == keys
