"""What the tests of provisioning share: the command as a process, and a user without rights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SMALL_ROOM = "simulated://students=4,seed=3,width=640,height=360"


@contextmanager
def nobody() -> Iterator[None]:
    """As a user without rights; root may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def roomtone(
    *arguments: str | Path, root: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end; below a root of its own where one is given."""
    command = [sys.executable, "-m", "edge_runtime", *map(str, arguments)]
    if root is not None:
        command += ["--root", str(root)]
    own = {key: value for key, value in os.environ.items() if not key.startswith("ROOMTONE_")}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=own | environ,
        timeout=120,
        check=False,
    )


def files_below(root: Path) -> dict[str, bytes]:
    """All files, by their paths."""
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}
