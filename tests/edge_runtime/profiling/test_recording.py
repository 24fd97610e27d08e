"""Recorded spans: each with its thread and its processor time, bounded, and none when nobody asks."""

from __future__ import annotations

import threading
import time

import pytest

from edge_runtime.profiling.recording import Recording
from edge_runtime.profiling.spans import Spans


def test_a_span_is_recorded_with_begin_end_thread_and_processor_time():
    recording = Recording()
    spans = Spans(recording)
    before = time.perf_counter()
    with spans.measure("sleep"):
        time.sleep(0.02)
    with spans.measure("work"):
        began = time.thread_time()
        while time.thread_time() - began < 0.01:
            pass
    sleep, work = recording.spans()
    assert (sleep.stage, work.stage, sleep.thread) == ("sleep", "work", threading.current_thread().name)
    assert before <= sleep.begun_s < sleep.ended_s <= work.begun_s < work.ended_s <= time.perf_counter()
    assert sleep.duration_s >= 0.02
    assert sleep.cpu_s < 0.01 <= work.cpu_s
    assert spans.percentiles()["work"].count == 1


def test_threads_record_side_by_side_and_nothing_is_mixed_up():
    recording = Recording()
    spans = Spans(recording)

    def work(stage: str) -> None:
        for number in range(2000):
            with spans.measure(stage):
                pass
            spans.gauge(stage, number)

    threads = [threading.Thread(target=work, args=(f"stage {n}",), name=f"thread {n}") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = recording.spans()
    assert len(found) == 8000
    assert {(span.thread, span.stage) for span in found} == {(f"thread {n}", f"stage {n}") for n in range(4)}
    for n in range(4):
        assert [value for _, value in recording.gauges(f"stage {n}")] == list(range(2000))


def test_what_has_no_room_is_counted():
    recording = Recording(most_spans=3)
    for number in range(5):
        recording.add("scan", number, number + 1, 0.5)
    assert [span.begun_s for span in recording.spans()] == [0, 1, 2]
    assert recording.left_out == 2


@pytest.mark.parametrize("name", ["faces", "never told"])
def test_gauges_without_a_recording_are_free(name: str):
    Spans().gauge(name, 3)
    assert Recording().gauges(name) == []
