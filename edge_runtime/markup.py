"""The mark-up of faces with 68 points (iBUG; Sagonas et al. 2013): which point lies where.

Convention: numbers are 0-based here; P1 §3.1 counts from 1. “Left” and “right” are the image's. To the 68 we add the
two pupils, the image-left one first: 68 and 69.
"""

from __future__ import annotations

from typing import Final

MARKS: Final = 68
LEFT_EYE: Final = slice(36, 42)  # six lid points; the person's right eye
RIGHT_EYE: Final = slice(42, 48)
MOUTH: Final = slice(48, 68)
OUTER_EYE_CORNERS: Final = (36, 45)


def _mirror_of() -> list[int]:
    """For each of the 68 landmarks the one on the other side of the face."""
    pairs = [(k, 16 - k) for k in range(17)] + [(17 + k, 26 - k) for k in range(10)]
    pairs += [(31 + k, 35 - k) for k in range(5)] + [(27 + k, 27 + k) for k in range(4)]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48 + k, 54 - k) for k in range(7)] + [(55 + k, 59 - k) for k in range(5)]
    pairs += [(60 + k, 64 - k) for k in range(5)] + [(65 + k, 67 - k) for k in range(3)]
    mirror = list(range(MARKS))
    for left, right in pairs:
        mirror[left], mirror[right] = right, left
    return mirror


MIRROR: Final = _mirror_of()
