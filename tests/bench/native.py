"""Python's own share of the loop: processor time outside of OpenCV, the decoder and the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import thread_time
from typing import Any

import cv2

from edge_runtime.faces import detection, following, pupils
from edge_runtime.inference.engine import Engine

# Everything that the loop's thread calls in OpenCV.
FUNCTIONS = (
    *("Laplacian", "HoughCircles", "calcOpticalFlowPyrLK", "cvtColor", "equalizeHist", "groupRectangles"),
    *("invertAffineTransform", "meanStdDev", "resize", "warpAffine"),
)
MODULES = (detection, following, pupils)  # each loads its cascades


@dataclass
class NativeTime:
    """Processor time in native code of the threads that call it, s; of the loop's thread only."""

    seconds: float = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time added."""

        def call(*args: Any, **kwargs: Any) -> Any:
            began_s = thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += thread_time() - began_s

        return call


class _TimedCascade:
    def __init__(self, cascade: cv2.CascadeClassifier, time: NativeTime) -> None:
        self.detectMultiScale = time.timed(cascade.detectMultiScale)


@contextmanager
def native_time(engine: Engine, scan_cascade: str) -> Iterator[NativeTime]:
    """Measures all native calls of the block but those of the scan's own thread."""
    time, nowhere = NativeTime(), NativeTime()
    functions = {name: getattr(cv2, name) for name in FUNCTIONS}
    load = detection.load_cascade
    logits = engine.logits
    for name, function in functions.items():
        setattr(cv2, name, time.timed(function))
    for module in MODULES:
        module.load_cascade = lambda file: _TimedCascade(  # type: ignore[attr-defined]
            load(file), nowhere if file == scan_cascade else time
        )
    engine.logits = time.timed(logits)  # type: ignore[method-assign]
    try:
        yield time
    finally:
        for name, function in functions.items():
            setattr(cv2, name, function)
        for module in MODULES:
            module.load_cascade = load  # type: ignore[attr-defined]
        engine.logits = logits  # type: ignore[method-assign]
