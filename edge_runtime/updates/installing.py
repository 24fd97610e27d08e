"""From a source to a candidate: a directory, an archive or an https url becomes a whole, trusted bundle in a slot."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edge_runtime.bundle import MANIFEST, SIGNATURE, parse_manifest
from edge_runtime.config import UpdatesSection
from edge_runtime.errors import BundleError, BundleTamperedError, UpdateError
from edge_runtime.updates.archives import check_size, unpack
from edge_runtime.updates.download import Progress, download, shown
from edge_runtime.updates.durable import need_room, worded
from edge_runtime.updates.slot_table import Candidate, Waiver
from edge_runtime.updates.slots import Slots

DOWNLOADS: Final = "downloads"


def install(
    slots: Slots,
    source: str,
    settings: UpdatesSection,
    *,
    sha256: str | None = None,
    waivers: tuple[Waiver, ...] = (),
    progress: Progress = lambda done, total: None,
) -> Candidate:
    """Makes a bundle the candidate; what runs is not touched.

    Args:
        slots: of this device.
        source: a bundle's directory, an archive of one, or an https url of an archive.
        settings: limits and trust.
        sha256: hex digest that the archive must have.
        waivers: `version` takes a bundle that is older than the floor.
        progress: of a download.

    Raises:
        UpdateError: the source cannot be had or is unsafe, or the disk does not take it.
        CandidateRefusedError: older than the floor, or already the current one.
        BundleError: not whole, tampered with, or not signed as required.
    """
    max_bytes = int(settings.max_bundle_mb * 1e6)
    if "://" in source:
        archive = download(
            source, slots.folder / DOWNLOADS, max_bytes=max_bytes, ca_file=settings.ca_file, progress=progress
        )
        try:
            return _install_file(slots, archive, shown(source), max_bytes, sha256, waivers)
        finally:
            archive.unlink(missing_ok=True)
    path = Path(source)
    if path.is_dir():
        if sha256 is not None:
            raise UpdateError("--sha256 is of an archive, and this is a directory")
        return _install_folder(slots, path, max_bytes, waivers)
    if not path.is_file():
        raise UpdateError(
            f"{source}: no such file or directory", hint="give a directory, an archive or an https url"
        )
    return _install_file(slots, path, source, max_bytes, sha256, waivers)


def url_of(bundle: str, settings: UpdatesSection) -> str:
    """The address of `NAME@VERSION` in the configured repository; an address stays what it is.

    Raises:
        UpdateError: it is neither, or no repository is configured.
    """
    if urlsplit(bundle).scheme == "https":
        return bundle
    name, at, version = bundle.partition("@")
    if not at or "/" in bundle:
        raise UpdateError(f"{bundle!r} is neither NAME@VERSION nor an https url")
    if settings.repository is None:
        raise UpdateError(
            f"{bundle} is not on this device, and no repository is configured",
            hint="set [updates] repository",
        )
    return f"{settings.repository.rstrip('/')}/{name}-{version}.tar"


def _install_file(
    slots: Slots, archive: Path, source: str, max_bytes: int, sha256: str | None, waivers: tuple[Waiver, ...]
) -> Candidate:
    if sha256 is not None:
        with archive.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != sha256.lower():
            raise BundleTamperedError(
                source, f"has the digest {found[:12]}…, not {sha256[:12]}…", hint="fetch it again"
            )
    with slots.new_folder() as partial, worded(f"{archive} cannot be unpacked into {slots.folder}"):
        need_room(slots.folder, min(max_bytes, archive.stat().st_size))
        with _called(source, partial):
            unpack(archive, partial, max_bytes=max_bytes)
            return slots.install(partial, waivers)


def _install_folder(slots: Slots, folder: Path, max_bytes: int, waivers: tuple[Waiver, ...]) -> Candidate:
    manifest = parse_manifest(folder)
    size = check_size(str(folder), manifest, max_bytes)
    with slots.new_folder() as partial, worded(f"{folder} cannot be copied into {slots.folder}"):
        need_room(slots.folder, size)
        wanted = [MANIFEST, *(file.path for file in manifest.files)]
        if (folder / SIGNATURE).is_file():
            wanted.append(SIGNATURE)
        for path in wanted:
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(folder / path, partial / path)
            except FileNotFoundError as exc:
                raise UpdateError(f"{folder}: {path} is missing", hint="copy the bundle again") from exc
        with _called(str(folder), partial):
            return slots.install(partial, waivers)


@contextmanager
def _called(source: str, partial: Path) -> Iterator[None]:
    """What is wrong with the copy in the slots is told of what the operator gave."""
    try:
        yield
    except BundleError as exc:
        if exc.path != partial:  # a key
            raise
        raise type(exc)(source, exc.problem, hint=exc.hint) from exc
