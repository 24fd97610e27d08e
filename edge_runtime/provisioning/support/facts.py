"""What runs where: versions, board, cameras. Facts for a bug report, and nothing about people."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from edge_runtime import __version__
from edge_runtime.health import temperature_c
from edge_runtime.inference.cpu import instruction_set


def versions() -> dict[str, Any]:
    """roomtone, Python, the system, and every installed package."""
    packages = {dist.metadata["Name"]: dist.version for dist in distributions() if dist.metadata["Name"]}
    return {
        "roomtone": __version__,
        "python": sys.version,
        "system": _os_release(),
        "kernel": platform.release(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def hardware(system: Path = Path("/")) -> dict[str, Any]:
    """Board, processor, memory, disk, cameras, temperature.

    Args:
        system: where the file system of the board begins; another folder in tests.
    """
    usage = shutil.disk_usage(system)
    return {
        "machine": platform.machine(),
        "board": _text(system / "proc/device-tree/model") or _text(system / "sys/class/dmi/id/product_name"),
        "processor": _processor(system / "proc/cpuinfo"),
        "processors": os.cpu_count() or 0,
        "instruction_set": instruction_set(system / "proc/cpuinfo"),
        "memory": _lines(system / "proc/meminfo", ("MemTotal", "MemAvailable", "SwapTotal")),
        "disk_total_mb": round(usage.total / 1e6),
        "disk_free_mb": round(usage.free / 1e6),
        "temperature_c": temperature_c(system / "sys/class/thermal"),
        "cameras": {
            device.name: _text(device / "name")
            for device in sorted((system / "sys/class/video4linux").glob("video*"))
        },
    }


def _os_release() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.system()


def _processor(file: Path) -> str:
    for line in (_text(file) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return ""


def _lines(file: Path, names: tuple[str, ...]) -> dict[str, str]:
    rows = (line.partition(":") for line in (_text(file) or "").splitlines())
    return {name: value.strip() for name, _, value in rows if name in names}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
