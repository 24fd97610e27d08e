"""`roomtone profile` as an engineer types it: the real agent, the real engines, and what goes wrong."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from agents import told_at_work

ROOM = "simulated://students=6,seed=3,width=640,height=360,fps=10,seconds=4"
STAGES = {"capture", "frame", "prepare", "scan", "scan_wait", "confirm", "follow", "pupils", "align", "infer"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edge_runtime", "profile", *arguments]


def profile(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, tiny_original: Path) -> tuple[dict, Path]:
    """One run with everything: its report, and the folder with trace, page and report."""
    folder = tmp_path_factory.mktemp("profile")
    state = folder / "state"
    state.mkdir()
    done = profile(
        *("--source", ROOM, "--bundle", str(tiny_original), "--floor", "--json"),
        *("--trace", str(folder / "trace.json"), "--html", str(folder / "page.html")),
        env=os.environ | {"STATE_DIRECTORY": str(state)},
    )
    assert done.returncode == 0, done.stderr
    assert list(state.iterdir()) == []  # a service's own files are left alone
    (folder / "report.json").write_text(done.stdout)
    return json.loads(done.stdout), folder


def test_each_stage_of_the_loop_is_there_with_its_thread(measured):
    report, _ = measured
    assert report["schema"] == "roomtone-profile/1"
    stages = {stage["stage"]: stage for stage in report["stages"]}
    assert set(stages) >= STAGES | {"smooth", "window", "publish"}
    assert stages["frame"]["count"] == report["frames"] == 40
    assert stages["scan"]["thread"] != stages["frame"]["thread"] == "MainThread"
    assert stages["scan"]["count"] == 8  # 2 a second for 4 s
    assert {name for name, stage in stages.items() if stage["is_waiting"]} == {"capture", "scan_wait"}
    for stage in stages.values():
        assert 0 <= stage["p50_ms"] <= stage["p95_ms"] <= stage["p99_ms"] <= stage["max_ms"]


def test_the_shares_of_the_loop_s_thread_add_up(measured):
    report, _ = measured
    main = sum(stage["wall_share"] for stage in report["stages"] if stage["thread"] == "MainThread")
    assert 0.5 < main < 1.001  # a busy machine takes the core away between spans, too
    assert sum(report["threads"].values()) == pytest.approx(1, abs=0.25)  # the kernel counts in 1/100 s


def test_faces_memory_and_the_cost_of_the_spans_are_told(measured):
    report, _ = measured
    assert 5 <= report["faces_mean"] <= report["faces_max"] == 6
    assert sum(row["frames"] for row in report["latency_by_faces"]) == 8
    assert 20 < report["memory"]["rss_start_mb"] <= report["memory"]["rss_max_mb"]
    assert 0 < report["overhead"]["cpu_share"] < 0.05
    assert set(report["drops"].values()) == {0}


def test_the_floor_does_the_same_work_bare(measured):
    report, _ = measured
    floor = report["floor"]
    assert (floor["frames"], floor["scans"], floor["batches"]) == (40, 8, 8)
    assert floor["cpu_ms_per_frame"] > 0


def test_the_layers_are_the_networks(measured):
    report, _ = measured
    kinds = {layer["kind"]: layer for layer in report["layers"]}
    assert {"Conv", "Gemm"} & set(kinds)
    assert kinds["Conv"]["precision"] == "fp32"
    assert sum(layer["share"] for layer in report["layers"]) == pytest.approx(1, abs=1e-3)


def test_the_trace_is_the_chrome_format_and_tells_no_number_of_faces(measured):
    report, folder = measured
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X" and event["cat"] == "stage"]
    assert len(spans) == sum(stage["count"] for stage in report["stages"])
    assert all(event["dur"] >= 0 and isinstance(event["tid"], int) for event in spans)
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert {"MainThread", "layers of one call, measured apart"} <= names
    assert len([event for event in events if event.get("cat") == "layer"]) == len(report["layers"])
    assert {event["ph"] for event in events} == {"M", "X"}
    assert "faces" not in (folder / "trace.json").read_text()


def test_the_page_is_one_file_that_loads_nothing(measured):
    _, folder = measured
    text = (folder / "page.html").read_text()
    assert text.startswith("<!doctype html>")
    for word in ("http:", "https:", "src=", "<script", "@import"):
        assert word not in text
    for stage in STAGES:
        assert stage in text


def test_a_baseline_that_was_faster_ends_with_24(measured, tmp_path: Path, tiny_original: Path):
    report, _ = measured
    for factor, code, word in ((50, 24, "slower"), (0.02, 0, "faster")):
        before = report | {"frame_blocks_ms": [ms / factor for ms in report["frame_blocks_ms"]]}
        (tmp_path / "baseline.json").write_text(json.dumps(before))
        done = profile(
            *("--source", ROOM, "--bundle", str(tiny_original), "--seconds", "60"),
            *("--compare", str(tmp_path / "baseline.json")),
        )
        assert done.returncode == code, done.stderr
        assert word in done.stdout


def test_a_baseline_of_another_schema_is_refused_before_the_loop_runs(tmp_path: Path):
    (tmp_path / "perf.json").write_text(json.dumps({"schema": "roomtone-perf/1"}))
    done = profile("--source", ROOM, "--compare", str(tmp_path / "perf.json"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "has the schema 'roomtone-perf/1', this roomtone writes roomtone-profile/1" in done.stderr


def test_a_baseline_of_another_device_is_refused(measured, tmp_path: Path, tiny_original: Path):
    report, _ = measured
    report = report | {"device": report["device"] | {"cpu": "Cortex-A76"}}
    (tmp_path / "baseline.json").write_text(json.dumps(report))
    done = profile(
        "--source", ROOM, "--bundle", str(tiny_original), "--compare", str(tmp_path / "baseline.json")
    )
    assert done.returncode == 1
    assert "made with cpu =" in done.stderr


def test_ctrl_c_reports_what_was_measured_so_far(tiny_original: Path, tmp_path: Path):
    endless = "simulated://students=6,seed=3,width=640,height=360,fps=10"
    with (
        told_at_work(tmp_path) as (environ, wait),
        subprocess.Popen(
            command("--source", endless, "--bundle", str(tiny_original), "--floor", "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        ) as process,
    ):
        wait()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    report = json.loads(output)
    assert report["interrupted"] is True
    assert report["frames"] > 0
    assert "floor" not in report


def test_a_source_of_one_frame_has_a_report(tiny_original: Path):
    one = "simulated://students=3,seed=3,width=640,height=360,fps=10,seconds=0.1"
    done = profile("--source", one, "--bundle", str(tiny_original), "--floor", "--layers", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 1


def test_a_film_without_a_frame_and_a_wrong_bundle_say_so(tmp_path: Path, tiny_bundle: Path, seal_bundle):
    (tmp_path / "empty.mp4").touch()
    done = profile("--source", str(tmp_path / "empty.mp4"))
    assert (done.returncode, done.stdout) == (4, "")
    (tiny_bundle / "model.fp32.onnx").write_bytes(b"something else")
    done = profile("--source", ROOM, "--bundle", str(tiny_bundle))
    assert (done.returncode, done.stdout) == (6, "")


def test_a_bundle_that_is_not_right_on_this_cpu_is_refused_before_anything_is_measured(
    tmp_path: Path, tiny_bundle: Path, seal_bundle
):
    with np.load(tiny_bundle / "golden.npz") as golden:
        wrong = dict(golden) | {"logits": golden["logits"] + 1}
    np.savez(tiny_bundle / "golden.npz", **wrong)
    seal_bundle(tiny_bundle)
    for arguments in (("--source", ROOM), ("device", "--out", str(tmp_path / "perf.json"))):
        done = profile(*arguments, "--bundle", str(tiny_bundle))
        assert (done.returncode, done.stdout) == (7, "")
        assert "differs from the golden logits by 1, allowed is 0.0001" in done.stderr
        assert "roomtone bundle verify" in done.stderr
    assert not (tmp_path / "perf.json").exists()


def test_a_full_disk_costs_the_trace_and_not_the_report(tmp_path: Path, tiny_original: Path):
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = profile(
        *("--source", ROOM, "--bundle", str(tiny_original), "--seconds", "1", "--json"),
        *("--trace", str(tmp_path / "trace.json")),
        preexec_fn=small_files_only,
    )
    assert done.returncode == 1, done.stderr
    assert "trace.json cannot be written: File too large" in done.stderr
    assert json.loads(done.stdout)["frames"] > 0
    assert [path.name for path in tmp_path.iterdir() if "trace" in path.name] == []


def test_one_core_is_enough(tiny_original: Path):
    done = profile(
        "--source",
        ROOM,
        "--bundle",
        str(tiny_original),
        "--json",
        preexec_fn=lambda: os.sched_setaffinity(0, {0}),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 40


def test_a_camera_has_its_own_process_and_its_frames_an_age(mjpeg_camera, tiny_original: Path):
    done = profile("--source", mjpeg_camera.url, "--bundle", str(tiny_original), "--seconds", "4", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["threads"]["camera process"] > 0
    assert 0 < report["latency"]["p50_ms"] <= report["latency"]["p95_ms"] < 4000
    assert "decode" not in {stage["stage"] for stage in report["stages"]}
