"""A checkpoint as the bundle that it would become, for `roomtone evaluate`.

`calibration` finds this by the entry-point group `roomtone.checkpoints`, since the two do not import each other. It is
the whole export, so that what is measured of a checkpoint is what a device will run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_runtime.bundle import Bundle
from export.pipeline import STEPS, export_bundle
from export.trained import ExportRequest, architecture_of


def bundle_of(
    checkpoint: Path,
    out: Path,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Bundle:
    """Exports a checkpoint of `roomtone train` as the network that its recipe names.

    Args:
        checkpoint: `checkpoint.safetensors` of a run.
        out: folder of the bundle; must not exist yet.
        on_progress: called with (stage, done, total).

    Raises:
        CheckpointError: it cannot be read, is a pickle, or records no recipe.
        ExportStepError: its weights are not of the network or the classes that it names, or a step broke.
    """
    request = ExportRequest(architecture_of(checkpoint), checkpoint, out, name=_bundle_name(checkpoint))
    order = list(STEPS)
    result = export_bundle(request, lambda step: on_progress("export", order.index(step.name), len(order)))
    on_progress("export", len(order), len(order))
    return result.bundle


def _bundle_name(checkpoint: Path) -> str:
    """The folder of the run, in the letters that a bundle's name may have."""
    letters = (
        letter if letter.isascii() and letter.isalnum() else "-" for letter in checkpoint.parent.name.lower()
    )
    return "".join(letters).strip("-") or "checkpoint"
