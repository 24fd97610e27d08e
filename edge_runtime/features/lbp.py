"""Histograms of local binary patterns, one for each region of the face (P1 §3.1, eqs 9 to 11).

A pixel's pattern says which of its 8 neighbours are not darker than itself, so light that brightens a face as a whole
changes nothing. P1 leaves the number of patterns open: of the 256, the 58 with at most two changes around the circle
(corners, edges, spots) are counted one by one and all others as one, which loses little and makes a fifth of the
numbers (Ojala, Pietikäinen and Mäenpää 2002, §2.3).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import AlignmentTemplate
from edge_runtime.features.landmark_table import REGIONS
from edge_runtime.frames.frame import Image

# (row, column) of the neighbours of eq. 9, u = 0 … 7, clockwise from the one up left.
NEIGHBOURS: Final = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def _bin_of_pattern() -> npt.NDArray[np.intp]:
    """(256,) pattern → bin: uniform patterns in their order, and the last bin for the rest."""
    patterns = np.arange(256)
    bits = patterns[:, None] >> np.arange(8) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    uniform = np.flatnonzero(changes <= 2)
    bins = np.full(256, len(uniform), np.intp)
    bins[uniform] = np.arange(len(uniform))
    return bins


_BIN_OF_PATTERN: Final = _bin_of_pattern()
BINS: Final = int(_BIN_OF_PATTERN.max()) + 1
LENGTH: Final = len(REGIONS) * BINS


def lbp(crops: Image, template: AlignmentTemplate) -> npt.NDArray[np.float32]:
    """The histograms of all regions of a crop, side by side.

    Args:
        crops: (N, size, size) uint8, contiguous; N may be 0. `size` need not be the template's.
        template: that the crops were cut by; places the regions.

    Returns:
        (N, 413) float32: 7 regions in the order of `landmark_table.REGIONS`, 59 shares each that sum to 1.
    """
    features = np.empty((len(crops), LENGTH), np.float32)
    if not len(crops):
        return features
    places, first_bins, weights = _regions(template, crops.shape[1])
    # Face by face: what all of them take does not fit into the caches, and is ten times as slow.
    for row, patterns in zip(features, _patterns(crops), strict=True):
        bins = _BIN_OF_PATTERN[patterns[places]]
        bins += first_bins
        np.multiply(np.bincount(bins, minlength=LENGTH), weights, out=row, casting="same_kind")
    return features


def _patterns(crops: Image) -> Image:
    """Eq. 9 for every pixel: (N, size · size) uint8; those of a crop's border mean nothing."""
    width, pixels = crops.shape[2], np.ascontiguousarray(crops).ravel()
    # Rows and crops lie one behind the other, so a neighbour is an offset, and all work is on one long row.
    margin = width + 1
    patterns = np.zeros(len(pixels), np.uint8)
    inner, centre = patterns[margin:-margin], pixels[margin:-margin]
    is_brighter = np.empty(len(inner), np.bool_)
    for row, column in reversed(NEIGHBOURS):
        start = margin + row * width + column
        np.greater_equal(pixels[start : start + len(inner)], centre, out=is_brighter)  # eq. 10
        np.add(inner, inner, out=inner)
        np.bitwise_or(inner, is_brighter.view(np.uint8), out=inner)
    return patterns.reshape(len(crops), -1)


@lru_cache(maxsize=8)
def _regions(
    template: AlignmentTemplate, size_px: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Flat places of all regions' pixels, the first bin of each pixel's region, and 1 / pixels of each bin's region."""
    fitted = template.resized(size_px)
    span_px = size_px - 2 * fitted.pupil_x_px
    places, first_bins, weights = [], [], np.empty(LENGTH)
    for number, region in enumerate(REGIONS):
        x0, y0, x1, y1 = (
            # Whole pixels, by their centres; a crop's outermost ones have no neighbours.
            int(np.clip(np.ceil(middle + span_px * edge), 1, size_px - 1))
            for middle, edge in zip((size_px / 2, fitted.pupil_y_px) * 2, region.box, strict=True)
        )
        rows, columns = np.mgrid[y0:y1, x0:x1]
        places.append((rows * size_px + columns).ravel())
        first_bins.append(np.full(rows.size, number * BINS))
        weights[number * BINS : (number + 1) * BINS] = 1 / max(rows.size, 1)
    return np.concatenate(places), np.concatenate(first_bins), weights
