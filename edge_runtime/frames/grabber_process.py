"""The child process of a live camera, as its parent sees it; `grabber` is the child's own side."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, cast

from edge_runtime.config import CameraSection
from edge_runtime.frames.diagnosis import Problem
from edge_runtime.frames.grabber import Order, Phase
from edge_runtime.frames.handover import Captured, FrameReceiver, wait_readable

logger = logging.getLogger(__name__)

_POLITE_END_S = 1.0  # longer than grabber.STOP_GRACE_S
_KILLED_S = 0.9

_CHILD_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}  # numpy sets memory aside for each thread


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the child: the phase that it has reached, and the problem if it failed."""

    phase: Phase
    problem: Problem | None


class GrabberProcess:
    """A running child; starts with the constructor and ends with `stop` or `kill`.

    Attributes:
        pid: the child's process id.
        has_ended: the child closed its stdout, that is, it ended or is about to.

    Raises:
        OSError: no process could be started, or no memory be had.
    """

    def __init__(self, source: str, settings: CameraSection, *, grey: bool = False) -> None:
        self._frames = FrameReceiver()
        ends = self._frames.child_ends
        try:
            self._process = subprocess.Popen(
                # -P: a file in the working directory must not pass for a module.
                [sys.executable, "-P", "-m", "edge_runtime.frames.grabber"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, **_CHILD_ENVIRONMENT},
                pass_fds=(*ends.slots, ends.ready_read, ends.ready_write, ends.free_read),
                process_group=0,  # a terminal's Ctrl-C does not reach it, not even while it starts
            )
        except OSError:
            self._frames.close()
            raise
        finally:
            self._frames.release_child_ends()
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(IO[bytes], self._process.stdout)
        os.set_blocking(self._stdout.fileno(), False)
        order = Order(
            source=source,
            open_timeout_s=settings.open_timeout_s,
            read_timeout_s=settings.restart_after_s,
            width=settings.width_px,
            height=settings.height_px,
            fps=settings.fps,
            grey=grey,
            ends=ends,
        )
        with contextlib.suppress(BrokenPipeError):  # ended already; `has_ended` will tell
            self._stdin.write(order.to_line())
        self.pid = self._process.pid
        self.has_ended = False
        self._unread = b""

    def reports(self) -> list[Report]:
        """What the child has said since the last call, oldest first; does not wait."""
        while not self.has_ended and (piece := self._stdout.read(4096)) is not None:
            self._unread += piece
            self.has_ended = not piece
        *lines, self._unread = self._unread.split(b"\n")
        return [_report(line) for line in lines]

    def take(self) -> Captured | None:
        """The newest frame that was not taken yet; does not wait."""
        return self._frames.take()

    def has_frame(self, within_s: float = 0.0) -> bool:
        """Whether `take` would find a frame, now or within some time."""
        return self._frames.is_ready(within_s)

    def wait(self, timeout_s: float) -> None:
        """Sleeps until there is a frame or a report, at most so long."""
        wait_readable([self._frames, self._stdout.fileno()], timeout_s)

    def stop(self) -> None:
        """Ends the child politely within 1 s, else by force within 2 s, and releases the shared memory."""
        self._stdin.close()
        try:
            self._process.wait(_POLITE_END_S)
        except subprocess.TimeoutExpired:
            logger.debug("camera process %d hangs; killed", self.pid)
        self.kill()

    def kill(self) -> None:
        """Ends the child by force and releases the shared memory."""
        self._process.kill()  # nothing happens to a process that was waited for
        try:
            self._process.wait(_KILLED_S)
        except subprocess.TimeoutExpired:
            logger.warning("camera process %d hangs in the kernel and cannot be killed", self.pid)
        self._stdin.close()
        self._stdout.close()
        self._frames.close()


def _report(line: bytes) -> Report:
    fields = json.loads(line)
    what = fields.get("what")
    return Report(Phase(fields["phase"]), None if what is None else Problem(what, fields["hint"]))
