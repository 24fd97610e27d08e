"""`roomtone profile device|plan|boards` as typed: the real series once, and what an installer is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_runtime.capacity import series
from edge_runtime.capacity.model import Demand, load
from edge_runtime.capacity.page import boards_page
from edge_runtime.capacity.perf import Perf, measured_boards, read_perf
from edge_runtime.commands.profile import app
from edge_runtime.config import trial_config

ROOT = Path(__file__).parents[3]


def profile(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_runtime", "profile", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.broker
def test_the_series_measures_every_call_and_its_file_is_read_again(
    mosquitto, tiny_original: Path, tmp_path: Path, monkeypatch
):
    from edge_runtime.bundle import open_bundle

    # The real series on fewer sizes and a shorter lesson.
    monkeypatch.setattr(series, "HEIGHTS", (360, 1080))
    monkeypatch.setattr(series, "SCAN_WIDTHS", (480, 960))
    monkeypatch.setattr(series, "_CHECKS", ((720, 6, 2.0, 2.0),))
    monkeypatch.setattr(series, "_SECONDS", 1.0)
    monkeypatch.setattr(series, "_DECODED_FRAMES", 4)
    config = trial_config().model_copy(update={"mqtt": mosquitto.mqtt})
    told = []
    perf = series.measure_device(
        open_bundle(tiny_original), name="here", config=config, on_step=lambda *step: told.append(step)
    )
    assert [done for _, done, _ in told] == list(range(len(told)))
    assert {total for _, _, total in told} == {len(told)}
    (tmp_path / "here.json").write_text(perf.to_json())
    assert read_perf(tmp_path / "here.json") == perf
    assert {cost.height_px for cost in perf.decode} == {360, 1080}
    assert {cost.width_px for cost in perf.scan} == {480, 960}
    narrow, wide = (
        sum(
            cost.base_ms + 24 * cost.face_ms
            for cost in perf.scan
            if (cost.width_px, cost.threads) == (width, 1)
        )
        for width in (480, 960)
    )
    assert 0 < narrow < wide
    assert {cost.batch for cost in perf.inference} == {1, 8}
    assert {"follow", "confirm", "pupils", "align", "frame"} <= {cost.stage for cost in perf.stages}
    assert perf.publish.outbox_ms > 0
    assert perf.publish.acknowledged_ms is not None
    assert perf.publish.acknowledged_ms > 0
    assert 50 < perf.process_mb < 2000
    assert len(perf.checks) == 1
    answer = profile("plan", "--device", str(tmp_path / "here.json"), "--faces", "5", "--json")
    assert answer.returncode in (0, 25), answer.stderr
    plan = json.loads(answer.stdout)
    assert plan["is_measured"] is True
    assert plan["load_cores"] == pytest.approx(load(perf, Demand(faces=5)).cores, abs=1e-3)


def test_a_bundle_of_sequences_is_measured_with_its_landmarks_and_at_its_stride(tmp_path: Path, monkeypatch):
    from sequence_bundles import STRIDE_S, TinySequence, write_sequence_bundle

    from edge_runtime.bundle import open_bundle
    from edge_runtime.inference.opening import open_engine

    monkeypatch.setattr(series, "_SECONDS", 1.0)
    bundle = open_bundle(write_sequence_bundle(tmp_path / "tiny", TinySequence.drawn(landmarks=True)))
    config = trial_config()
    done = series._simulated(config, bundle, open_engine(bundle, config.inference).engine, 540, 4)
    assert done.classify_hz == pytest.approx(1 / STRIDE_S)
    assert done.classifications == pytest.approx(1 / STRIDE_S, abs=1)
    assert 3 <= done.readable <= 4  # nobody has been read after a second, and all were encoded
    assert done.stages_s["landmarks"] > 0
    assert series._bundle(bundle).stride_s == STRIDE_S
    costs = {cost.stage: cost for cost in series._stages(1080, done, done)}
    assert costs["landmarks"].beat == "classify"
    assert costs["landmarks"].base_ms > 0


def test_a_plan_that_fits_ends_with_0_and_one_that_does_not_with_25():
    fits = profile("plan", "--device", "x86-64-2-cores", "--faces", "22")
    assert fits.returncode == 0, fits.stderr
    assert "fits" in fits.stdout
    assert fits.stderr == ""
    much = profile("plan", "--device", "x86-64-2-cores", "--cameras", "40", "--json")
    assert much.returncode == 25
    assert json.loads(much.stdout)["verdict"] == "does not fit"
    assert "40 cameras with 25 faces each: does not fit" in much.stderr
    assert "cameras fit at the rates as they are" in much.stderr


def test_an_estimate_says_that_it_is_one():
    done = profile("plan", "--cameras", "4", "--faces", "25", "--device", "n100")
    assert done.returncode in (0, 25)
    assert "AN ESTIMATE, no such board was measured" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--device", "jetson"), 1, "roomtone profile device"),
        (("--device", "x86-64-2-cores", "--resolution", "huge"), 2, "no resolution"),
        (("--device", "x86-64-2-cores", "--engine", "abacus fp8"), 2, "was not measured there"),
        (("--device", "x86-64-2-cores", "--cameras", "0"), 2, "--cameras"),
    ],
    ids=["unmeasured", "resolution", "engine", "no camera"],
)
def test_what_cannot_be_planned_is_told_with_the_next_step(arguments: tuple[str, ...], code: int, told: str):
    done = profile("plan", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in " ".join(done.stderr.split())


def test_a_board_s_name_is_checked_before_two_minutes_are_spent(tmp_path: Path):
    done = profile("device", "--out", str(tmp_path / "My Board.json"))
    assert done.returncode == 2
    assert "names no kind of board" in " ".join(done.stderr.split())


def test_half_a_board_is_not_written(tmp_path: Path, monkeypatch):
    def interrupted(*_: object, **__: object) -> Perf:
        raise KeyboardInterrupt

    monkeypatch.setattr(series, "measure_device", interrupted)
    done = CliRunner().invoke(app, ["device", "--out", str(tmp_path / "perf.json")])
    assert done.exit_code == 130
    assert "nothing was written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_page_of_boards_is_up_to_date():
    page = (ROOT / "docs/boards.md").read_text(encoding="utf-8")
    assert page == boards_page(measured_boards()), "run: make docs"


def test_the_boards_are_data_for_other_programs():
    done = profile("boards", "--json")
    assert done.returncode == 0
    assert [Perf.model_validate(board).name for board in json.loads(done.stdout)] == [
        perf.name for perf in measured_boards()
    ]
