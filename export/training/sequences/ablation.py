"""P1's Table 6, small: heads with each set of attentions, trained anew on the features of one frame encoder.

All three attentions stand in the head, so the encoder of a finished run serves all of them, frozen: what is compared
is what a head makes of the same features. It is not eight full trainings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from export.architectures.attention_fusion import AttentionFusion, AttentionFusionConfig
from export.architectures.layers import SequenceTargets
from export.training.sequences.batches import AS_SEEN, SequenceBatch, cut
from export.training.sequences.checkpoints import TrainedSequence
from export.training.sequences.clips import Clips
from export.training.sequences.measuring import f1_scores

ATTENTIONS: Final = ("self_attention", "weight_attention", "convolutional_attention")
_HEAD: Final = (  # parts of the network that are trained anew
    "embedding", "self_attention", "lstm", "weight_attention", "shallow", "attention", "merge", "deep", "balance",
)  # fmt: skip
_BATCH, _LEARNING_RATE = 64, 1e-3
_LOOK: Final = 64


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One set of attentions: macro-F1 on held-out clips, one for each seed."""

    attentions: tuple[str, ...]
    macro_f1: tuple[float, ...]


def ablate(
    trained: TrainedSequence,
    training: Clips,
    held_out: Clips,
    *,
    steps: int,
    seeds: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[AblationRow]:
    """Trains and measures all eight sets of attentions.

    Args:
        trained: a run of P1's network; its frame encoder is used as it is.
        training: clips to learn from.
        held_out: clips to measure on, of other people.
        steps: of each training.
        seeds: trainings of each set.
        on_progress: called with (trainings done, trainings in all).
    """
    rng = np.random.default_rng(0)
    learned = _encoded(trained, training, rng)
    measured = _encoded(trained, held_out, rng)
    sets = [
        chosen for count in range(len(ATTENTIONS) + 1) for chosen in itertools.combinations(ATTENTIONS, count)
    ]
    rows, done = [], 0
    for chosen in sets:
        scores = []
        for seed in range(seeds):
            scores.append(_score(trained, chosen, learned, measured, steps, seed))
            done += 1
            on_progress(done, len(sets) * seeds)
        rows.append(AblationRow(chosen, tuple(scores)))
    return rows


@dataclass(frozen=True, slots=True)
class _Encoded:
    sequence: torch.Tensor  # (N, M, F)
    targets: SequenceTargets


def _encoded(trained: TrainedSequence, clips: Clips, rng: np.random.Generator) -> _Encoded:
    features, targets = [], []
    for start in range(0, len(clips), _LOOK):
        part = clips.rows(np.arange(start, min(start + _LOOK, len(clips))))
        batch: SequenceBatch = cut(part, trained.config.inputs, trained.template, AS_SEEN, rng)
        features.append(torch.from_numpy(trained.features(batch.inputs)).reshape(len(part), clips.frames, -1))
        targets.append(batch.targets)
    together = SequenceTargets(*(torch.cat(column) for column in zip(*targets, strict=True)))
    return _Encoded(torch.cat(features), together)


def _score(
    trained: TrainedSequence,
    chosen: tuple[str, ...],
    learned: _Encoded,
    measured: _Encoded,
    steps: int,
    seed: int,
) -> float:
    torch.manual_seed(seed)
    base: Any = trained.config
    config: AttentionFusionConfig = replace(base, **{name: name in chosen for name in ATTENTIONS})
    network, objective = AttentionFusion(config), config.objective(trained.label_names)
    parameters = [value for name, value in network.named_parameters() if name.partition(".")[0] in _HEAD]
    optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = np.random.default_rng(seed)
    network.train()
    for _ in range(steps):
        rows = torch.from_numpy(order.integers(len(learned.sequence), size=_BATCH))
        targets = SequenceTargets(*(part[rows] for part in learned.targets))
        loss = objective(network.head(learned.sequence[rows]), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.inference_mode():
        parts = [network.head(part).logits.argmax(dim=1) for part in torch.split(measured.sequence, _LOOK)]
    true = measured.targets.labels.argmax(dim=1).numpy()
    return float(f1_scores(torch.cat(parts).numpy(), true, len(trained.label_names)).mean())
