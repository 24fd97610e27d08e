"""What somebody else's network means: the file that `roomtone export adopt` and a factory's export are given.

name = "mini-xception"
labels = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
trained_on = "FER2013; github.com/oarriaga/face_classification, MIT"

[input]
size_px = 64
channels = 1
scale = 0.00784313725     # 1 / 127.5: value = scale * pixel + offset
offset = -1.0

[output]
values = "probabilities"
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_runtime.errors import ConfigurationError, Fault

LEAST_PROBABILITY: Final = 1e-12  # before its logarithm is taken
_PerChannel = float | tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputContract(_Part):
    """How the network wants a face: a square of grey values, repeated over the channels.

    A channel's value is scale × pixel + offset, pixels 0 … 255. ImageNet's usual normalisation, (pixel / 255 − mean) /
    std, is so scale = 1 / (255 × std) and offset = −mean / std, three numbers each.
    """

    tensor: str | None = None
    size_px: int = Field(ge=8, le=1024)
    channels: Literal[1, 3] = 1
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    scale: _PerChannel = 1.0
    offset: _PerChannel = 0.0

    @model_validator(mode="after")
    def _has_as_many_channels(self) -> InputContract:
        if self.channels == 1 and any(isinstance(value, tuple) for value in (self.scale, self.offset)):
            raise ValueError("three values in scale or offset need channels = 3")
        return self

    def per_channel(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Scale and offset as (1, channels, 1, 1) each."""
        scale, offset = (
            np.broadcast_to(np.asarray(value, np.float32), self.channels).reshape(1, -1, 1, 1).copy()
            for value in (self.scale, self.offset)
        )
        return scale, offset


class OutputContract(_Part):
    """What it gives."""

    tensor: str | None = None
    values: Literal["logits", "probabilities"] = "logits"

    def fault_of(self, values: npt.NDArray[Any]) -> str | None:
        """What speaks against `values`, by (N, K) outputs of the network itself; None when they fit."""
        sums = values.sum(axis=1)
        look_like_shares = bool((values >= 0).all() and np.allclose(sums, 1, atol=1e-3))
        if self.values == "probabilities" and not look_like_shares:
            return f"the contract says probabilities, but the outputs for one face sum to {sums[0]:.3g}"
        if self.values == "logits" and look_like_shares:
            return "the contract says logits, but the outputs are probabilities: each row sums to 1"
        return None


class Contract(_Part):
    """The whole file; labels in the order of the outputs, by the names that roomtone knows."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    version: str = Field("0.1.0", pattern=r"^\d+\.\d+\.\d+$")
    labels: tuple[str, ...] = Field(min_length=2)
    trained_on: str = Field(min_length=1)
    template: Literal["p1", "loose"] = "loose"
    readable_width_px: int = Field(32, ge=16)
    input: InputContract
    output: OutputContract = OutputContract()


def read_contract(path: Path) -> Contract:
    """Reads and checks a contract; all faults at once.

    Raises:
        ConfigurationError: it is missing, no TOML, or has faults.
    """
    hint = "the keys are explained in docs/models.md, “Somebody else's network”"
    try:
        return Contract.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError(str(path), [Fault("", f"cannot be read as TOML: {exc}")], hint=hint) from exc
    except ValidationError as exc:
        faults = [
            Fault(".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, "))
            for item in exc.errors(include_url=False)
        ]
        raise ConfigurationError(str(path), faults, hint=hint) from exc
