"""A folder of images as a source: each image is one frame."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Self

from edge_runtime.errors import FrameError, SourceUnavailableError
from edge_runtime.frames.frame import EndOfSource, Frame, SourceCounters
from edge_runtime.frames.pixels import read_image

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
SECONDS_PER_IMAGE = 1.0  # photographs have no rate of their own; one a second makes windows easy to reckon


class ImageFolder:
    """The images of one folder in natural order: `2.jpg` before `10.jpg`.

    Sub-folders and hidden files are left out. The image at place k of that order has the timestamp k ·
    `SECONDS_PER_IMAGE`, whether or not those before it could be read. Images may differ in size.

    Args:
        path: a folder, or a single image.
        camera_id: what the frames are labelled with.

    Raises:
        SourceUnavailableError: the path does not exist, cannot be listed, or holds no image.
    """

    is_live = False
    has_monotonic_clock = False
    online = True

    def __init__(self, path: Path, *, camera_id: str = "camera") -> None:
        self.camera_id = camera_id
        self.counters = SourceCounters()
        self._path = path
        self._images = _list_images(path)
        self._next = 0
        self._closed = False

    def read(self, timeout_s: float = 1.0) -> Frame | None:
        """Takes the next image that can be read; those that cannot are counted, logged by name and skipped.

        Args:
            timeout_s: without effect here, an image is there at once.

        Returns:
            A frame, never None.

        Raises:
            EndOfSource: all images were taken.
            FrameError: not one image of the folder could be read.
            SourceUnavailableError: the source was closed.
        """
        if self._closed:
            raise SourceUnavailableError(str(self._path), "was closed")
        while self._next < len(self._images):
            place, self._next = self._next, self._next + 1
            try:
                image_bgr = read_image(self._images[place])
            except FrameError as exc:
                self.counters.corrupt += 1
                logger.warning("image skipped: %s", exc)
                continue
            self.counters.frames += 1
            return Frame(image_bgr, place * SECONDS_PER_IMAGE, self.camera_id)
        if not self.counters.frames:
            raise FrameError(
                str(self._path),
                f"none of its {len(self._images)} images can be read",
                hint="the log names each with its fault; copy them again",
            )
        raise EndOfSource

    def close(self) -> None:
        """Ends the source; it holds nothing open."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _list_images(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    try:
        entries = list(path.iterdir())
    except OSError as exc:
        raise SourceUnavailableError(
            str(path), f"cannot be listed: {exc.strerror}", hint="check the path and its permissions"
        ) from exc
    images = [
        entry
        for entry in entries
        # Other systems leave hidden companions such as `._1.jpg` that are no images.
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    ]
    if not images:
        raise SourceUnavailableError(
            str(path),
            "holds no image",
            hint=f"images end in {', '.join(sorted(IMAGE_SUFFIXES))}; sub-folders are not searched",
        )
    return sorted(images, key=_natural_key)


def _natural_key(path: Path) -> tuple[list[str | int], str]:
    # Splitting at digits puts text at even and numbers at odd places, so only like is compared with like. The
    # name itself decides between `1.jpg` and `01.jpg`.
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)], path.name
