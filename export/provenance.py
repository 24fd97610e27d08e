"""Where a bundle comes from: data, recipe, tools, commit. For its manifest and its model card."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Final

from export.checkpoints import Checkpoint
from export.training.recipe import Recipe
from export.training.sequences.recipe import SequenceRecipe

FER2013_NOTE: Final = (
    "FER2013 (Goodfellow et al. 2013), training split: 48×48 grey faces found by a web search for words of "
    "emotion, so mostly posed, acted or press photographs. For research use; the photographs were not "
    "cleared with the people on them, and none is part of this bundle. The labels are noisy: people agree "
    "with them on about 65 ± 5 % of the images. Images that are known not to be faces are left out; of the "
    "test splits, also those that are pixel-identical to a training image."
)
FERPLUS_NOTE: Final = (
    " Beside these labels, or in their place, it learned from the votes of FER+ (Barsoum et al. 2016): ten raters an "
    "image."
)
AnyRecipe = Recipe | SequenceRecipe
_RANDOM: Final = "random weights"
TOOLS: Final = ("roomtone", "torch", "onnx", "onnxscript", "onnxruntime", "openvino", "numpy")


def recipe_json(recipe: AnyRecipe) -> str:
    """The recipe as readable JSON, always with the same text."""
    return json.dumps(recipe.to_json(), indent=2, sort_keys=True)


def recipe_digest(recipe: AnyRecipe) -> str:
    """sha256 of `recipe_json`, hex."""
    return hashlib.sha256(recipe_json(recipe).encode()).hexdigest()


def data_note(recipe: Recipe) -> str:
    """What FER2013 is, and FER+ where the recipe learns from its votes."""
    votes = recipe.labels == "ferplus" or recipe.votes_weight > 0 or recipe.votes_blend > 0
    return FER2013_NOTE + FERPLUS_NOTE if votes else FER2013_NOTE


def sequence_note() -> str:
    """What a network of sequences learned from, as far as its recipe knows."""
    return (
        "Clips of the simulated classroom, whose people are drawn by computer graphics and nobody's; and, where the "
        f"run was given photographs, clips grown from them: {FER2013_NOTE}"
    )


def collect_provenance(
    recipe: AnyRecipe, checkpoint: Checkpoint, file: Path, *, name: str, trained_on: str
) -> dict[str, str]:
    """Everything that is known about the making of one bundle.

    Args:
        recipe: of the training.
        checkpoint: as read from `file`.
        file: the checkpoint.
        name: of the bundle, for the command that makes it again.
        trained_on: what the data is, its licence and its limits; nothing in a checkpoint says so.
    """
    facts = {
        "trained_on": trained_on,
        "started_from": checkpoint.facts.get("started_from", _RANDOM),
        "recipe": recipe_json(recipe),
        "recipe_sha256": recipe_digest(recipe),
        "epochs": str(checkpoint.facts.get("epochs_done", "not recorded")),
        "checkpoint_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "train_command": _train_command(recipe, checkpoint, name),
        "trained_with": f"torch {checkpoint.facts.get('torch', 'not recorded')}",
        "python": platform.python_version(),
    }
    facts |= {tool: version(tool) for tool in TOOLS}
    if (commit := source_commit()) is not None:
        facts["commit"] = commit
    return facts


def source_commit() -> str | None:
    """The commit of the checkout that this runs from, `-dirty` after changes; None outside of one."""
    root, git = Path(__file__).resolve().parents[1], shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    found = subprocess.run(
        [git, "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return found.stdout.strip() if found.returncode == 0 else None


def _train_command(recipe: AnyRecipe, checkpoint: Checkpoint, name: str) -> str:
    flags = recipe.flags() if isinstance(recipe, Recipe) else _sequence_flags(recipe)
    command = f"roomtone train {recipe.architecture} --data DATA.npz --out runs/{name} {flags}".rstrip()
    if checkpoint.facts.get("started_from", _RANDOM) != _RANDOM:
        command += " --from STARTED_FROM"
    minutes = checkpoint.facts.get("minutes")
    return command if minutes is None else f"{command} --minutes {minutes:g}"


def _sequence_flags(recipe: SequenceRecipe) -> str:
    """What differs from a run without any; augmentation and the length of an epoch have no flag."""
    usual = SequenceRecipe()
    changed = {
        entry.name: getattr(recipe, entry.name)
        for entry in fields(recipe)
        if getattr(recipe, entry.name) != getattr(usual, entry.name)
    }
    sets = [f"--set {name}={value}" for name, value in changed.pop("changes", {}).items()]
    without = ("architecture", "augmentation", "template", "epoch_steps", "votes_blend", "unknown_share")
    return " ".join(
        [
            f"--{name.removesuffix('_s').replace('_', '-')} {value}"
            for name, value in changed.items()
            if name not in without
        ]
        + sets
    )
