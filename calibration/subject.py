"""What is measured: a bundle, or a checkpoint of `roomtone train` as the bundle that it would become."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from calibration.evaluation import OnProgress, silent
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.errors import MissingExtraError


@contextmanager
def opened_subject(subject: Path, on_progress: OnProgress = silent) -> Iterator[Bundle]:
    """Opens a bundle; a file is exported into a temporary one first, which is gone afterwards.

    Args:
        subject: directory of a bundle, or a checkpoint.
        on_progress: called with (stage, done, total).

    Raises:
        BundleError: the directory is no bundle.
        MissingExtraError: a checkpoint, and `roomtone[export]` is not installed.
        RoomtoneError: the checkpoint cannot be read, or is not of the network that it names.
    """
    if not subject.is_file():
        yield open_bundle(subject)
        return
    exporters = list(entry_points(group="roomtone.checkpoints", name="bundle_of"))
    if not exporters:
        raise MissingExtraError("evaluating a checkpoint", "export")
    bundle_of: Any = exporters[0].load()
    with tempfile.TemporaryDirectory(prefix="roomtone-checkpoint-") as folder:
        bundle: Bundle = bundle_of(subject, Path(folder) / "bundle", on_progress)
        yield bundle
