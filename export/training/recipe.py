"""The recipe of a training run: everything that makes it, stored beside its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import TEMPLATES
from export.training.augmentation import Augmentation


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        architecture: a name of `export.architectures.ARCHITECTURES`.
        template: name of the alignment template.
        epochs: passes over the training split.
        batch_size: images in a step.
        learning_rate: peak of the schedule (linear warm-up over half an epoch, then half a cosine down to
            zero).
        momentum, weight_decay: of Nesterov SGD; weight decay spares norms and biases.
        label_smoothing: mass that the target distribution gives to all classes alike.
        ema: decay of the moving average of the weights, which is what is evaluated and kept; 0 keeps the last
            weights.
        seed: of weights, order and augmentation.
        augmentation: see there.

    Raises:
        ConfigurationError: no template of this name.
    """

    architecture: str = "hafnet_half"
    template: str = "p1"
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    ema: float = 0.998
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.template not in TEMPLATES:
            problem = f"is {self.template!r}, not one of {', '.join(TEMPLATES)}"
            raise ConfigurationError("the recipe", [Fault("template", problem)], hint="choose one of those")

    def to_json(self) -> dict[str, Any]:
        """As plain types, for the checkpoint's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """The inverse of `to_json`."""
        return cls(**{**values, "augmentation": Augmentation(**values["augmentation"])})
