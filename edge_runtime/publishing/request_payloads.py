"""Requests to a device and its responses, in Zigbee2MQTT's words: `status`, `data`, `error`, `transaction`.

    roomtone/north/r12/camera-1/request/health_check   {"transaction":"7"}
    roomtone/north/r12/camera-1/response/health_check  {"schema":"roomtone-response/1",...,
        "status":"ok","transaction":"7","data_health":"ok",...}

Flat like all payloads: what Zigbee2MQTT nests under `data` are keys that begin with `data_` here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from edge_runtime.publishing.flat import FlatPayload, KeyFamily, Scalar
from edge_runtime.publishing.placed import PlacedPayload
from edge_runtime.publishing.topics import Command

Status = Literal["ok", "accepted", "error"]
Transaction = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]


class Request(FlatPayload):
    """What is asked of a device; the command is in the topic, and an empty message is a request without keys."""

    SCHEMA_ID: ClassVar[str] = "roomtone-request/1"

    transaction: Transaction | None = Field(None, description="comes back in the responses")
    bundle: str | None = Field(
        None, min_length=1, max_length=1000, description="NAME@VERSION or an https url, for bundle/activate"
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-fA-F]{64}$", description="digest that the archive at the url must have"
    )

    @classmethod
    def decode(cls, data: bytes, *, allow_new_keys: bool = False) -> Self:
        """See `FlatPayload.decode`; `schema` may be absent, since people type these."""
        if not data.strip():
            return cls()
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict) and "schema" not in document:
            data = json.dumps({"schema": cls.SCHEMA_ID, **document}).encode()
        return super().decode(data, allow_new_keys=allow_new_keys)

    @classmethod
    def _schema_conditions(cls) -> dict[str, Any]:
        return {"required": []}


class Response(PlacedPayload):
    """What a device answers; `accepted` is followed by `ok` or `error` when the work is done."""

    SCHEMA_ID: ClassVar[str] = "roomtone-response/1"
    FAMILIES: ClassVar[Mapping[str, KeyFamily]] = {
        "data": KeyFamily("data_", "[a-z][a-z0-9_]{0,40}", {"type": ["string", "number"]}, limit=120)
    }

    command: Command = Field(description="what was asked")
    status: Status = Field(description="ok, accepted (more will follow) or error")
    transaction: Transaction | None = Field(None, description="of the request; absent where it had none")
    error: str | None = Field(None, max_length=1000, description="what went wrong, a sentence")
    data: dict[str, Scalar] = Field(default_factory=dict, description="data_<key>: the answer")

    @model_validator(mode="after")
    def _keeps_its_word(self) -> Self:
        if (self.status == "error") != (self.error is not None):
            raise ValueError("error is there if, and only if, the status is error")
        return self
