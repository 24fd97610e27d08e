import time

import numpy as np
import pytest

from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import EngineReport, Logits
from edge_runtime.inference.speed import Timing, measure_speed, speedup


class Busy:
    """Uses processor time for each crop."""

    def __init__(self, ms: float, calls: list[tuple[str, int]], name: str) -> None:
        self.report = EngineReport("onnxruntime", "1", "fp32", {}, "", 1)
        self._ms, self._calls, self._name = ms, calls, name

    def logits(self, crops: Image) -> Logits:
        self._calls.append((self._name, len(crops)))
        until_s = time.process_time() + self._ms * len(crops) / 1e3
        while time.process_time() < until_s:
            pass
        return np.zeros((len(crops), 3), np.float32)

    def outputs(self, crops: Image) -> tuple[Logits, Logits]:
        return self.logits(crops), np.empty((len(crops), 0), np.float32)


def test_engines_take_turns_at_every_batch_size() -> None:
    calls: list[tuple[str, int]] = []
    engines = {name: Busy(0, calls, name) for name in ("one", "two")}
    measure_speed(engines, np.zeros((3, 8, 8), np.uint8), rounds=2)
    half = len(calls) // 2
    assert calls[:half] == [("one", 1), ("two", 1)] * (half // 2)
    assert calls[half:] == [("one", 8), ("two", 8)] * (half // 2)


def test_an_engine_that_works_four_times_as_long_is_four_times_as_slow() -> None:
    calls: list[tuple[str, int]] = []
    engines = {"quick": Busy(0.5, calls, "quick"), "slow": Busy(2, calls, "slow")}
    timed = measure_speed(engines, np.zeros((1, 8, 8), np.uint8), batches=(1,), rounds=9)
    found = speedup(timed["quick", 1], timed["slow", 1])
    assert found.median == pytest.approx(4, rel=0.3)
    assert found.low <= found.median <= found.high


def test_the_interval_is_that_of_a_median_by_order_statistics() -> None:
    # 21 ratios 1 … 21: ranks 10.5 ± 1.96 · √21 / 2, that is the 6th to the 16th, rounded outwards.
    ratios = np.arange(1.0, 22.0)
    found = speedup(Timing(1, 1 / ratios), Timing(1, np.ones(21)))
    assert (found.median, found.low, found.high) == pytest.approx((11, 7, 16), abs=1)


def test_timings_of_different_batches_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="different rounds or batches"):
        speedup(Timing(1, np.ones(3)), Timing(8, np.ones(3)))
