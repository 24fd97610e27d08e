"""The disk under an update: on it before anybody is told, room for it, and its refusals in sentences."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from edge_runtime.errors import UpdateError
from edge_runtime.file_writing import sync_folder

SPARE_BYTES: Final = 8_000_000  # left free for the outbox, whatever an update needs
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def sync_tree(folder: Path) -> None:
    """Brings every file below a folder, and the folders' entries, to the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        adopt(path)
    sync_folder(folder)
    adopt(folder)


def adopt(path: Path) -> None:
    """Gives what root wrote to the owner of the folder: the service must be able to change it."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        with suppress(OSError):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def need_room(folder: Path, needed: int) -> None:
    """Refuses to begin what the disk has no room for.

    Raises:
        UpdateError: less than `needed` and `SPARE_BYTES` are free.
    """
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < needed + SPARE_BYTES:
        raise UpdateError(
            f"{folder} has {free / 1e6:.0f} MB left, the update needs {needed / 1e6:.0f} MB "
            f"and leaves {SPARE_BYTES / 1e6:.0f} MB free",
            hint="free space on that disk; nothing was changed",
        )


@contextmanager
def worded(what: str, *, undo: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Turns the disk's errors into ours, after `undo`.

    Raises:
        UpdateError: the disk is full, read-only, or refuses.
    """
    try:
        yield
    except OSError as exc:
        undo()
        if exc.errno in _FULL:
            raise UpdateError(
                f"{what}: the disk is full", hint="free space on that disk; what runs was not touched"
            ) from exc
        if exc.errno == errno.EROFS:
            raise UpdateError(
                f"{what}: the disk is read-only",
                hint="a worn-out SD card turns itself read-only; else mount it writable",
            ) from exc
        raise UpdateError(
            f"{what}: {exc.strerror or exc}",
            hint="check the folder's owner and the disk; what runs was not touched",
        ) from exc
