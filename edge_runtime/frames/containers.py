"""Whether a film's file holds all the bytes that its container announces.

A copy that broke off still opens, plays its first part and ends like any other film; the container's own
sizes tell the difference. Known: ISO base media (mp4, mov, m4v, 3gp; ISO/IEC 14496-12 §4.2), RIFF (avi) and
GIF89a (§27, the trailer). Any other container is given the benefit of the doubt.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_GIF_TRAILER = b"\x3b"


def is_cut_short(path: Path) -> bool:
    """Whether bytes are missing at the end of the film.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _boxes_end(file, size) > size
        if head[:4] == b"RIFF" and len(head) == 12:
            return 8 + int.from_bytes(head[4:8], "little") > size
        if head[:3] == b"GIF":
            # Some encoders pad behind the trailer.
            file.seek(max(0, size - 64))
            return not file.read().rstrip(b"\0").endswith(_GIF_TRAILER)
    return False


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last top-level box of an ISO base media file ends, in bytes from the start of the file."""
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return position + 8
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # the size did not fit: 64 bits behind the box's type
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # up to the end of the file
            return size
        if length < 8:  # no box; padding that some recorders leave behind the last one
            return size
        position += length
    return position
