"""What provisioning is going to do: every file and every command, before any of it is done.

A plan is shown with `--dry-run`, and carried out without. Files that are as they should be are left alone, so a second
run changes nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from edge_runtime.errors import ProvisioningError
from edge_runtime.file_writing import write_whole

State = Literal["new", "changed", "as it is", "to remove"]
LEAST_FREE_MB: Final = 20.0  # the configuration, SQLite's log, and events for some days


@dataclass(frozen=True, slots=True)
class File:
    """A file as it should be.

    Attributes:
        path: where.
        data: its contents; None: it should not be there.
        mode: permissions.
        what: for people.
        is_secret: never shown.
    """

    path: Path
    data: bytes | None = field(repr=False)
    mode: int
    what: str
    is_secret: bool = False

    @property
    def state(self) -> State:
        """What has to be done with it."""
        if self.data is None:
            return "to remove" if self.path.exists() else "as it is"
        try:
            is_same = self.path.read_bytes() == self.data
            is_same = is_same and stat.S_IMODE(self.path.stat().st_mode) == self.mode
        except FileNotFoundError:
            return "new"
        except OSError:
            return "changed"
        return "as it is" if is_same else "changed"


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and why."""

    arguments: Sequence[str]
    why: str

    def __str__(self) -> str:
        return " ".join(self.arguments)


@dataclass(frozen=True, slots=True)
class Plan:
    """Files first, then commands."""

    files: tuple[File, ...]
    commands: tuple[Command, ...] = ()

    @property
    def changes(self) -> list[File]:
        """The files that are not as they should be."""
        return [file for file in self.files if file.state != "as it is"]

    def write(self) -> list[File]:
        """Writes and removes what has to be.

        Returns:
            The files that were touched.

        Raises:
            ProvisioningError: a file cannot be written; those before it are.
        """
        touched = self.changes
        for file in touched:
            try:
                if file.data is None:
                    file.path.unlink(missing_ok=True)
                    continue
                _make_folder(file.path.parent, 0o700 if file.is_secret else 0o755)
                write_whole(file.path, file.data, mode=file.mode)
            except OSError as exc:
                raise _unwritable(file.path, exc) from exc
        return touched

    def lines(self, *, with_contents: bool) -> Iterator[str]:
        """The plan, for people."""
        for file in self.files:
            yield f"{file.state:<9}  {file.path}  {file.mode:04o}  {file.what}"
            if with_contents and file.state in ("new", "changed") and file.data is not None:
                shown = "(secret)" if file.is_secret else file.data.decode("utf-8", "replace").rstrip()
                yield from (f"           | {line}" for line in shown.splitlines())
        for command in self.commands:
            yield f"run        {command}  ({command.why})"


def check_space(folder: Path, needed_mb: float = LEAST_FREE_MB) -> None:
    """Refuses a disk that is as good as full.

    Args:
        folder: need not exist yet.
        needed_mb: MiB.

    Raises:
        ProvisioningError: there is less.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    disk = os.statvfs(there)
    free_mb = disk.f_bavail * disk.f_frsize / 2**20
    if free_mb < needed_mb:
        raise ProvisioningError(
            f"only {free_mb:.0f} MB are left where {folder} is to be, {needed_mb:.0f} are needed",
            hint="make room: journalctl --vacuum-size=50M, apt clean; or take a larger card",
        )


def _make_folder(folder: Path, mode: int) -> None:
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=mode)
        folder.chmod(mode)


def _unwritable(path: Path, exc: OSError) -> ProvisioningError:
    hints = {
        errno.EROFS: "make it writable: mount -o remount,rw /; on a Raspberry Pi, switch the overlay file system off",
        errno.ENOSPC: "make room: journalctl --vacuum-size=50M, apt clean; or take a larger card",
        errno.EACCES: "run it with sudo; or try it below a folder of your own with --root DIR",
        errno.EPERM: "run it with sudo; or try it below a folder of your own with --root DIR",
    }
    return ProvisioningError(
        f"{path} cannot be written: {(exc.strerror or str(exc)).lower()}", hint=hints.get(exc.errno or 0, "")
    )
