"""The systemd unit of this device, from the one that ships."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_runtime.errors import ProvisioningError
from edge_runtime.firmware import firmware_folder
from edge_runtime.provisioning.layout import UNIT, Layout

_HOMES: Final = ("/home/", "/root/")


def unit_text(layout: Layout, credentials: Sequence[str], program: Path | None = None) -> str:
    """The unit, with this device's paths and one `LoadCredential=` for each file that there is.

    Args:
        layout: where the files lie.
        credentials: names of the files.
        program: the `roomtone` command; the one beside this interpreter when None.
    """
    program = roomtone_program() if program is None else program
    folder = layout.on_device(layout.credentials)
    text = (firmware_folder("systemd") / UNIT).read_text(encoding="utf-8")
    text = re.sub(
        r"(?m)^ExecStart=.*$",
        lambda _: f"ExecStart={program} run --config {layout.on_device(layout.configuration)}",
        text,
    )
    loads = "".join(f"LoadCredential={name}:{folder / name}\n" for name in credentials)
    text = re.sub(r"(?m)(^#LoadCredential=.*\n)+", lambda _: loads, text)
    if f"{program}".startswith(_HOMES):
        text = text.replace("ProtectHome=yes", "ProtectHome=read-only")  # the program itself lies there
    return text


def roomtone_program() -> Path:
    """The `roomtone` command of this installation."""
    return Path(sys.executable).with_name("roomtone")


def check_reachable(program: Path) -> None:
    """Makes sure that the service's own user, who is nobody in particular, can run the program.

    Raises:
        ProvisioningError: it is not there, or a folder on the way is closed to others.
    """
    if not os.access(program, os.X_OK):
        raise ProvisioningError(
            f"there is no program {program}", hint="install roomtone there: pip install roomtone"
        )
    interpreter = Path(sys.executable)  # a virtual environment links to one, which may lie in somebody's home
    ways = [path for start in (program, interpreter) for path in (start, start.resolve())]
    for folder in dict.fromkeys(folder for way in ways for folder in reversed(way.parents)):
        if not stat.S_IMODE(folder.stat().st_mode) & stat.S_IXOTH:
            raise ProvisioningError(
                f"{program}, or its Python, is out of reach for the service: {folder} is closed to other users",
                hint="install it where all can read: "
                "/usr/bin/python3 -m venv /opt/roomtone && /opt/roomtone/bin/pip install 'roomtone[provision]'",
            )
