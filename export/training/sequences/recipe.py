"""The recipe of a run on sequences: everything that makes it, stored beside its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import TEMPLATES
from export.training.augmentation import Augmentation


@dataclass(frozen=True, slots=True)
class SequenceRecipe:
    """How a network of sequences is trained.

    In the first part of the run clips stand still: one frame is encoded and repeated M times, so that a step sees M
    times as many faces for its time, and the frame encoder learns what faces look like. Then they move.

    Attributes:
        architecture: a name of `export.architectures.SEQUENCE_ARCHITECTURES`.
        changes: fields of its config that have another value than the named size, for ablations.
        template: name of the alignment template.
        stride_s: from one frame of a clip to the next, in seconds.
        epochs: of the whole run.
        epoch_steps: steps of an epoch.
        batch_size: clips in a step.
        still_batch: stills in a step of the first part.
        still_share: how much of the run that part is, 0 to 1.
        real_share: of grown clips and photographs among all, 0 to 1; the others are simulated.
        simulated: clips of the simulated classroom.
        grown: clips grown from photographs.
        made: photographs that StarGAN gives another expression, beside the photographs themselves (P3 §4).
        votes_blend: share of the raters' votes in what a photograph teaches, 0 to 1, where there are votes.
        unknown_share: of the clips whose landmarks are known, how many do not show them, 0 to 1.
        learning_rate: peak of the schedule (linear warm-up over half an epoch, then half a cosine down to zero).
        weight_decay: of AdamW; spares norms and biases.
        label_smoothing: mass that the target distribution gives to all classes alike.
        ema: decay of the moving average of the weights, which is what is evaluated and kept; 0 keeps the last
            weights.
        seed: of weights, people, order and augmentation.
        augmentation: see there.

    Raises:
        ConfigurationError: names every value that is out of its range.
    """

    architecture: str = "attention_fusion_edge"
    changes: dict[str, int | float | str] = field(default_factory=dict)
    template: str = "loose"
    stride_s: float = 0.25
    epochs: int = 40
    epoch_steps: int = 100
    batch_size: int = 24
    still_batch: int = 192
    still_share: float = 0.6
    real_share: float = 0.6
    simulated: int = 2800
    grown: int = 4200
    made: int = 0
    votes_blend: float = 0.5
    unknown_share: float = 0.3
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    ema: float = 0.995
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        faults = []
        if self.template not in TEMPLATES:
            faults.append(Fault("template", f"is {self.template!r}, not one of {', '.join(TEMPLATES)}"))
        for name in ("still_share", "real_share", "votes_blend", "unknown_share", "label_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                faults.append(Fault(name, f"is {getattr(self, name):g}, not between 0 and 1"))
        for name in ("stride_s", "epochs", "epoch_steps", "batch_size", "still_batch"):
            if not getattr(self, name) > 0:
                faults.append(Fault(name, f"is {getattr(self, name):g}, not above 0"))
        if faults:
            hint = "roomtone train sequence --help lists the choices"
            raise ConfigurationError("the recipe", faults, hint=hint)

    def to_json(self) -> dict[str, Any]:
        """As plain types, for the checkpoint's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> SequenceRecipe:
        """The inverse of `to_json`."""
        return cls(**{**values, "augmentation": Augmentation(**values["augmentation"])})
