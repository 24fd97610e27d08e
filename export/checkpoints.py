"""Checkpoints: safetensors with the recipe in the metadata. A pickle is refused: it can run code."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edge_runtime.errors import RoomtoneError

_STATE_KEYS: Final = ("state_dict", "model_state_dict", "model")
_REFUSED_GLOBAL: Final = re.compile(r"GLOBAL (\S+)")


class CheckpointError(RoomtoneError):
    """A checkpoint that cannot be read, or that is another network's."""

    exit_code = 12

    def __init__(self, path: Path, problem: str, *, hint: str = "") -> None:
        self.path, self.problem = path, problem
        super().__init__(f"checkpoint {path}: {problem}", hint=hint)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights and what is known about them (recipe, results, digests of the data), all JSON."""

    weights: dict[str, Tensor]
    facts: dict[str, Any]


def save_checkpoint(path: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Writes a checkpoint whole or not at all: to a neighbouring file first, which then takes the name.

    Raises:
        CheckpointError: it cannot be written (no space is left, say); a file that was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    try:
        save_file(tensors, partial, metadata={"roomtone": json.dumps(facts)})
        os.replace(partial, path)
    except (SafetensorError, OSError) as exc:
        partial.unlink(missing_ok=True)
        hint = "make room on this disk and give the command again: it goes on with the last whole checkpoint"
        raise CheckpointError(path, f"cannot be written: {exc}", hint=hint) from exc


def check_space(folder: Path, weights: dict[str, Tensor], copies: int) -> None:
    """Refuses work whose checkpoints would not find room.

    Args:
        folder: where they will be written; made when absent.
        weights: what one of them holds.
        copies: how many of them are on the disk at one time.

    Raises:
        CheckpointError: the disk has less free space than they need.
    """
    folder.mkdir(parents=True, exist_ok=True)
    needed = copies * sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CheckpointError(
            folder,
            f"checkpoints need {needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free there",
            hint="make room, or give --out on another disk",
        )


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint without running any code from it.

    Raises:
        CheckpointError: the file is missing, is no safetensors file (a pickle, say), or is truncated.
    """
    hint = (
        "only .safetensors written by `roomtone train` are read; a pickled .pt can run code when it is opened"
    )
    if not path.is_file():
        raise CheckpointError(path, "no such file")
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no dict
            facts = json.loads((file.metadata() or {}).get("roomtone", "{}"))
    except (SafetensorError, OSError, ValueError) as exc:
        raise CheckpointError(path, f"cannot be read as safetensors: {exc}", hint=hint) from exc
    return Checkpoint(weights, facts)


def load_foreign(path: Path) -> Checkpoint:
    """Reads somebody else's weights: safetensors, or a state dict of `torch.save` that holds tensors alone.

    A state dict may lie in a training checkpoint, as `state_dict`, `model_state_dict` or `model`.

    Raises:
        CheckpointError: the file is missing, truncated, or a pickle that holds more than tensors.
    """
    if not path.is_file():
        raise CheckpointError(path, "no such file")
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":  # after the length of its JSON header
        return load_checkpoint(path)
    hint = "save the weights alone: safetensors.torch.save_model(network, …), or torch.save(network.state_dict(), …)"
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:
        refused = _REFUSED_GLOBAL.search(str(exc))
        problem = (
            f"is a pickle that would run code when it is opened ({refused.group(1)}); it was not opened"
            if refused is not None
            else f"cannot be read as weights: {_told(exc)}"
        )
        raise CheckpointError(path, problem, hint=hint) from exc
    if isinstance(found, dict):
        inner = [found[key] for key in _STATE_KEYS if isinstance(found.get(key), dict)]
        found = inner[0] if len(inner) == 1 else found
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(path, "holds no state dict: not every entry is a tensor", hint=hint)
    return Checkpoint({str(name): tensor for name, tensor in found.items()}, {})


def _told(error: Exception) -> str:
    """Torch reads a zip archive from its end, and says of one that is cut off whatever it stumbles over there."""
    if isinstance(error, OSError | EOFError) or "zip archive" in str(error):
        return "it is cut off, or torch.save did not write it"
    return str(error).partition(". ")[0] or type(error).__name__


def load_weights(
    network: nn.Module,
    checkpoint: Checkpoint,
    path: Path,
    *,
    hint: str = "name the architecture it was trained as",
) -> None:
    """Fills a network strictly: every tensor has its place and every place its tensor.

    Args:
        network: to be filled.
        checkpoint: as read from `path`.
        path: for errors.
        hint: what to do when they do not fit.

    Raises:
        CheckpointError: keys or shapes differ; the message names them.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in checkpoint.weights.items()}
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    other = [
        f"{n} is {found[n]}, not {expected[n]}"
        for n in sorted(expected.keys() & found.keys())
        if expected[n] != found[n]
    ]
    problems = [
        f"{len(names)} tensors {word} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        for word, names in (("missing", missing), ("too many", extra), ("of another shape", other))
        if names
    ]
    if problems:
        raise CheckpointError(
            path,
            f"is not of this network: {'; '.join(problems)}",
            hint=_prefix_hint(missing, extra) or hint,
        )
    with torch.no_grad():
        network.load_state_dict(checkpoint.weights, strict=True)


def _prefix_hint(missing: list[str], extra: list[str]) -> str:
    """Wrappers (DataParallel, Lightning, torch.compile) put a word before every name."""
    prefix = next(
        (name.removesuffix(missing[0]) for name in extra if missing and name.endswith(missing[0])), ""
    )
    if prefix and all(name.startswith(prefix) for name in extra):
        return (
            f"its names begin with {prefix!r}, as a wrapper leaves them: save the inner network's state dict"
        )
    return ""
