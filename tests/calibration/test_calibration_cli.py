import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from calibration_parts import FacesFile
from typer.testing import CliRunner

from calibration.cli import calibrate_app, evaluate_app
from calibration.guard import QuantizationGuardError
from calibration.samples import load_samples
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.errors import BundleError, ConfigurationError, EngineError

run = CliRunner()


def test_evaluate_prints_json_and_draws_the_confusion_matrix(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    picture = tmp_path / "confusion.png"
    arguments = [str(bundle.folder), "--data", str(faces_file.path), "--json", "--confusion", str(picture)]
    result = run.invoke(evaluate_app, arguments, catch_exceptions=False)
    facts = json.loads(result.stdout)
    assert facts["images"] == 84
    assert facts["left_out"]["pixel-identical to a training image"] == 5
    assert facts["engine"]["backend"] == "onnxruntime"
    assert facts["bundle_digest"] == bundle.digest
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_evaluate_prints_a_table_for_people(bundle: Bundle, faces_file: FacesFile) -> None:
    arguments = [
        str(bundle.folder),
        "--data",
        str(faces_file.path),
        "--split",
        "public",
        "--backend",
        "openvino",
    ]
    result = run.invoke(evaluate_app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "surprise" in result.stdout
    assert "84 images" in result.stdout
    assert "ran on openvino fp32" in result.stdout


def test_evaluate_keeps_the_pupils_where_it_is_told_to(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    arguments = [
        str(bundle.folder),
        "--data",
        str(faces_file.path),
        "--json",
        "--cache",
        str(tmp_path / "pupils"),
    ]
    first, second = (run.invoke(evaluate_app, arguments, catch_exceptions=False).stdout for _ in range(2))
    assert first == second
    assert len(list((tmp_path / "pupils").iterdir())) == 1


def test_calibrate_writes_a_bundle_and_says_what_changed(
    bundle: Bundle, faces_file: FacesFile, out: Path
) -> None:
    arguments = [str(bundle.folder), "--data", str(faces_file.path), "--out", str(out), "--no-int8"]
    result = run.invoke(calibrate_app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "temperature 1.0000 → " in result.stdout
    assert open_bundle(out).manifest.quality is not None
    again = run.invoke(calibrate_app, [*arguments, "--force", "--json"], catch_exceptions=False)
    assert json.loads(again.stdout)["digest"] == open_bundle(out).digest


@pytest.mark.parametrize(
    ("more", "error", "problem"),
    [
        (["--split", "private"], ConfigurationError, "is the test"),
        (["--precision", "int8"], EngineError, "no variant"),
        (["--data", "none.npz"], ConfigurationError, "no such file"),
    ],
    ids=["test split", "precision", "data"],
)
def test_calibrate_refuses_and_writes_nothing(
    more: list[str], error: type[Exception], problem: str, bundle: Bundle, faces_file: FacesFile, out: Path
) -> None:
    arguments = [str(bundle.folder), "--data", str(faces_file.path), "--out", str(out), "--no-int8", *more]
    with pytest.raises(error, match=problem):
        run.invoke(calibrate_app, arguments, catch_exceptions=False)
    assert not out.exists()


def test_calibrate_looks_at_its_target_before_it_works(bundle: Bundle, tmp_path: Path) -> None:
    arguments = [str(bundle.folder), "--data", str(tmp_path / "none.npz"), "--out", str(bundle.folder)]
    with pytest.raises(BundleError, match="is there already"):
        run.invoke(calibrate_app, arguments, catch_exceptions=False)


def test_calibrate_ends_with_23_and_without_int8_when_the_images_are_too_few(
    bundle: Bundle, faces_file: FacesFile, out: Path
) -> None:
    arguments = [str(bundle.folder), "--data", str(faces_file.path), "--out", str(out)]
    arguments += ["--profile", "x86-64-avx2"]
    with pytest.raises(
        QuantizationGuardError, match=r"84 images are too few to tell 1 points: about \d+"
    ) as error:
        run.invoke(calibrate_app, arguments, catch_exceptions=False)
    assert error.value.exit_code == 23
    assert {variant.precision for variant in open_bundle(out).manifest.variants} == {"fp32"}
    assert not (out / "model.int8.onnx").exists()
    facts = json.loads((out / "calibration.json").read_text())
    assert facts["quantization"]["saturation_safe"]  # as that profile asks for
    assert "undecided" in (out.with_name(f"{out.name}-report") / "report.html").read_text()


def test_samples_writes_a_set_that_calibrate_takes(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    faces, sheet = tmp_path / "faces.npz", tmp_path / "faces.png"
    arguments = ["samples", str(bundle.folder), "--data", str(faces_file.path), "--out", str(faces)]
    arguments += ["--per-class", "3", "--json", "--public-data-set", "--contact-sheet", str(sheet)]
    result = run.invoke(calibrate_app, arguments, catch_exceptions=False)
    assert json.loads(result.stdout)["images"] == load_samples(faces, bundle).crops.shape[0]
    assert sheet.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "problem"),
    [(["--contact-sheet", "f.png"], "stay on the device"), (["--split", "private"], "is the test")],
    ids=["picture of a camera's faces", "test split"],
)
def test_samples_refuses_what_it_must_not_do(
    more: list[str], problem: str, bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    arguments = [
        "samples",
        str(bundle.folder),
        "--data",
        str(faces_file.path),
        "--out",
        str(tmp_path / "f.npz"),
    ]
    with pytest.raises(ConfigurationError, match=problem):
        run.invoke(calibrate_app, [*arguments, *more], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def one_class(faces: FacesFile, path: Path, splits: tuple[int, ...]) -> None:
    """The faces without those of these splits that are not of the first class."""
    keep = (faces.labels == 0) | ~np.isin(faces.split, splits)
    np.savez(path, images=faces.images[keep], labels=faces.labels[keep], split=faces.split[keep])


def cut_short(faces: FacesFile, path: Path, splits: tuple[int, ...]) -> None:
    path.write_bytes(faces.path.read_bytes()[:20_000])


@pytest.mark.parametrize(
    ("spoil", "splits", "error", "problem"),
    [
        (cut_short, (), ConfigurationError, "cannot be read as .npz"),
        (one_class, (0,), ConfigurationError, "usable calibration images of angry only"),
        (one_class, (2,), QuantizationGuardError, "all 12 held-out images are angry"),
    ],
    ids=["cut short", "one class to calibrate on", "one class to judge on"],
)
def test_data_that_nothing_can_be_proven_on_is_refused_and_nothing_is_written(
    spoil: Callable[[FacesFile, Path, tuple[int, ...]], None],
    splits: tuple[int, ...],
    error: type[Exception],
    problem: str,
    bundle: Bundle,
    faces_file: FacesFile,
    tmp_path: Path,
) -> None:
    data, out = tmp_path / "faces.npz", tmp_path / "out"
    spoil(faces_file, data, splits)
    arguments = [str(bundle.folder), "--data", str(data), "--out", str(out), "--per-class", "4"]
    with pytest.raises(error, match=problem):
        run.invoke(calibrate_app, arguments, catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["faces.npz"]
