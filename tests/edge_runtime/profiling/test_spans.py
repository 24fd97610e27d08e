"""Stage times: percentiles of what was measured, over one interval, at a bounded size."""

from __future__ import annotations

import pytest

from edge_runtime.profiling.spans import Spans


def test_percentiles_are_those_of_the_durations_in_milliseconds():
    spans = Spans()
    for millisecond in range(1, 102):  # 1 … 101: the p-th percentile is p + 1
        spans.add("scan", millisecond / 1000)
    times = spans.percentiles()["scan"]
    assert (times.p50_ms, times.p95_ms, times.p99_ms) == pytest.approx((51, 96, 100))
    assert times.count == 101


def test_one_duration_is_all_percentiles():
    spans = Spans()
    spans.add("align", 0.002)
    times = spans.percentiles()["align"]
    assert times.p50_ms == times.p95_ms == times.p99_ms == pytest.approx(2)


def test_stages_are_kept_apart_and_nothing_was_measured_at_first():
    spans = Spans()
    assert spans.percentiles() == {}
    spans.add("a", 1)
    spans.add("b", 2)
    assert set(spans.percentiles()) == {"a", "b"}


def test_only_the_last_durations_are_kept():
    spans = Spans()
    for _ in range(4096):
        spans.add("scan", 9.0)
    for _ in range(4096):
        spans.add("scan", 0.001)
    times = spans.percentiles()["scan"]
    assert times.count == 4096
    assert times.p99_ms == pytest.approx(1)


def test_after_clear_nothing_is_left():
    spans = Spans()
    spans.add("scan", 1)
    spans.clear()
    assert spans.percentiles() == {}


def test_a_block_that_fails_is_measured_too():
    spans = Spans()
    with pytest.raises(ZeroDivisionError), spans.measure("infer"):
        raise ZeroDivisionError
    assert spans.percentiles()["infer"].count == 1
    assert spans.percentiles()["infer"].p50_ms >= 0
