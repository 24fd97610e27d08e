"""Frames from a camera's child process to its parent, through shared memory.

Three slots go round between the two: one is being filled by the child, at most one is ready, at most one is
being
copied by the parent. Which slot is whose is settled by tokens, the slots' numbers, in two pipes:

    child  ──── ready (at most one token) ────▶  parent
    child  ◀──────────── free ─────────────────  parent

The child takes an unread token back out of `ready` before it puts the newer one in, so that only the newest
frame waits. A slot has one owner at any time, hence no torn frame, and the kernel's pipes order the memory
accesses on every CPU, which sequence numbers alone would not do on ARM.

The slots are anonymous memory files (memfd_create): they have no name, nothing is left behind however the
processes end, no resource tracker takes part, and a container's small /dev/shm does not limit them.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import select
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.frames.frame import Image

SLOTS = 3
_HEADER = struct.Struct("=QQdIII")  # sequence, corrupt, timestamp_s, height, width, channels (0: grey)
_PIXELS_AT = 64  # one cache line for the header


@dataclass(frozen=True, slots=True)
class Captured:
    """One frame as the child captured it.

    Attributes:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 grey, owned by the receiver.
        timestamp_s: CLOCK_MONOTONIC at the capture, s; this clock is the same in both processes.
        sequence: 1 for the child's first frame, then one more for each; a gap means frames that nobody took.
        corrupt: frames that the child could not decode so far.
    """

    image: Image
    timestamp_s: float
    sequence: int
    corrupt: int


@dataclass(frozen=True, slots=True)
class ChildEnds:
    """The file descriptors that the child inherits, under the same numbers as in the parent."""

    slots: tuple[int, ...]
    ready_read: int
    ready_write: int
    free_read: int


class _Slot:
    """One anonymous memory file: a header, then the pixels; it grows with the frame and never shrinks."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._memory = mmap.mmap(fd, 0)

    def write(self, image: Image, timestamp_s: float, sequence: int, corrupt: int) -> None:
        needed = _PIXELS_AT + image.nbytes
        if needed > len(self._memory):
            # Reserved at once: a lack of memory is an OSError here, and would be a SIGBUS at the first write.
            os.posix_fallocate(self._fd, 0, needed)
            self._remap()
        height, width, channels = (*image.shape, 0)[:3]
        _HEADER.pack_into(self._memory, 0, sequence, corrupt, timestamp_s, height, width, channels)
        np.copyto(self._pixels(image.shape), image)

    def read(self) -> Captured:
        sequence, corrupt, timestamp_s, height, width, channels = _HEADER.unpack_from(self._memory)
        shape = (height, width, channels) if channels else (height, width)
        if _PIXELS_AT + math.prod(shape) > len(self._memory):
            self._remap()
        return Captured(self._pixels(shape).copy(), timestamp_s, sequence, corrupt)

    def close(self) -> None:
        self._memory.close()
        os.close(self._fd)

    def _remap(self) -> None:
        self._memory.close()
        self._memory = mmap.mmap(self._fd, 0)

    def _pixels(self, shape: tuple[int, ...]) -> Image:
        return np.frombuffer(self._memory, np.uint8, math.prod(shape), _PIXELS_AT).reshape(shape)


class FrameReceiver:
    """The parent's side; makes the slots and the pipes.

    Attributes:
        child_ends: what the child must inherit; ours until `release_child_ends`.
    """

    def __init__(self) -> None:
        self._ready, ready_write = os.pipe()
        free_read, self._free = os.pipe()
        os.set_blocking(self._ready, False)  # holds for the child's use of this end too
        os.set_blocking(free_read, False)
        slots = [os.memfd_create("roomtone-frame") for _ in range(SLOTS)]
        for fd in slots:
            os.posix_fallocate(fd, 0, _PIXELS_AT)
        self._slots = [_Slot(fd) for fd in slots]
        self.child_ends = ChildEnds(tuple(slots), self._ready, ready_write, free_read)

    def release_child_ends(self) -> None:
        """Closes what only the child uses, once it has started."""
        os.close(self.child_ends.ready_write)
        os.close(self.child_ends.free_read)

    def fileno(self) -> int:
        """For `poll`: readable when a frame is ready."""
        return self._ready

    def is_ready(self, within_s: float = 0.0) -> bool:
        """Whether a frame can be taken, now or within some time.

        For the few microseconds in which the child replaces a frame by a newer one, none seems to be there.
        """
        poll = select.poll()
        poll.register(self._ready, select.POLLIN)
        return any(events & select.POLLIN for _, events in poll.poll(within_s * 1000))

    def take(self) -> Captured | None:
        """Copies the newest unread frame out of its slot; None when there is none."""
        try:
            token = os.read(self._ready, 1)
        except BlockingIOError:
            return None
        if not token:
            return None
        try:
            return self._slots[token[0]].read()
        finally:
            with contextlib.suppress(BrokenPipeError):  # the child has ended; nobody will fill the slot again
                os.write(self._free, token)

    def close(self) -> None:
        """Releases the memory; once."""
        os.close(self._ready)
        os.close(self._free)
        for slot in self._slots:
            slot.close()


class FrameSender:
    """The child's side."""

    def __init__(self, ends: ChildEnds) -> None:
        self._ends = ends
        self._slots = [_Slot(fd) for fd in ends.slots]
        self._free = list(range(SLOTS))
        self._sequence = 0

    def send(self, image: Image, timestamp_s: float, *, corrupt: int = 0) -> None:
        """Puts a frame up to be taken, in place of the one before if nobody took that.

        Raises:
            OSError: no memory, or the parent has ended.
        """
        self._free += _tokens(self._ends.free_read, SLOTS)
        index = self._free.pop()
        self._sequence += 1
        self._slots[index].write(image, timestamp_s, self._sequence, corrupt)
        self._free += _tokens(self._ends.ready_read, 1)
        os.write(self._ends.ready_write, bytes([index]))


def _tokens(pipe: int, count: int) -> Sequence[int]:
    try:
        return os.read(pipe, count)
    except BlockingIOError:
        return b""


def wait_readable(files: Sequence[FrameReceiver | int], timeout_s: float) -> None:
    """Sleeps until one of the files can be read, or has ended, or the time is over."""
    poll = select.poll()  # unlike select(), works with descriptors above 1023
    for file in files:
        poll.register(file, select.POLLIN)
    poll.poll(max(0.0, timeout_s) * 1000)
