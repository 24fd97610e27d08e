"""What this board is: model, processor, instruction sets, as the kernel tells. Pure reading; nothing is probed.

board = read_board()
board.model        # Raspberry Pi 5 Model B Rev 1.0
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# CPU part numbers of Arm cores in /proc/cpuinfo (Arm, MIDR_EL1.PartNum of each core's reference manual).
_ARM_PARTS: Final = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd42": "Cortex-A78AE",
}


@dataclass(frozen=True, slots=True)
class Board:
    """What is known of the board; empty or zero where the kernel does not tell.

    Attributes:
        model: of the device tree, or of the mainboard's maker.
        cpu: the processor's name.
        architecture: as `uname -m`.
        flags: instruction sets, as /proc/cpuinfo spells them.
        cores: logical processors.
        memory_mb: MiB.
    """

    model: str
    cpu: str
    architecture: str
    flags: frozenset[str]
    cores: int
    memory_mb: int

    def __str__(self) -> str:
        parts = [
            self.model,
            self.cpu,
            f"{self.cores} cores",
            f"{self.memory_mb / 1024:.0f} GB",
            self.architecture,
        ]
        return ", ".join(part for part in parts if part)


def read_board(root: Path = Path("/"), architecture: str | None = None) -> Board:
    """Reads the device tree, the DMI tables, /proc/cpuinfo and /proc/meminfo.

    Args:
        root: where /proc and /sys are.
        architecture: as `uname -m`; this machine's when None.
    """
    cpuinfo = _text(root / "proc/cpuinfo")
    words = {
        word for line in re.findall(r"(?mi)^(?:flags|features)\s*:(.*)$", cpuinfo) for word in line.split()
    }
    memory = re.search(r"MemTotal:\s*(\d+) kB", _text(root / "proc/meminfo"))
    return Board(
        model=_text(root / "proc/device-tree/model") or _mainboard(root / "sys/class/dmi/id"),
        cpu=_cpu(cpuinfo),
        architecture=architecture or platform.machine(),
        flags=frozenset(words),
        cores=len(re.findall(r"(?m)^processor\s*:", cpuinfo)),
        memory_mb=int(memory[1]) // 1024 if memory else 0,
    )


def _cpu(cpuinfo: str) -> str:
    if name := re.search(r"(?m)^model name\s*:\s*(.*)$", cpuinfo):
        return name[1].strip()
    parts = dict.fromkeys(re.findall(r"(?m)^CPU part\s*:\s*(0x[0-9a-f]+)", cpuinfo))
    return " + ".join(_ARM_PARTS.get(part, f"Arm core {part}") for part in parts)


def _mainboard(dmi: Path) -> str:
    names = [_text(dmi / name) for name in ("sys_vendor", "product_name")]
    return " ".join(
        name for name in names if name and not name.lower().startswith(("to be filled", "default"))
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
