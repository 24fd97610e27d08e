"""The recipe of a training run: everything that makes it, stored beside its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import TEMPLATES, PupilWay
from edge_runtime.faces.labelled import LABELLINGS
from export.training.augmentation import Augmentation

PUPILS: Final = ("haar", "landmarks", "both")
# What a recipe did that was stored before these could be chosen.
_BEFORE: Final[dict[str, Any]] = {
    "changes": {},
    "labels": "fer",
    "pupils": "haar",
    "early_size_px": 0,
    "early_share": 0.0,
    "votes_weight": 0.0,
    "votes_blend": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "class_balance": 0.0,
}


def device_pupils(pupils: str) -> PupilWay:
    """What a device is to use, of `PUPILS`: landmarks where they were learned from, since they miss fewer."""
    return "haar" if pupils == "haar" else "landmarks"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        architecture: a name of `export.architectures.ARCHITECTURES`.
        changes: fields of its config that have another value than the named size, for ablations.
        template: name of the alignment template.
        pupils: what finds them in the images: Haar eyes, landmarks, or each for half of the crops, so that the network
            knows the errors of both.
        labels: which labelling is learned, a name of `edge_runtime.faces.labelled.LABELLINGS`.
        epochs: passes over the training split.
        batch_size: images in a step.
        learning_rate: peak of the schedule (linear warm-up over half an epoch, then half a cosine down to
            zero).
        momentum, weight_decay: of Nesterov SGD; weight decay spares norms and biases.
        label_smoothing: mass that the target distribution gives to all classes alike.
        ema: decay of the moving average of the weights, which is what is evaluated and kept; 0 keeps the last
            weights.
        early_size_px: side of the crops in the first part of the run; 0 cuts all at the template's own size.
        early_share: how much of the run that part is, 0 to 1. FER2013's images are 48 px wide: what a network
            learns at 64 px costs two thirds of the time and serves at 96 px.
        votes_weight: of the loss of a second head, which learns the distribution of the raters' votes and is
            dropped after training; 0 has none.
        votes_blend: share of what the votes say of the label in the target itself, 0 to 1; see `export.training.votes`.
        teacher: the bundle whose probabilities are learned too, with its digest; empty without one.
        teacher_weight: share of those probabilities in the target, 0 to 1.
        mixup: parameter of the Beta distribution of the share with which two images of a batch are blended
            (Zhang et al. 2018 §2); 0 blends none.
        cutmix: probability that a batch gets rectangles of its other images (Yun et al. 2019 §3).
        class_balance: exponent b of drawing images of a class with n images as often as n^(1−b) of it: 0
            draws each image once an epoch, 1 draws all classes alike.
        seed: of weights, order and augmentation.
        augmentation: see there.

    Raises:
        ConfigurationError: names every value that is out of its range.
    """

    architecture: str = "hafnet_edge"
    changes: dict[str, int | float | str] = field(default_factory=dict)
    template: str = "loose"
    pupils: str = "haar"
    labels: str = "fer"
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    ema: float = 0.998
    early_size_px: int = 64
    early_share: float = 0.6
    votes_weight: float = 0.5
    votes_blend: float = 0.0
    teacher: str = ""
    teacher_weight: float = 0.7
    mixup: float = 0.0
    cutmix: float = 0.0
    class_balance: float = 0.0
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        faults = []
        for name, known in (
            ("template", tuple(TEMPLATES)),
            ("labels", tuple(LABELLINGS)),
            ("pupils", PUPILS),
        ):
            if getattr(self, name) not in known:
                problem = f"is {getattr(self, name)!r}, not one of {', '.join(known)}"
                faults.append(Fault(name, problem))
        for name in (
            "label_smoothing",
            "early_share",
            "votes_blend",
            "teacher_weight",
            "cutmix",
            "class_balance",
        ):
            if not 0 <= getattr(self, name) <= 1:
                faults.append(Fault(name, f"is {getattr(self, name):g}, not between 0 and 1"))
        if self.early_size_px and self.early_size_px < 32:
            faults.append(Fault("early_size_px", f"is {self.early_size_px}; the networks need 32 px or more"))
        if faults:
            raise ConfigurationError("the recipe", faults, hint="roomtone train --help lists the choices")

    def size_px(self, progress: float) -> int:
        """Side of the crops after this share of the run, 0 to 1."""
        full = TEMPLATES[self.template].size_px
        return self.early_size_px if self.early_size_px and progress < self.early_share else full

    def to_json(self) -> dict[str, Any]:
        """As plain types, for the checkpoint's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """The inverse of `to_json`; reads recipes of earlier versions as what they were."""
        return cls(**{**_BEFORE, **values, "augmentation": Augmentation(**values["augmentation"])})

    def flags(self) -> str:
        """The options of `roomtone train` that give this recipe, without those that are the default."""
        options = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        augmentation = options.pop("augmentation")
        options |= {entry.name: getattr(augmentation, entry.name) for entry in fields(augmentation)}
        usual = {**asdict(Recipe()), **asdict(Recipe().augmentation)}
        del options["architecture"]
        options["teacher"] = (
            options["teacher"] and "TEACHER"
        )  # its digest is in the recipe; a path is everyone's own
        changes = [f"--set {name}={value}" for name, value in options.pop("changes").items()]
        flags = [
            f"--{name.removesuffix('_px').removesuffix('_deg').replace('_', '-')} {value}"
            for name, value in options.items()
            if value != usual[name]
        ]
        return " ".join(changes + flags)
