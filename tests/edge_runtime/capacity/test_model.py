"""The load of a configuration from a board's costs, worked out by hand; what fits, and what to change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.capacity.model import LEAST_ERROR, Demand, error_of, load, network_ms, scan_ms
from edge_runtime.capacity.perf import Check, Perf, measured_boards, perf_folder, read_perf
from edge_runtime.capacity.plan import Costs, cameras_that_fit, costs_of, plan
from edge_runtime.device_profile import load_profile, profile_names
from edge_runtime.errors import PerfError
from edge_runtime.governor import FLOOR


def document(**changes: object) -> dict:
    """A board with round costs."""
    stages = [
        ("follow", "follow", 1.0, 0.1),
        ("confirm", "scan", 2.0, 0.2),
        ("align", "classify", 1.0, 0.05),
        ("pupils", "look", 0.0, 2.0),
        ("frame", "frame", 0.4, 0.0),
    ]
    return {
        "schema": "roomtone-perf/1",
        "name": "a-board",
        "measured_on": "2026-11-25",
        "roomtone": "0.1.0",
        "board": {
            "model": "",
            "cpu": "a cpu",
            "architecture": "aarch64",
            "cores": 4,
            "memory_mb": 4096,
            "instruction_set": "NEON",
        },
        "bundle": {"name": "b", "version": "1", "digest": "sha256:0"},
        "versions": {},
        "engine": "onnxruntime fp32",
        "decode": [
            {"codec": "MJPG", "height_px": 1000, "cpu_ms": 4.0},
            {"codec": "MJPG", "height_px": 2000, "cpu_ms": 16.0},
        ],
        "scan": [
            {"width_px": 500, "threads": 1, "base_ms": 10.0, "face_ms": 0.5, "wall_ms": 20.0},
            {"width_px": 1000, "threads": 1, "base_ms": 40.0, "face_ms": 0.5, "wall_ms": 50.0},
            {"width_px": 1000, "threads": 4, "base_ms": 44.0, "face_ms": 0.5, "wall_ms": 15.0},
        ],
        "stages": [
            {"stage": stage, "beat": beat, "height_px": 1000, "base_ms": base, "face_ms": face}
            for stage, beat, base, face in stages
        ],
        "inference": [
            {
                "backend": "onnxruntime",
                "precision": "fp32",
                "threads": 1,
                "batch": batch,
                "cpu_ms": ms,
                "wall_ms": ms,
            }
            for batch, ms in ((1, 3.0), (8, 10.0))
        ],
        "publish": {"outbox_ms": 5.0},
        "process_mb": 300.0,
        "checks": [],
    } | changes


def board(**changes: object) -> Perf:
    return Perf.model_validate(document(**changes))


def costs(perf: Perf, low: float = 0.9, high: float = 1.1, *, is_measured: bool = True) -> Costs:
    return Costs(perf, "a board", perf.board.cores, perf.board.memory_mb, 1.0, low, high, "so", is_measured)


HERE = Demand(faces=20, height_px=1000, fps=10, scan_width_px=1000)


def test_the_load_is_the_sum_of_calls_times_their_costs():
    # decode 10·4; frame 10·0.4; follow 10 (the frames are no more) · (1 + 20·0.1);
    # scan 2 · (40 + 20·0.5 + 2 + 20·0.2); classify 2 · (1 + 20·0.05 + network 2 + 20·1); pupils 1 · 20·2
    found = load(board(), HERE)
    assert found.parts == pytest.approx(
        {"decode": 0.040, "other": 0.004, "follow": 0.030, "scan": 0.112, "classify": 0.048 + 0.040}
    )
    assert found.cores == pytest.approx(0.274)
    assert found.scan == pytest.approx(2 * 0.050)
    assert found.loop == pytest.approx(0.274 - 0.040 - 0.100)  # neither the decoder's thread nor the scan's


def test_cameras_multiply_all_but_one_cameras_loop():
    one, four = load(board(), HERE), load(board(), replace(HERE, cameras=4))
    assert four.cores == pytest.approx(4 * one.cores)
    assert four.loop == pytest.approx(one.loop)


@pytest.mark.parametrize(
    ("width", "ms"),
    [
        (500, 10.0),
        (1000, 40.0),
        (2000, 160.0),  # beyond the last in proportion to the pixels
        (400, 10.0),  # below the first constant
        (790, 10 + 30 * (790**2 - 500**2) / (1000**2 - 500**2)),
    ],
)
def test_a_scan_costs_by_its_pixels(width: int, ms: float):
    assert scan_ms(board(), Demand(faces=0, height_px=2000, scan_width_px=width)) == pytest.approx(ms)


def test_a_frame_narrower_than_the_scan_is_scanned_as_it_is():
    assert scan_ms(board(), Demand(faces=0, height_px=281, scan_width_px=1000)) == pytest.approx(
        10.0, rel=0.01
    )


@pytest.mark.parametrize(("faces", "ms"), [(0, 0.0), (1, 3.0), (8, 10.0), (32, 34.0), (33, 37.0)])
def test_the_network_costs_by_calls_and_by_faces(faces: int, ms: float):
    assert network_ms(board(), "", faces, 32) == pytest.approx(ms)  # a call 2, a face 1


def test_an_engine_that_was_not_measured_is_named_with_those_that_were():
    with pytest.raises(ValueError, match=r"openvino int8 was not measured there; measured: onnxruntime fp32"):
        network_ms(board(), "openvino int8", 4, 32)


def checked(measured: float) -> Check:
    return Check(
        source="s",
        height_px=1000,
        fps=10,
        faces=1,
        readable=1,
        scan_rate_hz=2,
        follow_rate_hz=10,
        classify_rate_hz=2,
        scan_width_px=960,
        with_decoding=True,
        measured_cores=measured,
        predicted_cores=1.0,
    )


def test_the_error_is_that_of_nine_of_ten_checks_and_never_less_than_the_least():
    near = [checked(1.01)] * 10
    assert error_of(board(checks=[it.model_dump() for it in near])) == LEAST_ERROR
    far = [*near[:8], checked(1.4), checked(0.5)]
    assert LEAST_ERROR < error_of(board(checks=[it.model_dump() for it in far])) <= 0.5
    assert error_of(board()) > LEAST_ERROR  # never checked: told with more


@pytest.mark.parametrize(
    ("cameras", "verdict", "limit"),
    [(10, "fits", "cores"), (11, "may fit", "cores"), (13, "may fit", "cores")],
)
def test_what_fits_does_so_with_its_whole_interval(cameras: int, verdict: str, limit: str):
    # 0.274 a camera; 4 cores, of which 80 % may be busy: 3.2 / 1.1 / 0.274 = 10.6, 3.2 / 0.9 / 0.274 = 12.98
    perf = board(process_mb=10.0)
    answer = plan(costs(perf, low=0.89), replace(HERE, cameras=cameras))
    assert (answer.verdict, answer.limited_by) == (verdict, limit)
    assert bool(answer.advice) == (verdict != "fits")


def test_advice_lowers_rates_in_the_governors_order_and_counts_cameras():
    # classified half as often a camera takes 0.250, a quarter as often 0.218; scanned half as often, too, 0.162
    some = plan(costs(board(process_mb=10.0)), replace(HERE, cameras=12))
    assert some.advice[0] == "it fits with inference.classify_rate_hz = 0.5"
    assert some.advice[1] == "10 cameras fit at the rates as they are"
    much = plan(costs(board(process_mb=10.0)), replace(HERE, cameras=14))
    assert much.verdict == "does not fit"
    assert much.advice[0] == "it fits with inference.classify_rate_hz = 0.5, faces.scan_rate_hz = 1"
    for part in much.advice[0].removeprefix("it fits with ").split(", "):
        key, rate = part.split(" = ")
        assert float(rate) >= getattr(FLOOR, key.rpartition(".")[2].replace("_rate_hz", "_hz"))


def of_sequences(stride_s: float) -> Perf:
    bundle = {"name": "s", "version": "1", "digest": "sha256:0", "stride_s": stride_s}
    return board(bundle=bundle, process_mb=10.0)


def test_a_bundle_of_sequences_is_reckoned_at_its_stride_whatever_rate_is_asked_for():
    # classify 4 · (1 + 20·0.05 + network 2 + 20·1) = 0.096; pupils 1 · 20·2
    for rate in (0.5, 2.0, 10.0):
        found = load(of_sequences(0.25), replace(HERE, classify_rate_hz=rate))
        assert found.parts["classify"] == pytest.approx(0.096 + 0.040)
    answer = plan(costs(of_sequences(0.25)), replace(HERE, cameras=10))
    assert answer.to_json()["demand"]["classify_rate_hz"] == 4.0


def test_no_advice_stretches_the_stride_of_sequences():
    # 0.322 a camera at 4 Hz; scanned half as often 0.266, of which eleven take 2.93
    answer = plan(costs(of_sequences(0.25)), replace(HERE, cameras=10))
    assert answer.verdict != "fits"
    assert answer.advice[0] == "it fits with faces.scan_rate_hz = 1"
    assert not any("classify" in advice for advice in answer.advice)


def test_memory_limits_too():
    answer = plan(costs(board(process_mb=2000.0)), replace(HERE, cameras=2))
    assert (answer.verdict, answer.limited_by) == ("does not fit", "memory")
    assert "roomtone run --camera" in answer.advice[0]


def test_one_camera_s_loop_has_one_core_however_many_there_are():
    many = board()
    answer = plan(
        costs(many.model_copy(update={"board": many.board.model_copy(update={"cores": 64})})),
        Demand(faces=200, height_px=1000, fps=10, classify_rate_hz=10),
    )
    assert (answer.verdict, answer.limited_by) == ("does not fit", "loop")


@pytest.mark.parametrize("path", sorted(perf_folder().glob("*.json")), ids=lambda path: path.stem)
def test_each_board_that_ships_was_measured_checked_and_named_by_its_file(path: Path):
    perf = read_perf(path)
    assert perf.name == path.stem
    assert len(perf.checks) >= 4
    assert cameras_that_fit(perf, Demand(faces=22)) >= 1
    assert error_of(perf) < 0.6


def test_a_board_that_was_not_measured_is_an_estimate_that_says_so_or_is_refused():
    measured = {perf.name for perf in measured_boards()}
    for name in profile_names():
        if name in measured:
            continue
        if load_profile(name).core_speed is None:
            with pytest.raises(PerfError, match="was never measured") as told:
                costs_of(name)
            assert "roomtone profile device" in told.value.hint
        else:
            found = costs_of(name)
            assert not found.is_measured
            assert found.basis.startswith("AN ESTIMATE")
            assert found.high / found.low > 4


@pytest.mark.parametrize(
    ("device", "problem"),
    [("toaster", "is none of"), ("x86-64", "is part of"), ("nowhere/perf.json", "cannot be read")],
)
def test_a_device_that_is_none_or_several_is_told(device: str, problem: str):
    with pytest.raises(PerfError, match=problem):
        costs_of(device)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is no JSON"),
        ("[]", "has the schema None"),
        (json.dumps(document() | {"schema": "roomtone-perf/2"}), "has the schema 'roomtone-perf/2'"),
        (json.dumps(document() | {"colour": "red"}), "is damaged: colour"),
        (json.dumps(document() | {"scan": []}), "is damaged: scan"),
        (json.dumps(document(process_mb=-1)), "is damaged: process_mb"),
        (
            json.dumps({key: value for key, value in document().items() if key != "board"}),
            "is damaged: board",
        ),
    ],
    ids=["json", "list", "schema", "unknown key", "empty", "negative", "missing"],
)
def test_a_file_that_is_no_perf_json_is_refused_in_a_sentence(tmp_path: Path, text: str, problem: str):
    (tmp_path / "perf.json").write_text(text)
    with pytest.raises(PerfError, match=problem):
        read_perf(tmp_path / "perf.json")


def test_what_was_written_is_read_again(tmp_path: Path):
    (tmp_path / "perf.json").write_text(board().to_json())
    assert read_perf(tmp_path / "perf.json") == board()
