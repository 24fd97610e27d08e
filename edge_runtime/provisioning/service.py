"""The service manager, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.errors import ProvisioningError
from edge_runtime.provisioning.layout import UNIT
from edge_runtime.provisioning.plan import Command

START = (
    Command(("systemctl", "daemon-reload"), "read the unit"),
    Command(("systemctl", "enable", UNIT), "start with the board"),
    Command(("systemctl", "restart", UNIT), "start now"),
)
STOP = Command(("systemctl", "disable", "--now", UNIT), "stop, and not start with the board")
FORGET = Command(("systemctl", "daemon-reload"), "forget the unit")


def is_systemd_running(run: Path = Path("/run/systemd/system")) -> bool:
    """Whether systemd is this machine's service manager, as sd_booted(3) finds out."""
    return run.is_dir() and shutil.which("systemctl") is not None


def is_active() -> bool:
    """Whether the service runs."""
    command = ["systemctl", "is-active", "--quiet", UNIT]
    return is_systemd_running() and subprocess.run(command, check=False).returncode == 0


def run(commands: Sequence[Command]) -> None:
    """Runs them in order.

    Raises:
        ProvisioningError: one of them failed; with its own words.
    """
    for command in commands:
        done = subprocess.run(list(command.arguments), capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            if UNIT in command.arguments:
                said = last_words() or said  # the service's own, not systemctl's about it
            raise ProvisioningError(
                f"{command} failed:\n{said}", hint=f"journalctl -u {UNIT} -n 20 says more"
            )


def last_words(lines: int = 6) -> str:
    """What the service logged last."""
    command = ["journalctl", "-u", UNIT, "-n", str(lines), "--no-pager", "-o", "cat"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
