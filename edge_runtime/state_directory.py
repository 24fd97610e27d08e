"""Where this machine keeps what must outlive a process; by itself, so that who only asks for it loads nothing else."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory() -> Path:
    """Systemd's `$STATE_DIRECTORY`, else the user's own."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "roomtone"
