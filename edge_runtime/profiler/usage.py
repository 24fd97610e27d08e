"""What the kernel says of this process: processor time of each thread and child, memory, page faults."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from edge_runtime.health import resident_mb

_INTERVAL_S: Final = 0.5
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
SAMPLER: Final = "profiler"
LIBRARIES: Final = "libraries' own (OpenCV, engine, FFmpeg)"
CHILDREN: Final = "camera process"


@dataclass(slots=True)
class Usage:
    """Between two moments.

    Attributes:
        cpu_s: processor time, child processes included.
        threads_cpu_s: the same by thread; the threads of native libraries have no names and are one.
        rss_mb: (s since the beginning, MiB), twice a second.
        page_faults: pages that were given to this process, 4 KB each as a rule: what large arrays cost.
        python_blocks: objects of Python that are there now and were not at the beginning.
    """

    cpu_s: float = 0.0
    threads_cpu_s: dict[str, float] = field(default_factory=dict)
    rss_mb: list[tuple[float, float]] = field(default_factory=list)
    page_faults: int = 0
    python_blocks: int = 0


class UsageSampler:
    """Looks twice a second, in a thread of its own, since a thread's account is gone with the thread."""

    def __init__(self) -> None:
        self._usage = Usage()
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=SAMPLER, daemon=True)
        self._threads: dict[int, tuple[str, float]] = {}
        self._children: dict[int, float] = {}

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self._before = _thread_seconds()
        self._children_before = _children_seconds()
        self._faults_before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        self._blocks_before = sys.getallocatedblocks()
        self._cpu_before_s = time.process_time()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._told.set()
        self._thread.join()
        self._look()
        usage = self._usage
        own_s = time.process_time() - self._cpu_before_s
        children_s = sum(self._children.values()) - sum(self._children_before.values())
        usage.cpu_s = own_s + children_s
        usage.page_faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - self._faults_before
        usage.python_blocks = sys.getallocatedblocks() - self._blocks_before
        for ident, (name, seconds) in self._threads.items():
            spent_s = seconds - self._before.get(ident, 0.0)
            usage.threads_cpu_s[name] = usage.threads_cpu_s.get(name, 0.0) + spent_s
        if children_s > 0:
            usage.threads_cpu_s[CHILDREN] = children_s

    @property
    def usage(self) -> Usage:
        """So far; whole after the end."""
        return self._usage

    def _watch(self) -> None:
        while not self._told.wait(_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        for ident, seconds in _thread_seconds().items():
            known = self._threads.get(ident)
            name = names.get(ident) or (known[0] if known else LIBRARIES)
            self._threads[ident] = name, seconds
        self._children |= _children_seconds()
        if (rss := resident_mb()) is not None:
            self._usage.rss_mb.append((time.monotonic() - self._began_s, rss))


def _thread_seconds() -> dict[int, float]:
    """Kernel's thread id → processor time, s, to 1/100 s."""
    return {int(task.name): _seconds(task / "stat") for task in Path("/proc/self/task").glob("*")}


def _children_seconds() -> dict[int, float]:
    found: dict[int, float] = {}
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            for pid in listing.read_text(encoding="ascii").split():
                found[int(pid)] = _seconds(Path("/proc", pid, "stat"))
        except OSError:
            continue  # the thread ended meanwhile, or this kernel does not tell
    return found


def _seconds(stat: Path) -> float:
    try:
        fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S  # utime and stime, proc(5)
