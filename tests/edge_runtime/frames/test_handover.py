"""The shared memory between a camera's child process and its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from edge_runtime.frames.handover import FrameReceiver, FrameSender


@pytest.fixture
def both_ends():
    """Sender and receiver in one process; the sender's descriptors are duplicates, as a child's would be."""
    from dataclasses import replace

    receiver = FrameReceiver()
    ends = receiver.child_ends
    copies = replace(
        ends,
        slots=tuple(os.dup(fd) for fd in ends.slots),
        ready_read=os.dup(ends.ready_read),
        ready_write=os.dup(ends.ready_write),
        free_read=os.dup(ends.free_read),
    )
    receiver.release_child_ends()
    yield FrameSender(copies), receiver
    receiver.close()
    for fd in (*copies.slots, copies.ready_read, copies.ready_write, copies.free_read):
        os.close(fd)


def image(value: int, height: int = 3, width: int = 5) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_only_the_newest_frame_waits_and_the_gap_in_its_number_tells_what_was_replaced(both_ends):
    sender, receiver = both_ends
    for value in range(1, 6):
        sender.send(image(value), timestamp_s=float(value), corrupt=2)

    captured = receiver.take()

    assert (captured.sequence, captured.timestamp_s, captured.corrupt) == (5, 5.0, 2)
    np.testing.assert_array_equal(captured.image, image(5))
    assert receiver.take() is None


def test_a_frame_belongs_to_its_receiver_whatever_is_sent_later(both_ends):
    sender, receiver = both_ends
    sender.send(image(1), 1.0)
    first = receiver.take()
    for value in range(2, 12):
        sender.send(image(value), float(value))

    np.testing.assert_array_equal(first.image, image(1))
    assert first.image.flags.writeable


def test_frames_may_grow_and_shrink(both_ends):
    sender, receiver = both_ends
    for height, width in [(3, 5), (700, 900), (1, 1), (701, 901), (2, 2)]:
        sender.send(image(9, height, width), 0.0)
        assert receiver.take().image.shape == (height, width, 3)


def test_grey_and_coloured_frames_may_alternate(both_ends):
    sender, receiver = both_ends
    for sent in (image(9, 700, 900), image(7, 300, 500)[:, :, 0], image(3, 300, 500)):
        sender.send(sent, 0.0)
        np.testing.assert_array_equal(receiver.take().image, sent)


def test_whether_a_frame_is_ready_is_told_without_taking_it(both_ends):
    sender, receiver = both_ends
    assert not receiver.is_ready()
    sender.send(image(1), 1.0)
    assert receiver.is_ready()
    assert receiver.take() is not None
    assert not receiver.is_ready()


def test_nothing_is_left_open(both_ends):
    before = len(os.listdir("/proc/self/fd"))
    receiver = FrameReceiver()
    receiver.release_child_ends()
    receiver.close()

    assert len(os.listdir("/proc/self/fd")) == before


def test_no_frame_is_torn_between_two_processes():
    script = """if True:
        import sys, numpy as np
        from edge_runtime.frames.handover import ChildEnds, FrameSender
        *slots, ready_read, ready_write, free_read = map(int, sys.argv[1:])
        sender = FrameSender(ChildEnds(tuple(slots), ready_read, ready_write, free_read))
        images = [np.full((240 + i, 320, 3), i, np.uint8) for i in range(50)]
        number = 0
        try:
            while True:
                sender.send(images[number % 50], float(number))
                number += 1
        except BrokenPipeError:
            pass
    """
    receiver = FrameReceiver()
    ends = receiver.child_ends
    fds = (*ends.slots, ends.ready_read, ends.ready_write, ends.free_read)
    child = subprocess.Popen([sys.executable, "-c", script, *map(str, fds)], pass_fds=fds)
    receiver.release_child_ends()
    try:
        taken, last = 0, 0
        deadline_s = time.monotonic() + 30
        while taken < 500 and time.monotonic() < deadline_s:
            if not receiver.is_ready(within_s=1.0) or (captured := receiver.take()) is None:
                continue
            value = int(captured.timestamp_s) % 50
            assert captured.image.shape == (240 + value, 320, 3)
            assert captured.image.min() == captured.image.max() == value
            assert captured.sequence > last
            taken, last = taken + 1, captured.sequence
    finally:
        child.kill()
        child.wait(10)
        receiver.close()

    assert taken == 500
    assert last > 500  # the child was faster, so slots were taken back
