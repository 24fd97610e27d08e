"""What the cameras of one board share: its cores, the thread that scans, the engines, and the governor of their rates.

    with Resources() as board, Agent(one, resources=board), Agent(other, resources=board): ...

A single camera has the same, for itself.
"""

from __future__ import annotations

import os
from itertools import count
from typing import Self

import cv2

from edge_runtime.faces.scanning import scan_thread
from edge_runtime.governor import Governor
from edge_runtime.inference.shared_engine import EnginePool
from edge_runtime.turns import Turns, phase
from edge_runtime.updates.starting import open_here


class Resources:
    """See the module. Context manager: it owns the thread.

    Attributes:
        engines: cameras that run the same network in the same way run one engine.
        governor: lets all rates fall when the board is too slow.
        scans: the thread; each camera has at most one scan there.
        turns: of live cameras, for one frame each.
    """

    def __init__(self) -> None:
        self.engines = EnginePool(open_here)
        self.governor = Governor()
        self.scans = scan_thread()
        self.turns = Turns(len(os.sched_getaffinity(0)))
        self._threads = 0
        self._numbers = count()

    def next_phase(self) -> float:
        """Where another camera's beats lie, so that not all cameras classify at the same moment; see `turns.phase`."""
        return phase(next(self._numbers))

    def use_threads(self, count: int) -> None:
        """Gives OpenCV as many threads as the most demanding camera asks for; they are the process's."""
        self._threads = max(self._threads, count)
        cv2.setNumThreads(self._threads)

    def close(self) -> None:
        """Ends the thread; a scan under way is finished first."""
        self.scans.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
