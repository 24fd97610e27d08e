"""Paired comparison of two classifiers on the same images: how much accuracy was lost, and how sure that is.

Only images on which exactly one of the two is right say anything about a difference (McNemar 1947). The bounds
are Tango's score bounds for a difference of paired shares (Tango 1998, "Equivalence test and confidence interval
for the difference in proportions for the paired-sample design"): they hold for small counts too, where a bootstrap of
no difference at all would be sure of itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Z_ONE_SIDED_95: Final = 1.6448536269514722  # 95 % quantile of the normal distribution
_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True)
class PairedDrop:
    """Accuracy lost from a reference to a candidate.

    Attributes:
        images: compared.
        lost: right before, wrong now.
        gained: wrong before, right now.
    """

    images: int
    lost: int
    gained: int

    def __post_init__(self) -> None:
        if self.images < 1 or min(self.lost, self.gained) < 0 or self.lost + self.gained > self.images:
            raise ValueError(f"{self.lost} lost and {self.gained} gained of {self.images} images")

    @property
    def drop(self) -> float:
        """Share of the images, −1 to 1; negative where the candidate is better."""
        return (self.lost - self.gained) / self.images

    @property
    def upper(self) -> float:
        """One-sided 95 % bound: the drop is smaller than this."""
        return _bound(self.images, self.lost, self.gained)

    @property
    def lower(self) -> float:
        """One-sided 95 % bound: the drop is larger than this."""
        return -_bound(self.images, self.gained, self.lost)

    def images_needed(self, limit: float) -> int | None:
        """So many images like these bring `upper` below `limit`; None where the drop itself is not below it."""
        if self.drop >= limit:
            return None
        # float64 counts: the shares of what was lost and gained stay, the number of images grows.
        lost, gained = self.lost / self.images, self.gained / self.images
        high = least_images(limit)
        while _bound(high, lost * high, gained * high) >= limit:
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            enough = _bound(middle, lost * middle, gained * middle) < limit
            low, high = (low, middle) if enough else (middle, high)
        return high

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {
            "images": self.images,
            "lost": self.lost,
            "gained": self.gained,
            "drop": self.drop,
            "drop_lower_95": self.lower,
            "drop_upper_95": self.upper,
        }


def least_images(limit: float) -> int:
    """With fewer images than this, not even complete agreement puts the bound below `limit`, a share in (0, 1)."""
    z2 = Z_ONE_SIDED_95**2
    return math.ceil(z2 * (1 - limit) / limit)


def paired_drop(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> PairedDrop:
    """Counts from what was right: (N,) of the reference and of the candidate, N ≥ 1."""
    return PairedDrop(len(before), int((before & ~after).sum()), int((~before & after).sum()))


def _bound(images: int, lost: float, gained: float) -> float:
    """The drop at which Tango's statistic falls to −z."""
    low, high = (lost - gained) / images, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _tango(images, lost, gained, middle) > -Z_ONE_SIDED_95:
            low = middle
        else:
            high = middle
    return high


def _tango(images: int, lost: float, gained: float, drop: float) -> float:
    """Tango 1998's score statistic of the hypothesis that the true drop is `drop`."""
    a = 2 * images
    b = -lost - gained + (2 * images - lost + gained) * drop
    c = -gained * drop * (1 - drop)
    share_gained = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = images * (2 * share_gained + drop * (1 - drop))
    distance = lost - gained - images * drop
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)
