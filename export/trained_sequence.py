"""A checkpoint of `roomtone train sequence` as a network of sequences that is ready to be exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.alignment import TEMPLATES
from export.architectures import configure_sequence
from export.checkpoints import CheckpointError, load_checkpoint, load_weights
from export.deploy_sequence import deploy_sequence
from export.deployable import Deployable
from export.provenance import collect_provenance, sequence_note
from export.taxonomy import labels_of
from export.training.sequences.recipe import SequenceRecipe

if TYPE_CHECKING:
    from export.trained import ExportRequest


def read_sequence(request: ExportRequest, readable_width_px: int) -> Deployable:
    """The checkpoint's network.

    Args:
        request: whose architecture is one of sequences.
        readable_width_px: narrowest face whose expression is read.

    Raises:
        CheckpointError: it cannot be read, records no recipe, or is another network's.
        ConfigurationError: no architecture of this name, or a class that no table describes.
    """
    checkpoint = load_checkpoint(request.checkpoint)
    try:
        recipe = SequenceRecipe.from_json(checkpoint.facts["recipe"])
        names: Any = checkpoint.facts["labels"]
    except (KeyError, TypeError, ConfigurationError) as exc:
        raise CheckpointError(
            request.checkpoint,
            f"records no recipe of sequences and labels that this roomtone can read: {exc}",
            hint=f"train it with `roomtone train {request.architecture}`",
        ) from exc
    if recipe.architecture != request.architecture:
        raise CheckpointError(
            request.checkpoint,
            f"was trained as {recipe.architecture}, not as {request.architecture}",
            hint=f"export it as {recipe.architecture}",
        )
    config = configure_sequence(request.architecture, len(names), recipe.changes)
    network = config.network()
    load_weights(network, checkpoint, request.checkpoint)
    template = TEMPLATES[recipe.template]
    whole, graphs = deploy_sequence(network, config, template, recipe.stride_s)
    return Deployable(
        whole,
        architecture=request.architecture,
        name=request.bundle_name,
        version=request.version,
        labels=labels_of([str(name) for name in names], request.checkpoint),
        template=template,
        readable_width_px=readable_width_px,
        provenance=collect_provenance(
            recipe,
            checkpoint,
            request.checkpoint,
            name=request.bundle_name,
            trained_on=request.trained_on or sequence_note(),
        ),
        sequence=graphs,
    )
