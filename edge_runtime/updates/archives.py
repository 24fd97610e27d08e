"""Bundles out of archives: only the files that the manifest lists, each no larger than it says.

A tar or zip may name any path, hold links and devices, or unpack to a million times its size. Here an archive with one
unsafe member is refused whole, and nothing is written but `bundle.json`, `bundle.sig` and the listed files.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from edge_runtime.bundle import MANIFEST, SIGNATURE, Manifest, parse_manifest
from edge_runtime.errors import UpdateError

MAX_MANIFEST_BYTES: Final = 4_000_000
MAX_MEMBERS: Final = 2_000
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Member:
    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, *, max_bytes: int) -> Manifest:
    """Unpacks a bundle.

    Args:
        archive: tar (plain, gzip, bzip2 or xz) or zip; the bundle at its root, or in one folder.
        folder: an empty folder.
        max_bytes: largest bundle, unpacked.

    Returns:
        Its manifest; the files are still to be held against it (`open_bundle`).

    Raises:
        UpdateError: no archive, unsafe, too large, or it holds no bundle or not all of it.
        BundleError: the manifest is none.
    """
    with _members(archive, max_bytes) as members:
        root = _root_of(archive, members)
        by_path = {member.path: member for member in members}
        manifest_member = by_path[root / MANIFEST]
        if manifest_member.size > MAX_MANIFEST_BYTES:
            raise UpdateError(f"{archive}: its {MANIFEST} is larger than any")
        _copy(archive, manifest_member, folder / MANIFEST)
        manifest = parse_manifest(folder)
        check_size(str(archive), manifest, max_bytes)
        wanted = {file.path: file.size for file in manifest.files}
        if root / SIGNATURE in by_path:
            wanted[SIGNATURE] = 64
        for path, size in wanted.items():
            member = by_path.get(root / path)
            if member is None:
                raise UpdateError(f"{archive}: {path} is missing", hint="pack the whole folder of the bundle")
            if member.size != size:
                raise UpdateError(f"{archive}: {path} has {member.size} bytes, the manifest says {size}")
            _copy(archive, member, folder / path)
    return manifest


def check_size(origin: str, manifest: Manifest, max_bytes: int) -> int:
    """Bytes of a bundle's files.

    Raises:
        UpdateError: more than are allowed.
    """
    size = sum(file.size for file in manifest.files)
    if size > max_bytes:
        raise UpdateError(
            f"{origin}: the bundle has {size / 1e6:.0f} MB, allowed are {max_bytes / 1e6:.0f} MB",
            hint="[updates] max_bundle_mb allows more",
        )
    return size


@contextmanager
def _members(archive: Path, max_bytes: int) -> Iterator[list[_Member]]:
    """The regular files of an archive, while it is open."""
    try:
        if _is_zip(archive):
            with zipfile.ZipFile(archive) as opened:
                yield _checked(archive, _of_zip(archive, opened), max_bytes)
        else:
            with tarfile.open(archive) as opened_tar:
                yield _checked(archive, _of_tar(archive, opened_tar), max_bytes)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as exc:
        # RuntimeError, NotImplementedError: a zip with a password, or packed in a way that Python does not know
        # tarfile lists what each of its methods thinks of a file that is none
        problem = "it is no archive, or a part of one" if "\n" in str(exc) else exc
        raise UpdateError(
            f"{archive} cannot be unpacked: {problem}", hint="give a whole .tar, .tar.gz, .tar.xz or .zip"
        ) from exc


def _is_zip(archive: Path) -> bool:
    # By its first bytes: `zipfile.is_zipfile` looks from the end, and finds the golden.npz in a tar.
    with archive.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _of_tar(archive: Path, opened: tarfile.TarFile) -> Iterator[_Member]:
    for info in opened:
        if info.isdir():
            continue
        if not info.isreg():
            raise _unsafe(archive, info.name, "is a link or a device")
        yield _Member(PurePosixPath(info.name), info.size, _tar_opener(opened, info))


def _tar_opener(opened: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def open_member() -> IO[bytes]:
        stream = opened.extractfile(info)
        if stream is None:
            raise tarfile.ReadError(f"{info.name} is no file")
        return stream

    return open_member


def _of_zip(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Member]:
    for info in opened.infolist():
        if info.is_dir():
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _unsafe(archive, info.filename, "is a link or a device")
        yield _Member(PurePosixPath(info.filename), info.file_size, _zip_opener(opened, info))


def _zip_opener(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: opened.open(info)


def _checked(archive: Path, members: Iterator[_Member], max_bytes: int) -> list[_Member]:
    """Reads the list of contents no further than a bundle's could go."""
    checked: list[_Member] = []
    total = 0
    for member in members:
        if member.path.is_absolute() or ".." in member.path.parts or "\\" in str(member.path):
            raise _unsafe(archive, str(member.path), "lies outside")
        total += member.size
        if len(checked) >= MAX_MEMBERS or total > max_bytes + MAX_MANIFEST_BYTES:
            raise UpdateError(
                f"{archive} holds more than a bundle may: {len(checked) + 1} files, {total / 1e6:.0f} MB",
                hint="[updates] max_bundle_mb allows more",
            )
        checked.append(member)
    return checked


def _root_of(archive: Path, members: list[_Member]) -> PurePosixPath:
    """The folder of `bundle.json`: the archive's root, or the one folder in it."""
    roots = [m.path.parent for m in members if m.path.name == MANIFEST and len(m.path.parts) <= 2]
    if len(roots) != 1:
        found = "no" if not roots else "more than one"
        raise UpdateError(
            f"{archive} has {found} {MANIFEST} at its root or in one folder there",
            hint="pack a bundle with: tar -C BUNDLE -cf NAME.tar .",
        )
    return roots[0]


def _copy(archive: Path, member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with member.open() as source, target.open("wb") as out:
        while left and (chunk := source.read(min(_CHUNK, left))):
            out.write(chunk)
            left -= len(chunk)
    if left:
        raise UpdateError(f"{archive}: {member.path} is cut short", hint="copy the archive again")


def _unsafe(archive: Path, member: str, why: str) -> UpdateError:
    return UpdateError(
        f"{archive}: {member[:200]!r} {why}; an archive with such a member is not unpacked",
        hint="pack the bundle again, from a place that you trust",
    )
