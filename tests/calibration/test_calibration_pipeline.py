import json
from pathlib import Path

import pytest
from calibration_parts import FacesFile, write_linear_bundle

from calibration import pipeline
from calibration.pipeline import Calibration, calibrate, write_calibrated
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleError, ConfigurationError
from edge_runtime.inference.opening import Choice, open_engine


@pytest.fixture(scope="module")
def found(bundle: Bundle, choice: Choice, faces_file: FacesFile) -> Calibration:
    return calibrate(bundle, choice, faces_file.path)


def test_a_bundle_that_is_too_sure_is_cooled_down(found: Calibration) -> None:
    assert found.temperature_before == 1
    assert found.temperature > 1.2
    assert found.fitted.after.negative_log_likelihood < found.fitted.before.negative_log_likelihood
    assert found.tested.after.expected_calibration_error < found.tested.before.expected_calibration_error


def test_a_temperature_changes_no_decision(found: Calibration) -> None:
    assert found.tested.after.confusion.tolist() == found.tested.before.confusion.tolist()


def test_the_sharper_the_logits_the_higher_the_temperature(
    found: Calibration, faces_file: FacesFile, tmp_path: Path
) -> None:
    write_linear_bundle(tmp_path / "sharp", faces_file, sharpness=80.0)
    sharp = open_bundle(tmp_path / "sharp")
    again = calibrate(sharp, open_engine(sharp, InferenceSection()), faces_file.path)
    assert again.temperature == pytest.approx(2 * found.temperature, rel=1e-3)


def test_the_new_bundle_opens_runs_and_knows_its_quality(
    found: Calibration, bundle: Bundle, out: Path
) -> None:
    written = write_calibrated(bundle, found, out)
    manifest = open_bundle(out).manifest
    open_engine(written, InferenceSection())
    assert manifest.temperature == found.temperature
    assert manifest.quality is not None
    assert manifest.quality.images == 84
    assert manifest.quality.accuracy == found.tested.after.accuracy
    assert (out / "model.onnx").read_bytes() == bundle.path("model.onnx").read_bytes()
    assert written.digest != bundle.digest


def test_the_card_tells_quality_interval_classes_and_what_was_left_out(
    found: Calibration, bundle: Bundle, out: Path
) -> None:
    write_calibrated(bundle, found, out)
    card = (out / "MODEL_CARD.md").read_text()
    assert "Not measured yet" not in card
    assert f"{found.tested.after.accuracy:.1%} (95 % Wilson interval" in card
    assert f"| happy | 12 | {found.tested.after.classes[3].recall:.1%} |" in card
    assert "5 pixel-identical to a training image" in card
    assert "84 images of drawn.npz, public split" in card


def test_the_report_holds_both_temperatures_and_both_splits(
    found: Calibration, bundle: Bundle, out: Path
) -> None:
    write_calibrated(bundle, found, out)
    report = json.loads((out / "calibration.json").read_text())
    assert report["schema"] == "roomtone-calibration/1"
    assert report["temperature_before"] == 1
    assert report["tested"]["before"]["images"] == report["tested"]["after"]["images"] == 84
    assert len(report["tested"]["after"]["confusion"]) == 7


def test_calibrating_again_finds_the_same_temperature(
    found: Calibration, bundle: Bundle, faces_file: FacesFile, out: Path
) -> None:
    written = write_calibrated(bundle, found, out)
    again = calibrate(written, open_engine(written, InferenceSection()), faces_file.path)
    assert again.temperature == pytest.approx(found.temperature)
    replaced = write_calibrated(written, again, out, force=True)  # onto itself
    assert replaced.manifest.temperature == again.temperature
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("split", ["private", "training"])
def test_other_splits_than_the_choosing_one_are_refused(
    split: str, bundle: Bundle, choice: Choice, faces_file: FacesFile
) -> None:
    with pytest.raises(ConfigurationError, match=f"--split: {split} is .*; fit on public"):
        calibrate(bundle, choice, faces_file.path, split=split)


def test_an_interrupt_leaves_nothing_that_opens(
    found: Calibration, bundle: Bundle, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "write_manifest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_calibrated(bundle, found, out)
    assert list(out.parent.iterdir()) == []


def test_a_bundle_that_is_there_is_kept(found: Calibration, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="is there already"):
        write_calibrated(bundle, found, bundle.folder)
    assert open_bundle(bundle.folder).digest == bundle.digest
