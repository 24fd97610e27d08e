"""The widest vector instructions of this CPU, for the report of what really ran."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# Widest first: (flag in /proc/cpuinfo, the field's name for it).
_KNOWN: Final = (
    ("amx_int8", "AMX"),
    ("avx512_bf16", "AVX-512 VNNI BF16"),
    ("avx512_vnni", "AVX-512 VNNI"),
    ("avx512f", "AVX-512"),
    ("avx_vnni", "AVX-VNNI"),
    ("avx2", "AVX2"),
    ("avx", "AVX"),
    ("i8mm", "NEON i8mm"),
    ("asimddp", "NEON dot product"),
    ("asimd", "NEON"),
)
# x86 whose products of bytes are added in 16 bits, and end at 32767 (VPMADDUBSW).
_SATURATING: Final = frozenset({"AVX-512", "AVX2", "AVX"})


def sums_saturate(instructions: str) -> bool:
    """Whether INT8 sums saturate with these widest instructions, as `instruction_set` names them."""
    return instructions in _SATURATING


def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The widest instruction set that this CPU says it has; `unknown` where it does not say."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return "unknown"
    flags = {
        flag
        for line in text.splitlines()
        if line.lower().startswith(("flags", "features"))
        for flag in line.partition(":")[2].split()
    }
    return next((name for flag, name in _KNOWN if flag in flags), "baseline" if flags else "unknown")
