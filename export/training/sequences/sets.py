"""The sets of clips of a run: made once, kept in a folder, read again by the next run with the same wishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.labelled import FER_LABELS, VOTE_COLUMNS, LabelledFaces, load_labelled
from edge_runtime.frames.simulation.controls import EXPRESSIONS
from export.training.datasets import TrainingFaces, locate
from export.training.sequences.batches import TrainingClips
from export.training.sequences.clips import Clips, load_clips, save_clips, stacked
from export.training.sequences.grown import grown_clips, stills
from export.training.sequences.marking import marked, marks_version
from export.training.sequences.recipe import SequenceRecipe
from export.training.sequences.simulated import simulated_clips
from export.training.stargan_trainer import translated_stills
from export.training.votes import label_given_votes

CHOOSING: Final = 210  # clips of each set that accuracy is watched on
# Of the people in a set; those of one set are in no other.
TRAINING, _CHOOSING, HELD_OUT = 0, 1, 2

OnProgress = Callable[[str, int, int], None]


def made_sets(
    recipe: SequenceRecipe,
    frames: int,
    data: Path | None,
    folder: Path,
    on_progress: OnProgress = lambda name, done, total: None,
    stargan: Path | None = None,
) -> tuple[TrainingClips, tuple[Clips, ...], tuple[str, ...]]:
    """Makes the sets of a run, or reads them where they were made before.

    Args:
        recipe: of the run.
        frames: M of its network.
        data: labelled photographs; None: simulated clips alone.
        folder: for the sets; several runs may share it.
        on_progress: called with (what is made, done, in all).
        stargan: checkpoint of what makes the recipe's `made` faces.

    Returns:
        What to learn from, what to choose on, and the names of the classes.

    Raises:
        ConfigurationError: the photographs cannot be read, have no neutral faces, or a class that cannot be simulated.
        CheckpointError: StarGAN's cannot be read, or knows other classes.
    """
    splits = {} if data is None else {split: load_labelled(data, split) for split in ("training", "public")}
    names = splits["training"].label_names if splits else FER_LABELS
    if data is not None:
        _check_names(names, data)
    learned, choosing = (
        simulated(count, names, frames, recipe.stride_s, people, folder, on_progress)
        for count, people in ((recipe.simulated, TRAINING), (CHOOSING, _CHOOSING))
    )
    if not splits:
        return TrainingClips(learned), (choosing,), names
    photographs, grown = _real(splits["training"], "training", recipe, frames, folder, on_progress)
    _, grown_to_choose = _real(splits["public"], "public", recipe, frames, folder, on_progress)
    if stargan is not None:
        faces = locate(splits["training"], folder / "located")
        made = translated_stills(stargan, faces, names, recipe.made, recipe.seed)
        photographs = stacked([photographs, marked(made, _named(on_progress, "landmarks, made faces"))])
    return TrainingClips(learned, grown, photographs), (choosing, grown_to_choose), names


def _real(
    labelled: LabelledFaces,
    split: str,
    recipe: SequenceRecipe,
    frames: int,
    folder: Path,
    on_progress: OnProgress,
) -> tuple[Clips, Clips]:
    """The photographs of a split as stills, and clips grown from them."""
    is_learned, names = split == "training", labelled.label_names
    count, blend = (recipe.grown, recipe.votes_blend) if is_learned else (CHOOSING, 0.0)
    faces = locate(labelled, folder / "located", _named(on_progress, f"pupils, {split}"))
    shares = label_shares(faces, names, blend)
    report = _named(on_progress, f"grown, {split}")
    mark = _named(on_progress, f"landmarks, {split}")
    photographs = _kept(
        folder / f"photographs-{split}-{len(labelled)}-{blend:g}-marks-{marks_version()}.npz",
        lambda: marked(stills(faces, shares, names), mark),
    )
    wishes = f"{count}-{len(labelled)}-{frames}-{recipe.stride_s:g}-{recipe.votes_blend:g}-{recipe.seed}"
    grown = _kept(
        folder / f"grown-{split}-{wishes}-marks-{marks_version()}.npz",
        lambda: marked(
            grown_clips(faces, shares, count, names, frames, recipe.stride_s, recipe.seed, report), mark
        ),
    )
    return photographs, grown


def simulated(
    count: int,
    names: tuple[str, ...],
    frames: int,
    stride_s: float,
    people: int,
    folder: Path,
    on_progress: OnProgress = lambda name, done, total: None,
) -> Clips:
    """A set of simulated clips, made or read.

    Args:
        count: of clips.
        names: of the classes, in order.
        frames: M.
        stride_s: from one frame to the next.
        people: which people are in it; `HELD_OUT` are those that no run has seen.
        folder: where it is kept.
        on_progress: called with (what is made, done, in all).
    """
    path = folder / f"simulated-{people}-{count}-{frames}-{stride_s:g}-{'_'.join(names)}.npz"
    report = _named(on_progress, f"simulated, set {people}")
    return _kept(path, lambda: simulated_clips(count, names, frames, stride_s, people, report))


def label_shares(faces: TrainingFaces, names: tuple[str, ...], votes_blend: float) -> FloatArray:
    """(N, K) the label, blended with the raters' votes for the same classes where there are some."""
    one_hot = np.eye(len(names), dtype=np.float32)[faces.labels]
    if not votes_blend or faces.votes is None or not set(names) <= set(VOTE_COLUMNS):
        return one_hot
    votes = label_given_votes(faces.votes, faces.labels, names, fitted=False)
    return np.asarray((1 - votes_blend) * one_hot + votes_blend * votes, np.float32)


def _kept(path: Path, make: Callable[[], Clips]) -> Clips:
    if not path.exists():
        save_clips(path, make())
    return load_clips(path)


def _named(on_progress: OnProgress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: on_progress(name, done, total)


def _check_names(names: tuple[str, ...], data: Path) -> None:
    faults = [Fault(name, "cannot be simulated") for name in names if name not in EXPRESSIONS]
    if "neutral" not in names:
        faults.append(Fault("neutral", "is no class of it: clips begin and end with neutral faces"))
    if faults:
        raise ConfigurationError(str(data), faults, hint=f"classes are some of {', '.join(EXPRESSIONS)}")
