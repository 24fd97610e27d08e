"""Names as people write them → identifiers as topics hold them.

slug("Grundschule Köln-Süd")   # grundschule-koeln-sued
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LONGEST: Final = 64  # a topic level of ours
# How a language writes its letter in plain ones (DIN 5007-2 and the like); other accents are dropped.
_WRITTEN: Final = str.maketrans(
    dict(zip("äöüßæøåœðþł", ("ae", "oe", "ue", "ss", "ae", "oe", "aa", "oe", "d", "th", "l"), strict=True))
)


def slug(name: str) -> str:
    """The identifier of a name: `a-z`, `0-9` and inner hyphens, at most 64.

    Raises:
        ValueError: nothing is left of the name.
    """
    plain = unicodedata.normalize("NFC", name).lower().translate(_WRITTEN)
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    identifier = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:LONGEST].rstrip("-")
    if not identifier:
        raise ValueError(
            f"{name!r} holds none of the letters and digits that a topic can; write it in Latin letters"
        )
    return identifier
