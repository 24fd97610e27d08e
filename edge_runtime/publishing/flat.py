"""Flat JSON objects: what every payload on the wire looks like.

Admins' tools set the rules (Telegraf ignores strings and booleans, Grafana drops a key whose type changes and
mishandles `null`): one level, stable types, flags as 0/1, absent keys instead of null. A payload class lists
its keys as fields. Keys whose tail only the bundle or the configuration knows (`share_happy`) are held in one
mapping field and admitted by a pattern, a *key family*. Any other key is a fault, so nothing can ride along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Scalar = str | int | float
Flag = Annotated[int, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]

MAX_BYTES = 64 * 1024  # many times the largest payload; a watcher reads nothing longer from a stranger


@dataclass(frozen=True, slots=True)
class KeyFamily:
    """Keys of one shape and one meaning.

    Attributes:
        prefix: what every key of the family begins with; not part of the mapping's own keys.
        tail: regular expression (ECMA 262 and Python alike) of the rest.
        schema: JSON Schema of the values.
        limit: most keys in one payload.
    """

    prefix: str
    tail: str
    schema: Mapping[str, Any]
    limit: int = 32

    @property
    def pattern(self) -> str:
        """The whole key, anchored."""
        return f"^{self.prefix}{self.tail}$"

    def tail_of(self, key: str) -> str | None:
        """The mapping's key for a wire key, or None when the key is not of this family."""
        return key[len(self.prefix) :] if re.fullmatch(self.prefix + self.tail, key) else None


class FlatPayload(BaseModel):
    """Base of the payload classes: frozen, strict types, no unknown keys.

    Class attributes:
        SCHEMA_ID: value of the key `schema`; a changed meaning is a new one.
        FAMILIES: mapping field → its key family.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    SCHEMA_ID: ClassVar[str]
    FAMILIES: ClassVar[Mapping[str, KeyFamily]] = {}

    @model_validator(mode="after")
    def _families_hold(self) -> Self:
        """Also of payloads that are made in code rather than decoded."""
        for field, family in self.FAMILIES.items():
            _check_tails(family, getattr(self, field))
        return self

    def flat(self) -> dict[str, Scalar]:
        """The payload as it travels: one level, `schema` first, nothing that is None."""
        out: dict[str, Scalar] = {"schema": self.SCHEMA_ID}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if family := self.FAMILIES.get(name):
                out.update({family.prefix + tail: item for tail, item in value.items()})
            elif value is not None:
                out[name] = value
        return out

    @classmethod
    def decode(cls, data: bytes, *, allow_new_keys: bool = False) -> Self:
        """Reads a payload from the wire.

        Args:
            data: UTF-8 JSON.
            allow_new_keys: pass over keys that this version does not know, as a reader must that is older
                than the device ("new keys only").

        Raises:
            ValueError: not JSON, not flat, another schema, an unknown or missing key, a wrong type or range.
        """
        if len(data) > MAX_BYTES:
            raise ValueError(f"{len(data)} bytes are more than any payload has")
        try:
            document = json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
        except RecursionError as exc:
            raise ValueError("is nested, a payload is flat") from exc
        if not isinstance(document, dict) or document.get("schema") != cls.SCHEMA_ID:
            raise ValueError(f"is not a JSON object with schema {cls.SCHEMA_ID}")
        fields: dict[str, Any] = {name: {} for name in cls.FAMILIES}
        for key, value in document.items():
            if key == "schema":
                continue
            if (home := cls._family_of(key)) is not None:
                field, tail = home
                fields[field][tail] = value
            elif key in cls.model_fields and key not in cls.FAMILIES:
                if value is None:
                    raise ValueError(f"{key}: null, where an absent key is meant")
                fields[key] = value
            elif not allow_new_keys:
                raise ValueError(f"{key}: not a key of {cls.SCHEMA_ID}")
        try:
            return cls.model_validate(fields)
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc'])) or cls.SCHEMA_ID}: {first['msg']}") from exc

    @classmethod
    def _family_of(cls, key: str) -> tuple[str, str] | None:
        """The mapping field that a wire key belongs to, and its key in there."""
        for name, family in cls.FAMILIES.items():
            if (tail := family.tail_of(key)) is not None:
                return name, tail
        return None

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema (2020-12) of the wire form: what `decode` takes, as far as a schema can say it."""
        generated = cls.model_json_schema()
        properties = {
            name: _without_null(rule)
            for name, rule in generated["properties"].items()
            if name not in cls.FAMILIES
        }
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:roomtone:{cls.SCHEMA_ID}",
            "title": cls.__name__,
            "description": (cls.__doc__ or "").split("\n\n")[0],
            "type": "object",
            "properties": {"schema": {"const": cls.SCHEMA_ID}, **properties},
            "patternProperties": {family.pattern: dict(family.schema) for family in cls.FAMILIES.values()},
            "required": [
                "schema",
                *(name for name in generated.get("required", []) if name not in cls.FAMILIES),
            ],
            "additionalProperties": False,
            **cls._schema_conditions(),
        }

    @classmethod
    def _schema_conditions(cls) -> dict[str, Any]:
        """What a subclass adds: rules between keys."""
        return {}


def encode(payload: FlatPayload) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(payload.flat(), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _check_tails(family: KeyFamily, mapping: Mapping[str, object]) -> None:
    if len(mapping) > family.limit:
        raise ValueError(f"{len(mapping)} keys {family.prefix}*, at most {family.limit} are published")
    for tail in mapping:
        if family.tail_of(family.prefix + tail) is None:
            raise ValueError(f"{family.prefix}{tail} does not match {family.pattern}")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice")
    return document


def _without_null(rule: dict[str, Any]) -> dict[str, Any]:
    """An optional field is one that may be absent, never null."""
    out = {key: value for key, value in rule.items() if key not in ("anyOf", "default", "title")}
    for choice in rule.get("anyOf", []):
        if choice != {"type": "null"}:
            out = {**choice, **out}
    return out
