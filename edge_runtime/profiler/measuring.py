"""Running the real agent with its spans recorded, for a time or until its source or its operator ends it."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_runtime.agent import Agent
from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.profiler.usage import Usage, UsageSampler
from edge_runtime.profiling.recording import Recording, Span
from edge_runtime.profiling.spans import Spans
from edge_runtime.publishing.payloads import Info, Stats
from edge_runtime.updates.starting import bundle_in_force

_CALIBRATION_SPANS: Final = 2000


@dataclass(frozen=True, slots=True)
class Run:
    """What was recorded.

    Attributes:
        config, bundle, info: what ran.
        spans: all of them.
        gauges: name → (time, value) pairs.
        began_s, ended_s: on the spans' clock: the loop, from its first look for a frame on; no opening, no goodbye.
        usage: by the kernel.
        stats: the last reading of the agent's own meter.
        span_cost_s: processor time of one span, measured here.
        left_out: spans that were not kept.
        interrupted: the operator ended it.
    """

    config: Config
    bundle: Bundle
    info: Info
    spans: list[Span]
    gauges: dict[str, list[tuple[float, float]]]
    began_s: float
    ended_s: float
    usage: Usage
    stats: Stats
    span_cost_s: float
    left_out: int
    interrupted: bool


def measure(
    config: Config, *, seconds: float | None, watched: Callable[[Spans], None] = lambda spans: None
) -> Run:
    """Runs the agent; on SIGINT and SIGTERM, too, what was measured so far is returned.

    It has a state directory of its own, thrown away at the end: a service on the same board keeps its outbox, its
    bundle slots and its status file to itself.

    Args:
        config: checked; without `mqtt.url` nothing is published.
        seconds: how long; None: until the film ends, or the operator.
        watched: called once with the spans, before the first frame; for a live table.

    Raises:
        RoomtoneError: whatever the agent raises: no such source, a bundle that is not right on this CPU.
    """
    bundle, _ = bundle_in_force(config)
    inference = config.inference.model_copy(update={"bundle": bundle.folder})
    config = config.model_copy(update={"inference": inference})
    recording = Recording()
    spans = Spans(recording)
    with (
        _own_state_directory(),
        Agent(config, spans=spans) as agent,
        _stopping(agent, seconds) as interrupted,
    ):
        watched(spans)
        with UsageSampler() as sampler:
            summary = agent.run(until_end=True)
        info = agent.info()
    found = recording.spans()
    names = ("faces", "batch", "decoded_ahead", "latency_ms")
    return Run(
        config=config,
        bundle=bundle,
        info=info,
        spans=found,
        gauges={name: recording.gauges(name) for name in names},
        began_s=min((span.begun_s for span in found if span.stage == "capture"), default=0.0),
        ended_s=max((span.ended_s for span in found), default=0.0),
        usage=sampler.usage,
        stats=summary.stats,
        span_cost_s=span_cost_s(),
        left_out=recording.left_out,
        interrupted=interrupted(),
    )


def span_cost_s() -> float:
    """Processor time of a recorded span around nothing, s: the least of five tries of 2,000."""
    costs = []
    for _ in range(5):
        spans = Spans(Recording())
        before = time.thread_time()
        for _ in range(_CALIBRATION_SPANS):
            with spans.measure("nothing"):
                pass
        costs.append((time.thread_time() - before) / _CALIBRATION_SPANS)
    return min(costs)


@contextmanager
def _own_state_directory() -> Iterator[None]:
    before = os.environ.get("STATE_DIRECTORY")
    runtime = os.environ.pop("RUNTIME_DIRECTORY", None)
    with tempfile.TemporaryDirectory(prefix="roomtone-profile-") as folder:
        os.environ["STATE_DIRECTORY"] = str(Path(folder))
        try:
            yield
        finally:
            os.environ.pop("STATE_DIRECTORY")
            for name, value in (("STATE_DIRECTORY", before), ("RUNTIME_DIRECTORY", runtime)):
                if value is not None:
                    os.environ[name] = value


@contextmanager
def _stopping(agent: Agent, seconds: float | None) -> Iterator[Callable[[], bool]]:
    """Ends the agent in time or on a signal; gives the question whether it was a signal."""
    told = threading.Event()

    def on_signal(*_: object) -> None:
        told.set()
        agent.stop()

    timer = threading.Timer(seconds, agent.stop) if seconds is not None else None
    numbers = (signal.SIGINT, signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, on_signal) for number in numbers} if is_main else {}
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield told.is_set
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
