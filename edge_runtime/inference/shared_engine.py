"""One engine for the cameras of a board: what they ask for while it is at work goes as one batch.

    camera 1 ──crops──▶ at work ..........▶
    camera 2 ──crops──▶          one batch ▶
    camera 3 ──crops──▶          of both   ▶

Nothing waits for the others' crops: an engine that is free runs what comes, and only one that is busy makes batches
across cameras, which is when they are worth something. Each camera waits for its own answer, so it has at most one
request here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from threading import Condition, Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Bundle
from edge_runtime.config import InferenceSection
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import NOTHING, Dimensions, EngineReport, Features, Given, Logits
from edge_runtime.inference.opening import Choice, Opener


@dataclass(slots=True, eq=False)
class _Request:
    call: str  # method of the engine
    rows: npt.NDArray[Any]  # crops, or sequences of features
    given: Given = field(default_factory=dict)
    answer: tuple[npt.NDArray[np.float32], ...] | None = None
    error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None

    def goes_with(self, other: _Request) -> bool:
        return self.call == other.call and set(self.given) == set(other.given)


@dataclass(slots=True)
class BatchCounters:
    """Totals: calls of the engine, requests answered by them, faces in them."""

    calls: int = 0
    requests: int = 0
    faces: int = 0


class SharedEngine:
    """An engine for several threads, first come, first served; see the module.

    Args:
        choice: whose engine runs, in one thread at a time: in that of a camera which finds it free.
        max_batch: faces in one call; a single request may have more.

    Attributes:
        choice: as given.
        counters: what it did.
        report: the engine's.
    """

    def __init__(self, choice: Choice, max_batch: int) -> None:
        self.choice, self._max_batch = choice, max_batch
        self._waiting: deque[_Request] = deque()
        self._is_at_work = False
        self._changed = Condition()
        self.counters = BatchCounters()
        self.report: EngineReport = choice.engine.report

    def logits(self, crops: Image, given: Given = NOTHING) -> Logits:
        """See `Engine.logits`."""
        (logits,) = self._ask(_Request("logits", crops, given))
        return logits

    def outputs(self, crops: Image, given: Given = NOTHING) -> tuple[Logits, Dimensions]:
        """See `Engine.outputs`."""
        logits, dimensions = self._ask(_Request("outputs", crops, given))
        return logits, dimensions

    def encode(self, crops: Image, given: Given = NOTHING) -> Features:
        """See `SequenceEngine.encode`; for engines that have it."""
        (features,) = self._ask(_Request("encode", crops, given))
        return features

    def head(self, sequences: Features) -> tuple[Logits, Dimensions]:
        """See `SequenceEngine.head`; for engines that have it."""
        logits, dimensions = self._ask(_Request("head", sequences))
        return logits, dimensions

    def _ask(self, request: _Request) -> tuple[npt.NDArray[np.float32], ...]:
        with self._changed:
            self._waiting.append(request)
        while not request.is_done:
            with self._changed:
                self._changed.wait_for(lambda: request.is_done or not self._is_at_work)
                if request.is_done:
                    break
                batch = self._next_batch()  # of those who came before, and perhaps not yet of this one
                self._is_at_work = True
            self._run(batch)
            with self._changed:
                self._is_at_work = False
                self._changed.notify_all()
        if request.error is not None:
            raise request.error
        assert request.answer is not None  # noqa: S101 - without an error there is an answer
        return request.answer

    def _next_batch(self) -> list[_Request]:
        batch = [self._waiting.popleft()]
        faces = len(batch[0].rows)
        while self._waiting:
            following = self._waiting[0]
            faces += len(following.rows)
            if faces > self._max_batch or not following.goes_with(batch[0]):
                break
            batch.append(self._waiting.popleft())
        return batch

    def _run(self, batch: list[_Request]) -> None:
        first = batch[0]
        rows = _joined([request.rows for request in batch])
        given = {kind: _joined([request.given[kind] for request in batch]) for kind in first.given}
        self.counters.calls += 1
        self.counters.requests += len(batch)
        self.counters.faces += len(rows)
        call = getattr(self.choice.engine, first.call)
        try:
            found = call(rows, given) if given else call(rows)
        except Exception as exc:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            for request in batch:
                request.error = exc
            return
        parts = found if isinstance(found, tuple) else (found,)
        ends = np.cumsum([len(request.rows) for request in batch])
        for request, end in zip(batch, ends, strict=True):
            request.answer = tuple(part[end - len(request.rows) : end] for part in parts)


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class EnginePool:
    """The engines of a board: who asks for a network that somebody runs already shares it.

    An engine that nobody uses any more is let go.

    Args:
        opens: an engine that is not there yet.
    """

    def __init__(self, opens: Opener) -> None:
        self._opens = opens
        self._lock = Lock()  # also while one loads: two cameras that start together want one engine
        self._known: WeakValueDictionary[tuple[object, ...], SharedEngine] = WeakValueDictionary()

    def in_use(self) -> list[SharedEngine]:
        """Those that somebody runs."""
        return list(self._known.values())

    def open(self, bundle: Bundle, settings: InferenceSection) -> Choice:
        """An `Opener` itself; the engine of the choice is a `SharedEngine`.

        Raises:
            MissingExtraError, EngineError, BundleInaccurateError: see `open_engine`.
        """
        wanted = settings.model_dump(include={"backend", "precision", "prefer", "threads", "max_batch"})
        key = (bundle.digest, *wanted.values())
        with self._lock:
            engine = self._known.get(key)
            if engine is None:
                choice = self._opens(bundle, settings)
                engine = self._known[key] = SharedEngine(choice, settings.max_batch)
        return replace(engine.choice, engine=engine)
