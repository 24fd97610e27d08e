"""What a report says of spans, worked out by hand; what changed against a baseline, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import BaselineError
from edge_runtime.profiler.comparing import compare, read_baseline
from edge_runtime.profiling.recording import Span, own_times

HERE = Path("baseline.json")


def span(stage: str, begun_s: float, ended_s: float, cpu_s: float) -> Span:
    return Span(stage, "loop", begun_s, ended_s, cpu_s)


def test_own_time_leaves_out_what_the_parts_took():
    # frame 0…10 holds follow 1…4 and confirm 5…9, which holds look 6…8; recorded as they end
    spans = [
        span("follow", 1, 4, 2.0),
        span("look", 6, 8, 1.5),
        span("confirm", 5, 9, 3.0),
        span("frame", 0, 10, 8.0),
        span("frame", 10, 11, 0.5),
    ]
    assert own_times(spans) == [
        pytest.approx((3, 2.0)),
        pytest.approx((2, 1.5)),
        pytest.approx((2, 1.5)),  # 4 − 2, 3.0 − 1.5
        pytest.approx((3, 3.0)),  # 10 − 3 − 4, 8 − 2 − 3
        pytest.approx((1, 0.5)),
    ]
    assert own_times([]) == []


def report(factor: float = 1.0, seed: int = 0, **what: object) -> dict:
    rng = np.random.default_rng(seed)
    stages = {"infer": 10.0 * factor, "scan": 40.0}
    return {
        "schema": "roomtone-profile/1",
        "device": {"model": "m", "cpu": "c", "architecture": "x86_64", "cores": 2},
        "what": {
            "source": "films/a.mp4",
            "detector": "haar",
            "scan_rate_hz": 2.0,
            "follow_rate_hz": 12.5,
            "classify_rate_hz": 2.0,
            "engine": "onnxruntime fp32",
        }
        | what,
        "frame_blocks_ms": (50 * factor * rng.uniform(0.9, 1.1, 40)).tolist(),
        "stages": [
            {
                "stage": stage,
                "is_waiting": False,
                "wall_share": 0.3,
                "blocks_ms": (ms * rng.uniform(0.9, 1.1, 40)).tolist(),
            }
            for stage, ms in stages.items()
        ],
    }


@pytest.mark.parametrize(
    ("factor", "word"), [(1.3, "slower"), (0.7, "faster"), (1.0, "same"), (1.02, "same")]
)
def test_a_change_beyond_the_tolerance_is_told_with_its_interval(factor: float, word: str):
    found = compare(report(), report(factor, seed=1), baseline=HERE)
    words = {change.name: change.word for change in found.changes}
    assert words == {"frame to frame": word, "infer": word, "scan": "same"}
    assert found.is_slower == (word == "slower")
    for change in found.changes:
        assert change.low <= change.ratio <= change.high
    assert found.changes[0].low < factor < found.changes[0].high


def test_a_stage_that_is_at_work_in_few_parts_is_compared_too():
    before, now = report(), report(seed=1)
    for document, factor in ((before, 1), (now, 2)):
        blocks = document["stages"][0]["blocks_ms"]
        document["stages"][0]["blocks_ms"] = [0 if at % 3 else factor * ms for at, ms in enumerate(blocks)]
    infer = compare(before, now, baseline=HERE).changes[1]
    assert infer.ratio == pytest.approx(2, abs=0.1)
    assert 1 < infer.low < 2 < infer.high < 4


def test_a_run_of_one_part_compares_with_itself():
    short = report()
    short["frame_blocks_ms"] = short["frame_blocks_ms"][:1]
    assert not compare(short, short, baseline=HERE).is_slower


def test_the_same_film_elsewhere_is_the_same_and_another_engine_is_told():
    found = compare(report(), report(source="/other/a.mp4", engine="openvino int8"), baseline=HERE)
    assert found.differing == ["engine: onnxruntime fp32 → openvino int8"]


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("device", "cpu", "another"),
        ("device", "cores", 4),
        ("what", "source", "b.mp4"),
        ("what", "scan_rate_hz", 1),
    ],
)
def test_another_device_or_other_work_cannot_be_compared(kind: str, key: str, value: object):
    before = report()
    before[kind][key] = value
    with pytest.raises(BaselineError, match=f"made with {key} ="):
        compare(before, report(), baseline=HERE)


@pytest.mark.parametrize("missing", ["device", "what", "frame_blocks_ms", "stages"])
def test_a_baseline_with_a_part_missing_is_damaged(missing: str):
    before = report()
    del before[missing]
    with pytest.raises(BaselineError, match="damaged"):
        compare(before, report(), baseline=HERE)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "no JSON"),
        ("[1]", "schema None"),
        (json.dumps({"schema": "roomtone-profile/9"}), "schema 'roomtone-profile/9'"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str, problem: str):
    (tmp_path / "baseline.json").write_text(text)
    with pytest.raises(BaselineError, match=problem):
        read_baseline(tmp_path / "baseline.json")
    with pytest.raises(BaselineError, match="cannot be read"):
        read_baseline(tmp_path / "absent.json")
