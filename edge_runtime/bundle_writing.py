"""Writing a bundle whole or not at all.

Everything goes into a hidden neighbour of the target, the manifest last; only then does the folder take its
name. Whatever interrupts the work, nothing that opens is left behind, and a bundle that was there before
stays as it was. What a run that was killed has left is removed by the next one that writes there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import MANIFEST, SIGNATURE, Bundle, FileDigest, Manifest, describe_file
from edge_runtime.errors import BundleError
from edge_runtime.folder_locks import held, is_abandoned
from edge_runtime.golden import Golden

_log = logging.getLogger(__name__)


def check_target(out: Path, *, force: bool, manifest: str = MANIFEST) -> None:
    """Refuses a target before any work is done for it.

    Args:
        out: the folder to be.
        force: replaces a bundle that is there.
        manifest: the file that makes a folder one that may be replaced.

    Raises:
        BundleError: something is there and `force` is not given, or it is there and no bundle.
    """
    if not out.exists():
        return
    if not (out / manifest).is_file() and not _is_empty_folder(out):
        raise BundleError(
            out, "is there already and is no bundle", hint="give a folder that does not exist yet"
        )
    if not force and not _is_empty_folder(out):
        raise BundleError(out, "is there already", hint="--force replaces it; or give another --out")


@contextmanager
def new_bundle(out: Path, *, force: bool = False, manifest: str = MANIFEST) -> Iterator[Path]:
    """A folder to write a bundle into, which takes the name `out` when the block ends without an error.

    Args:
        out: the folder to be.
        force: replaces a bundle that is there.
        manifest: see `check_target`.

    Raises:
        BundleError: see `check_target`; or the folder cannot be written.
    """
    token = secrets.token_hex(4)
    partial, replaced = (out.parent / f".{out.name}.{word}-{token}" for word in ("partial", "replaced"))
    with ExitStack() as stack:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with held(out.parent):  # so that nobody takes the new folder for an abandoned one
                _tidy(out)
                check_target(out, force=force, manifest=manifest)
                partial.mkdir()
                stack.enter_context(held(partial))
        except OSError as exc:
            raise BundleError(out, f"cannot be written: {exc.strerror}", hint="give another --out") from exc
        try:
            yield partial
            if os.path.lexists(out):
                out.rename(replaced)
            partial.rename(out)
        finally:
            _remove(partial)
            _put_back(replaced, out)


def _tidy(out: Path) -> None:
    """Removes what killed runs left of this bundle, but for the bundle that one of them had just moved away."""
    hidden = re.compile(rf"\.{re.escape(out.name)}\.(partial|replaced)-[0-9a-f]{{8}}")
    left = [path for path in out.parent.iterdir() if hidden.fullmatch(path.name)]
    partial = [path for path in left if ".partial-" in path.name]
    abandoned = [path for path in partial if is_abandoned(path)]
    for path in abandoned:
        _log.info("removing %s, which a run that was killed has left", path)
        _remove(path)
    if partial == abandoned:  # or somebody may be between his two renames
        for path in left:
            if path not in partial:
                _put_back(path, out)


def _put_back(replaced: Path, out: Path) -> None:
    """The bundle that was there before: back in its place where that is empty, else removed."""
    if os.path.lexists(replaced) and not os.path.lexists(out):
        replaced.rename(out)
    _remove(replaced)


def _remove(path: Path) -> None:
    if path.is_symlink():  # then the folder it points to is not ours to remove
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


def digests(folder: Path) -> tuple[FileDigest, ...]:
    """Digests of all files of a bundle that is being written but manifest and signature, in order of their paths."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return tuple(describe_file(folder, path) for path in paths if path not in (MANIFEST, SIGNATURE))


def bundle_to_be(folder: Path, manifest: Manifest, golden: Golden) -> Bundle:
    """A bundle whose manifest is not written yet, to be tried by engines: whatever ends the trial, nothing opens."""
    return Bundle(folder, manifest, hashlib.sha256(manifest.to_json().encode()).hexdigest(), golden)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes `bundle.json`: the last file, without which the folder does not open."""
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")


def add_tolerances(golden: Golden, tolerances: Mapping[str, float]) -> Golden:
    """The same golden outputs with tolerances for more precisions, or other ones."""
    return replace(golden, tolerances=golden.tolerances | dict(tolerances))


def write_golden(golden: Golden, path: Path) -> None:
    """Writes `golden.npz` as `edge_runtime.bundle.open_bundle` reads it."""
    arrays: dict[str, Any] = {"crops": golden.crops, "logits": golden.logits}
    arrays |= {f"tolerance_{name}": np.float64(value) for name, value in golden.tolerances.items()}
    arrays |= golden.given
    np.savez_compressed(path, **arrays)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
