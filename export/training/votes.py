"""What ten raters' votes say of a label: soft targets that no network has learned by heart.

FER2013's label is one search word of its makers, and wrong or one of several on a third of the images; FER+ has ten
votes for each (Barsoum et al. 2016). The two disagree on 37 % of the images, in ways that repeat: a label "sad" is a
"neutral" to many raters. So the votes are not taken for the label but asked about it: P(label | votes), a
multinomial logistic regression fitted on the training split. It names 66 % of the public split's labels, as many as
a good network does, with a smaller log loss (docs/models.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from edge_runtime.faces.labelled import VOTE_COLUMNS
from edge_runtime.frames.frame import Image

_PENALTY: Final = 1e-3  # of the squared coefficients; it leaves a rare class's estimate finite
_STEPS: Final = 300


def label_given_votes(
    votes: Image, labels: npt.NDArray[np.int64], label_names: Sequence[str], *, fitted: bool
) -> npt.NDArray[np.float32]:
    """The distribution of each face's label, given its votes.

    Args:
        votes: (N, 10) uint8 in the order of `VOTE_COLUMNS`.
        labels: (N,) int64 into `label_names`.
        label_names: of the classes, in order.
        fitted: False where the label is the majority of these votes: then their shares are the distribution.

    Returns:
        (N, K) float32 that sum to 1. A face without votes for any class has its label alone.
    """
    own = np.eye(len(label_names), dtype=np.float32)[labels]
    shares = votes.astype(np.float32)
    total = shares.sum(axis=1, keepdims=True)
    if fitted:
        shares = shares / total.clip(min=1)
        voted = _regression(np.hstack([shares, np.sqrt(shares)]), labels, len(label_names))
    else:
        shares = shares[:, [VOTE_COLUMNS.index(name) for name in label_names]]
        total = shares.sum(axis=1, keepdims=True)
        voted = shares / total.clip(min=1)
    return np.where(total > 0, voted, own)


def _regression(
    inputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.float32]:
    """Fits a multinomial logistic regression and gives its own probabilities: (N, D) → (N, K)."""
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    weights = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        value = F.cross_entropy(x @ weights + bias, y) + _PENALTY * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return np.asarray(F.softmax(x @ weights + bias, dim=1).numpy(), np.float32)
