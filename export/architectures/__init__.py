"""The papers' networks: one paper, one file; `layers.py` holds what two of them share.

    lip_resnet18.py   P2: group attention, local importance pooling, style recalibration; dimensions beside classes
    fusion.py         P4: learned, HOG and SIFT features side by side
    drsn18.py         P4: deep residual shrinkage network, and its baselines resnet18 and se_resnet18
    hafnet.py         P5: feature clustering, multi-head attention, attention fusion

`ARCHITECTURES` maps the names that the command line knows to builders of a config; a config makes its network and
the objective that trains it. Sequence networks (P1, P3) take another input and come as files of their own.

    config = ARCHITECTURES["hafnet_half"](num_classes=7)
    network = config.network()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, Final, Protocol

from torch import nn

from edge_runtime.errors import ConfigurationError, Fault
from export.architectures import drsn18, fusion, hafnet, lip_resnet18


class Config(Protocol):
    """Sizes of a network; each paper's file has one, a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def num_classes(self) -> int:
        """Of its logits."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Kinds of what the network takes, in order; see `edge_runtime.features`."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Kinds of what it gives on the device: logits, and the parts of its `dimensions` where it has them."""

    def network(self) -> nn.Module:
        """With fresh weights; gives an output with `logits` and `features`."""

    def objective(self, label_names: Sequence[str]) -> nn.Module:
        """Takes that output and (B, num_classes) label distributions, gives the loss."""


ARCHITECTURES: Final[dict[str, Callable[[int], Config]]] = {
    "lip_resnet18": lip_resnet18.lip_resnet18,
    "lip_resnet18_half": lip_resnet18.lip_resnet18_half,
    "lip_resnet18_small": lip_resnet18.lip_resnet18_small,
    "fusion": fusion.fusion,
    "fusion_cnn": fusion.fusion_cnn,
    "fusion_hog": fusion.fusion_hog,
    "fusion_sift": fusion.fusion_sift,
    "resnet18": drsn18.resnet18,
    "se_resnet18": drsn18.se_resnet18,
    "drsn18": drsn18.drsn18,
    "drsn18_half": drsn18.drsn18_half,
    "drsn18_small": drsn18.drsn18_small,
    "hafnet": hafnet.hafnet,
    "hafnet_edge": hafnet.hafnet_edge,
    "hafnet_half": hafnet.hafnet_half,
    "hafnet_small": hafnet.hafnet_small,
}


def configure(
    architecture: str, num_classes: int, changes: Mapping[str, int | float | str] | None = None
) -> Config:
    """The sizes of a network by its name.

    Args:
        architecture: a name of `ARCHITECTURES`.
        num_classes: of its logits.
        changes: fields of its config, with other values than the named size has; for ablations.

    Raises:
        ConfigurationError: no architecture of this name, or a change that it cannot take.
    """
    check_architecture(architecture)
    config = ARCHITECTURES[architecture](num_classes)
    faults = [fault for name, value in (changes or {}).items() if (fault := _fault(config, name, value))]
    if faults:
        known = ", ".join(f"{name} ({value})" for name, value in _changeable(config).items())
        raise ConfigurationError(architecture, faults, hint=f"it has {known}")
    return replace(config, **changes) if changes else config


def _changeable(config: Config) -> dict[str, int | float | str]:
    values = {entry.name: getattr(config, entry.name) for entry in fields(config)}
    return {
        name: value
        for name, value in values.items()
        if name != "num_classes" and isinstance(value, int | float | str)
    }


def _fault(config: Config, name: str, value: int | float | str) -> Fault | None:
    before = _changeable(config).get(name)
    if before is None:
        return Fault(name, "is no field of its config")
    fits = isinstance(value, int) if isinstance(before, int) else isinstance(value, type(before) | int)
    return None if fits else Fault(name, f"is {value!r}, not of the kind of {before!r}")


def check_architecture(architecture: str) -> None:
    """Refuses an unknown name before any work is done for it.

    Raises:
        ConfigurationError: no architecture of this name.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ConfigurationError(
            "the command line", [Fault("ARCH", f"{architecture!r} is not one of {known}")]
        )
