"""Calibration faces from the installed camera: chosen, sealed, used, deleted; never where they must not be taken."""

import json
from pathlib import Path

import numpy as np
import pytest
from calibration_parts import FacesFile
from typer.testing import CliRunner

from calibration.camera_samples import CameraSamples, watch
from calibration.cli import calibrate_app
from calibration.samples import CalibrationSet, load_samples, save_samples
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.config import CameraSection, Config, DeploymentSection, trial_config
from edge_runtime.errors import ConfigurationError, SourceError, UnlawfulUseError
from edge_runtime.frames.opening import open_source
from edge_runtime.inference.opening import Choice
from edge_runtime.room_sections import ZonesSection

SOURCE = "simulated://students=6,seed=3,lesson_s=30,fps=5"
run = CliRunner()


def looked(bundle: Bundle, choice: Choice, config: Config, *, per_class: int = 4) -> CalibrationSet:
    with (
        open_source(CameraSection(source=SOURCE)) as camera,
        CameraSamples(config, bundle, choice.engine, per_class=per_class, waits_for_scans=True) as samples,
    ):
        watch(camera, samples, 12.0)
        return samples.chosen()


@pytest.fixture(scope="module")
def chosen(bundle: Bundle, choice: Choice) -> CalibrationSet:
    return looked(bundle, choice, trial_config())


def test_the_faces_of_the_room_are_chosen_by_predicted_class(
    chosen: CalibrationSet, bundle: Bundle, choice: Choice
) -> None:
    assert len(chosen.crops) > 4
    assert np.bincount(chosen.labels).max() <= 4
    assert chosen.facts.is_private
    assert (choice.engine.logits(chosen.crops).argmax(axis=1) == chosen.labels).all()


def test_the_same_film_gives_the_same_set(chosen: CalibrationSet, bundle: Bundle, choice: Choice) -> None:
    assert looked(bundle, choice, trial_config()).digest == chosen.digest


def test_they_are_written_sealed_only(chosen: CalibrationSet, bundle: Bundle, tmp_path: Path) -> None:
    path, state = tmp_path / "room.sealed", tmp_path / "state"
    with pytest.raises(ValueError, match="sealed only"):
        save_samples(chosen, path)
    assert not path.exists()
    save_samples(chosen, path, state)
    assert load_samples(path, bundle, state).digest == chosen.digest
    with pytest.raises(ConfigurationError, match="its key"):
        load_samples(path, bundle, tmp_path / "elsewhere")


def test_a_prohibited_purpose_takes_no_face(bundle: Bundle, choice: Choice) -> None:
    deployment = DeploymentSection(
        jurisdiction="DE", setting="education", purpose="research", contact="a@b.c"
    )
    config = trial_config().model_copy(update={"deployment": deployment})
    with pytest.raises(UnlawfulUseError, match="5\\(1\\)\\(f\\)"):
        CameraSamples(config, bundle, choice.engine)


def test_nobody_outside_of_the_zones_is_taken(bundle: Bundle, choice: Choice) -> None:
    corner = ZonesSection(students={"corner": ((0.0, 0.0), (0.02, 0.0), (0.02, 0.02))})
    config = trial_config().model_copy(update={"zones": corner})
    with pytest.raises(ConfigurationError, match="no class only"):
        looked(bundle, choice, config)


def test_a_closed_shutter_ends_it_and_nothing_is_kept(bundle: Bundle, choice: Choice, tmp_path: Path) -> None:
    closed = tmp_path / "shutter-closed"
    closed.touch()
    with (
        open_source(CameraSection(source=SOURCE)) as camera,
        CameraSamples(trial_config(), bundle, choice.engine, waits_for_scans=True) as samples,
        pytest.raises(SourceError, match="closed privacy shutter"),
    ):
        watch(camera, samples, 12.0, closed_shutter=closed)


def test_from_the_camera_to_a_bundle_whose_faces_are_gone(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, sealed, out = tmp_path / "state", tmp_path / "room.sealed", tmp_path / "out"
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    taken = ["camera", str(bundle.folder), "--source", SOURCE, "--minutes", "0.2", "--per-class", "4"]
    result = run.invoke(
        calibrate_app, [*taken, "--out", str(sealed), "--json"], catch_exceptions=False, env={}
    )
    facts = json.loads(result.stdout)
    assert facts["is_private"]
    assert len(list(state.iterdir())) == 1
    arguments = [str(bundle.folder), "--data", str(faces_file.path), "--samples", str(sealed)]
    limits = ["--max-drop", "15", "--max-class-drop", "50", "--out", str(out)]
    assert run.invoke(calibrate_app, [*arguments, *limits], catch_exceptions=False).exit_code == 0
    assert not sealed.exists()
    assert list(state.iterdir()) == []
    recorded = json.loads((out / "calibration.json").read_text())["quantization"]["calibration_set"]
    assert recorded["sha256"] == facts["sha256"]
    assert any(variant.precision == "int8" for variant in open_bundle(out).manifest.variants)


def test_a_set_is_never_written_over(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "room.sealed").touch()
    arguments = ["camera", str(bundle.folder), "--source", SOURCE, "--out", str(tmp_path / "room.sealed")]
    with pytest.raises(ConfigurationError, match="is there already"):
        run.invoke(calibrate_app, arguments, catch_exceptions=False)
