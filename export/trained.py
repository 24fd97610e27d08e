"""A checkpoint of `roomtone train` as a network that is ready to be exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.alignment import TEMPLATES
from export.architectures import ARCHITECTURES, SEQUENCE_ARCHITECTURES, check_architecture, configure
from export.checkpoints import Checkpoint, CheckpointError, load_checkpoint, load_weights
from export.deploy import DeployedNetwork
from export.deployable import Deployable
from export.provenance import collect_provenance, data_note
from export.taxonomy import labels_of
from export.trained_sequence import read_sequence
from export.training.recipe import Recipe, device_pupils

READABLE_WIDTH_PX: Final = (
    32  # of the face itself: FER2013's faces are about 40 px wide, and their detail is less
)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export.

    Attributes:
        architecture: a name of `export.architectures.ARCHITECTURES`; must be the checkpoint's own.
        checkpoint: of `roomtone train`.
        out: the bundle to be.
        name: of the bundle; None: `default`, or of a network of sequences its own.
        version: of the bundle.
        force: replaces a bundle that is there.
        trained_on: the data, for provenance and model card; None is FER2013.
    """

    architecture: str
    checkpoint: Path
    out: Path
    name: str | None = None
    version: str = "0.1.0"
    force: bool = False
    trained_on: str | None = None

    @property
    def bundle_name(self) -> str:
        """`name`, or what stands in for it: a bundle of sequences is no other version of the single images' one."""
        is_sequence = self.architecture in SEQUENCE_ARCHITECTURES
        return self.name or (self.architecture.replace("_", "-") if is_sequence else "default")

    def read(self) -> Deployable:
        """The checkpoint's network.

        Raises:
            CheckpointError: it cannot be read, records no recipe, or is another network's.
            ConfigurationError: no architecture of this name, or a class that no table describes.
        """
        if self.architecture in SEQUENCE_ARCHITECTURES:
            return read_sequence(self, READABLE_WIDTH_PX)
        check_architecture(self.architecture)
        checkpoint = load_checkpoint(self.checkpoint)
        recipe, label_names = _recipe_and_labels(checkpoint, self.checkpoint)
        if self.architecture in ARCHITECTURES and recipe.architecture != self.architecture:
            raise CheckpointError(
                self.checkpoint,
                f"was trained as {recipe.architecture}, not as {self.architecture}",
                hint=f"export it as {recipe.architecture}",
            )
        config = configure(self.architecture, len(label_names), recipe.changes)
        network = config.network()
        load_weights(network, checkpoint, self.checkpoint)
        return Deployable(
            DeployedNetwork(network, config.inputs, config.outputs).eval(),
            architecture=self.architecture,
            name=self.bundle_name,
            version=self.version,
            labels=labels_of(label_names, self.checkpoint),
            template=TEMPLATES[recipe.template],
            readable_width_px=READABLE_WIDTH_PX,
            provenance=collect_provenance(
                recipe,
                checkpoint,
                self.checkpoint,
                name=self.bundle_name,
                trained_on=self.trained_on or data_note(recipe),
            ),
            pupils=device_pupils(recipe.pupils),
        )


def architecture_of(checkpoint: Path) -> str:
    """The network that a checkpoint of `roomtone train` says it is of.

    Raises:
        CheckpointError: it cannot be read, or records no recipe.
    """
    recipe, _ = _recipe_and_labels(load_checkpoint(checkpoint), checkpoint)
    return recipe.architecture


def _recipe_and_labels(checkpoint: Checkpoint, file: Path) -> tuple[Recipe, list[str]]:
    try:
        recipe = Recipe.from_json(checkpoint.facts["recipe"])
        labels: Any = checkpoint.facts["labels"]
    except (KeyError, TypeError, ConfigurationError) as exc:
        raise CheckpointError(
            file,
            f"records no recipe and labels that this roomtone can read: {exc}",
            hint="train with `roomtone train`",
        ) from exc
    return recipe, [str(label) for label in labels]
