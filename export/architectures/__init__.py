"""The papers' networks: one paper, one file; `layers.py` holds what two of them share.

    lip_resnet18.py   P2: group attention, local importance pooling, style recalibration; dimensions beside classes
    fusion.py         P4: learned, HOG and SIFT features side by side
    drsn18.py         P4: deep residual shrinkage network, and its baselines resnet18 and se_resnet18
    hafnet.py         P5: feature clustering, multi-head attention, attention fusion
    attention_fusion.py   P1: geometry and texture beside convolutions, three attentions, over a sequence of crops
    vit_vlad.py           P3: ViT, NetVLAD, temporal Transformer; classes, valence and arousal of a sequence

`ARCHITECTURES` maps the names that the command line knows to builders of a config; a config makes its network and
the objective that trains it. `SEQUENCE_ARCHITECTURES` does so for networks of sequences, which come in two parts:
`encode` runs once for a new frame of a face, `head` over the features of its last M frames.

    config = ARCHITECTURES["hafnet_half"](num_classes=7)
    network = config.network()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, Final, Protocol, TypeVar

from torch import nn

from edge_runtime.errors import ConfigurationError, Fault
from export.architectures import attention_fusion, drsn18, fusion, hafnet, lip_resnet18, vit_vlad


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


class SequenceConfig(Config, Protocol):
    """Sizes of a network of sequences; its network has `encode` and `head` (see the module)."""

    @property
    def frames(self) -> int:
        """M, how many frames its head looks at."""

    @property
    def feature_length(self) -> int:
        """F, how many numbers `encode` gives of a frame."""


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

SEQUENCE_ARCHITECTURES: Final[dict[str, Callable[[int], SequenceConfig]]] = {
    "attention_fusion": attention_fusion.attention_fusion,
    "attention_fusion_edge": attention_fusion.attention_fusion_edge,
    "vit_vlad": vit_vlad.vit_vlad,
    "vit_vlad_edge": vit_vlad.vit_vlad_edge,
}

_Changes = Mapping[str, int | float | str]
_C = TypeVar("_C", bound=Config)


def configure(architecture: str, num_classes: int, changes: _Changes | None = None) -> Config:
    """The sizes of a network by its name.

    Args:
        architecture: a name of `ARCHITECTURES`.
        num_classes: of its logits.
        changes: fields of its config, with other values than the named size has; for ablations.

    Raises:
        ConfigurationError: no architecture of this name, or a change that it cannot take.
    """
    check_architecture(architecture)
    return _changed(architecture, ARCHITECTURES[architecture](num_classes), changes)


def configure_sequence(
    architecture: str, num_classes: int, changes: _Changes | None = None
) -> SequenceConfig:
    """As `configure`, for a name of `SEQUENCE_ARCHITECTURES`."""
    _check_known(architecture, SEQUENCE_ARCHITECTURES)
    return _changed(architecture, SEQUENCE_ARCHITECTURES[architecture](num_classes), changes)


def _changed(architecture: str, config: _C, changes: _Changes | None) -> _C:
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
    _check_known(architecture, ARCHITECTURES)


def _check_known(architecture: str, names: Mapping[str, object]) -> None:
    if architecture not in names:
        known = ", ".join(names)
        raise ConfigurationError(
            "the command line", [Fault("ARCH", f"{architecture!r} is not one of {known}")]
        )
