"""The board itself: heat, throttling, disk, memory."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from edge_runtime.config import Config
from edge_runtime.health import temperature_c
from edge_runtime.outlet import outbox_path
from edge_runtime.provisioning.doctor.check import Check, Facts, Finding, fail, ok, skipped, warn

_WARM_BELOW_HOT_C: Final = 10.0
_LEAST_DISK_MB: Final = 20.0  # the outbox's log and reserve, and a bundle's update in small steps
_LEAST_MEMORY_MB: Final = 200.0  # resident with one 1080p camera: 201 MB, and 80 in the camera's own process
_GOOD_MEMORY_MB: Final = 400.0
_VCGENCMD_LIMIT_S: Final = 5.0

# Raspberry Pi firmware, `vcgencmd get_throttled`: bit → what it says; 16 bits higher: has happened since the
# board started.
_THROTTLED_BITS: Final = {
    0: "the supply voltage is too low",
    1: "the clock is capped",
    2: "the CPU is slowed down",
    3: "the soft temperature limit is reached",
}
_SINCE_START: Final = 16
_UNDER_VOLTAGE: Final = 1 << 0 | 1 << _SINCE_START
_SUPPLY_HINT: Final = "use the board's own power supply and a short cable"
_COOLING_HINT: Final = (
    "give the board air or a heat sink, away from lamps and the sun; or lower faces.scan_rate_hz"
)


def machine_checks(config: Config, system: Path = Path("/")) -> list[Check]:
    """Checks of the board.

    Args:
        config: for the place and size of the outbox.
        system: where the file system of the board begins; another folder in tests.
    """
    return [
        Check("temperature", "temperature", lambda: temperature(config.stats.hot_c, system)),
        Check("throttling", "throttling", lambda: throttling(system)),
        Check("disk", "disk", lambda: disk(config)),
        Check("memory", "memory", lambda: memory(system)),
    ]


def temperature(hot_c: float, system: Path = Path("/")) -> Finding:
    """The hottest thermal zone, against `stats.hot_c`, which the board's profile sets."""
    celsius = temperature_c(system / "sys/class/thermal")
    if celsius is None:
        return skipped("this machine shows no thermal zone")
    if celsius >= hot_c:
        return fail(f"{celsius:.0f} °C, boards slow down from {hot_c:.0f} °C", _COOLING_HINT, celsius=celsius)
    if celsius >= hot_c - _WARM_BELOW_HOT_C:
        return warn(f"{celsius:.0f} °C, near {hot_c:.0f} °C", _COOLING_HINT, celsius=celsius)
    return ok(f"{celsius:.0f} °C", celsius=celsius)


def throttling(system: Path = Path("/")) -> Finding:
    """Whether the CPU runs slower than it could: the Raspberry Pi's firmware, cpufreq, and the kernel's counters."""
    word = _raspberry_word()
    if word is not None:
        return _of_raspberry(word)
    slowed = _total(system, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    capped = [
        (policy.name, now / most)
        for policy in sorted((system / "sys/devices/system/cpu/cpufreq").glob("policy[0-9]*"))
        if (now := _number(policy / "scaling_max_freq")) and (most := _number(policy / "cpuinfo_max_freq"))
    ]
    if slowed is None and not capped:
        return skipped("this machine does not tell whether it throttles")
    worst = min((share for _, share in capped), default=1.0)
    facts: Facts = {"capped_to": round(worst, 2), "throttle_events": slowed or 0}
    if worst < 1:
        return warn(
            f"the clock is capped to {worst:.0%} of what the CPU can do",
            "the power-saving settings or the heat driver do that: cpupower frequency-info",
            **facts,
        )
    if slowed:
        return warn(f"slowed down by heat {slowed} times since the start", _COOLING_HINT, **facts)
    return ok("full clock, never slowed down by heat" if slowed == 0 else "full clock", **facts)


def _raspberry_word() -> int | None:
    tool = shutil.which("vcgencmd")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, "get_throttled"], capture_output=True, text=True, timeout=_VCGENCMD_LIMIT_S, check=True
        )
        return int(done.stdout.strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None  # not a Raspberry Pi, or this user may not ask its firmware


def _of_raspberry(word: int) -> Finding:
    now = [says for bit, says in _THROTTLED_BITS.items() if word >> bit & 1]
    before = [says for bit, says in _THROTTLED_BITS.items() if word >> (bit + _SINCE_START) & 1]
    hint = _SUPPLY_HINT if word & _UNDER_VOLTAGE else _COOLING_HINT
    if now:
        return fail("at present " + ", ".join(now), hint, throttled=word)
    if before:
        return warn("not at present, but since the start: " + ", ".join(before), hint, throttled=word)
    return ok("neither too hot nor too little voltage since the start", throttled=word)


def disk(config: Config) -> Finding:
    """Room and permission where the outbox lies; a file is written there and taken away again."""
    folder = outbox_path(config).parent
    place = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))
    user = _user()
    try:
        with tempfile.TemporaryFile(prefix=".roomtone-doctor-", dir=place) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as exc:
        return fail(
            f"{place} cannot be written by user {user}: {exc.strerror}",
            "is this the service's user, or root? Else name another place with outbox.path; "
            "a card that has become read-only is at its end",
            folder=str(folder),
        )
    free_mb = shutil.disk_usage(place).free / 1e6
    facts: Facts = {"folder": str(folder), "free_mb": round(free_mb, 1), "user": user}
    if free_mb < _LEAST_DISK_MB:
        return fail(f"{free_mb:.0f} MB free at {place}", "free space on that disk", **facts)
    if free_mb < config.outbox.max_mb:
        return warn(
            f"{free_mb:.0f} MB free at {place}, less than the outbox may take ({config.outbox.max_mb:g} MB)",
            "free space, or lower outbox.max_mb",
            **facts,
        )
    if place != folder:
        return ok(f"{free_mb / 1e3:.1f} GB free at {place}; {folder} is made at the first start", **facts)
    return ok(f"{free_mb / 1e3:.1f} GB free in {folder}, writable by {user}", **facts)


def memory(system: Path = Path("/")) -> Finding:
    """What is left of the memory, also within the limit of a container."""
    available = _available_mb(system)
    if available is None:
        return skipped("this machine does not tell its memory")
    facts: Facts = {"available_mb": round(available)}
    hint = "end other programs; lower the camera's resolution"
    if available < _LEAST_MEMORY_MB:
        return fail(f"{available:.0f} MB available; roomtone takes about 280 MB", hint, **facts)
    if available < _GOOD_MEMORY_MB:
        return warn(f"{available:.0f} MB available; roomtone takes about 280 MB", hint, **facts)
    return ok(f"{available / 1e3:.1f} GB available", **facts)


def _available_mb(system: Path) -> float | None:
    found = []
    try:
        for line in (system / "proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024 / 1e6)
    except (OSError, ValueError, IndexError):
        pass
    limit, used = (_number(system / "sys/fs/cgroup" / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        found.append((limit - used) / 1e6)
    return min(found, default=None)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _total(system: Path, pattern: str) -> int | None:
    numbers = [_number(file) for file in system.glob(pattern)]
    return sum(number or 0 for number in numbers) if numbers else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
