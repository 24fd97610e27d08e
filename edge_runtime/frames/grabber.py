"""The child process of a live camera: opens it, reads without pause and keeps only the newest frame.

Native code that opens a camera or waits for a frame can hang for ever; a process can be killed. It is started
as
`python -m edge_runtime.frames.grabber` by `GrabberProcess`, and speaks with it so:

    stdin    one line of JSON, the order (not on the command line, where `ps` would show passwords);
             its end means: stop. It ends with the parent, however the parent ends.
    stdout   lines of JSON, one for each change of `Phase`; nobody else gets to write there
    frames   through `handover`

Loads nothing but OpenCV and numpy.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Self

import cv2
import numpy as np

from edge_runtime.errors import FrameError
from edge_runtime.frames.address import device_path, masked
from edge_runtime.frames.diagnosis import Problem, explain
from edge_runtime.frames.handover import ChildEnds, FrameSender
from edge_runtime.frames.pixels import as_bgr, ask_for_grey

STOP_GRACE_S = 0.7  # for a polite end: an RTSP camera keeps a session that was not torn down
_DECODER_THREADS = 2  # of FFmpeg; each one delays an H.264 stream by one frame


class Phase(StrEnum):
    """Where the child has got to; each is one line on its stdout."""

    OPENING = "opening"
    READING = "reading"
    FAILED = "failed"  # the child ends after this one; may come twice, the later one knows more


@dataclass(frozen=True, slots=True)
class Order:
    """What to read.

    Attributes:
        source: camera index, device file or url.
        open_timeout_s, read_timeout_s: after which a stream's native code gives up by itself.
        width, height, fps: asked of a USB camera, which may choose otherwise.
        grey: frames need no colour.
        ends: the inherited descriptors of the handover.
    """

    source: str
    open_timeout_s: float
    read_timeout_s: float
    width: int | None
    height: int | None
    fps: float | None
    grey: bool
    ends: ChildEnds

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """The reverse of `to_line`."""
        fields = json.loads(line)
        ends = fields.pop("ends")
        return cls(**fields, ends=ChildEnds(**{**ends, "slots": tuple(ends["slots"])}))


def main() -> None:
    """Runs until the camera fails, the parent says stop, or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us in good order
    order = Order.from_line(sys.stdin.buffer.readline())
    reporter = _Reporter()
    stop = threading.Event()
    threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    cv2.setNumThreads(1)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        try:
            _grab(order, reporter, stop)
        except BrokenPipeError:
            raise
        except Exception as exc:  # noqa: BLE001 - this process has no log; only the parent can tell anybody
            fault = f"{type(exc).__name__}: {exc}".replace(order.source, masked(order.source))
            reporter.say(Phase.FAILED, Problem(f"its process failed ({fault})"))


class _Reporter:
    """The way to the parent; what a library prints to stdout goes the way of stderr instead."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        os.dup2(2, 1)

    def say(self, phase: Phase, problem: Problem | None = None) -> None:
        """Writes one line."""
        message = {"phase": phase, **(asdict(problem) if problem else {})}
        os.write(self._fd, json.dumps(message).encode() + b"\n")

    def explain_failure(self, source: str, problem: Problem) -> None:
        """Says what is known at once, then the reason if one is found, which may take a while."""
        self.say(Phase.FAILED, problem)
        if reason := explain(source):
            self.say(Phase.FAILED, reason)


def _watch_parent(stop: threading.Event) -> None:
    """Ends this process soon after its stdin does, even while the main thread hangs in native code."""
    parent = os.getppid()
    # The parent's id is watched too: a process that the parent forked may hold our stdin open beyond its end.
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], 1.0)
        if readable and not os.read(0, 1):
            break
    stop.set()
    time.sleep(STOP_GRACE_S)
    os._exit(0)


def _grab(order: Order, reporter: _Reporter, stop: threading.Event) -> None:
    reporter.say(Phase.OPENING)
    capture = _open(order)
    if not capture.isOpened():
        problem = Problem("did not open", "does another program show its picture?")
        reporter.explain_failure(order.source, problem)
        return
    is_grey = order.grey and device_path(order.source) is None and ask_for_grey(capture)
    reporter.say(Phase.READING)
    sender, corrupt = FrameSender(order.ends), 0
    while not stop.is_set():
        waiting_since_s = time.monotonic()
        if not capture.grab():
            waited_s = time.monotonic() - waiting_since_s
            timed_out = waited_s >= order.read_timeout_s
            capture.release()
            problem = Problem(f"no frame for {waited_s:.1f} s" if timed_out else "the stream ended")
            reporter.explain_failure(order.source, problem)
            return
        timestamp_s = time.monotonic()
        decoded, image = capture.retrieve()
        try:
            if not decoded:
                raise FrameError(order.source, "cannot be decoded")
            pixels = np.asarray(image, np.uint8) if is_grey else as_bgr(image)
        except FrameError:
            corrupt += 1
            continue
        sender.send(pixels, timestamp_s, corrupt=corrupt)
    capture.release()


def _open(order: Order) -> cv2.VideoCapture:
    device = device_path(order.source)
    if device is None:
        # The time-outs count only as parameters of the constructor; once open, setting them has no effect.
        parameters = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: round(order.open_timeout_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: round(order.read_timeout_s * 1000),
            cv2.CAP_PROP_N_THREADS: _DECODER_THREADS,
        }
        flat = [number for pair in parameters.items() for number in pair]
        return cv2.VideoCapture(order.source, cv2.CAP_FFMPEG, flat)
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    wishes = {
        cv2.CAP_PROP_FRAME_WIDTH: order.width,
        cv2.CAP_PROP_FRAME_HEIGHT: order.height,
        cv2.CAP_PROP_FPS: order.fps,
    }
    if capture.isOpened() and any(wishes.values()):
        # Uncompressed, USB 2 carries 1080p at about 5 frames/s. A camera without MJPEG keeps its own format.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        for wish, value in wishes.items():
            if value is not None:
                capture.set(wish, value)
    return capture


if __name__ == "__main__":
    main()
