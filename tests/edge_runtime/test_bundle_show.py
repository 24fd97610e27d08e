import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_runtime.bundle import MANIFEST, default_bundle_path, describe_file, open_bundle
from edge_runtime.bundle_calibration import CALIBRATION, judged_variants
from edge_runtime.commands.bundle import app
from edge_runtime.errors import BundleError


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["show", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def calibrated(tmp_path: Path) -> Path:
    """The bundle that ships, to be changed."""
    return Path(shutil.copytree(default_bundle_path(), tmp_path / "bundle"))


def rewrite(folder: Path, report: dict[str, object]) -> None:
    """Another `calibration.json`, with its digest."""
    (folder / CALIBRATION).write_text(json.dumps(report))
    manifest = json.loads((folder / MANIFEST).read_text())
    digest = describe_file(folder, CALIBRATION).model_dump(mode="json")
    manifest["files"] = [digest if file["path"] == CALIBRATION else file for file in manifest["files"]]
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_each_variant_stands_with_its_verdict_its_accuracy_and_its_times(calibrated: Path) -> None:
    text = shown(str(calibrated))
    assert max(map(len, text.splitlines())) <= 140
    for variant in json.loads((calibrated / MANIFEST).read_text())["variants"]:
        row = next(
            line
            for line in text.splitlines()
            if line.startswith(f"{variant['backend']} {variant['precision']}")
        )
        worth = variant["measured"]
        assert f"{100 * worth['accuracy']:.1f} ({100 * worth['accuracy_low']:.1f}–" in row
        assert f"{worth['ms_batch_1']:.2f}" in row
        assert f"{worth['ms_batch_8']:.2f}" in row
        assert ("reference" in row) == (
            variant["backend"] == "onnxruntime" and variant["precision"] == "fp32"
        )


def test_json_is_the_manifest_with_verdicts_sizes_and_digest(calibrated: Path) -> None:
    facts = json.loads(shown(str(calibrated), "--json"))
    judged = {
        row["variant"]: row
        for row in json.loads((calibrated / CALIBRATION).read_text())["quantization"]["variants"]
    }
    assert facts["digest"] == open_bundle(calibrated).digest
    assert facts["quality"]["expected_calibration_error"] > 0
    for row in facts["variants"]:
        recorded = judged[f"{row['backend']} {row['precision']}"]["guard"]
        assert row.get("guard", {}).get("outcome") == (recorded["outcome"] if recorded else None)
    int8 = next(row for row in facts["variants"] if row["file"] == "model.int8.onnx")
    assert int8["bytes"] == (calibrated / "model.int8.onnx").stat().st_size


def test_what_failed_is_told_with_its_reason(calibrated: Path) -> None:
    report = json.loads((calibrated / CALIBRATION).read_text())
    failed = json.loads(json.dumps(report["quantization"]["variants"][1]))
    failed |= {"variant": "openvino int4", "offered": False}
    failed["guard"] |= {"outcome": "fail", "reasons": ["75 points lost"]}
    report["quantization"]["variants"].append(failed)
    rewrite(calibrated, report)
    assert "not offered openvino int4: fail; 75 points lost" in shown(str(calibrated))
    assert [row["variant"] for row in json.loads(shown(str(calibrated), "--json"))["not_offered"]] == [
        "openvino int4"
    ]


def test_a_bundle_that_was_never_calibrated_says_what_to_do(tiny_bundle: Path) -> None:
    assert judged_variants(open_bundle(tiny_bundle)) == {}
    text = shown(str(tiny_bundle))
    assert "onnxruntime fp32" in text
    assert "roomtone calibrate" in text
    assert json.loads(shown(str(tiny_bundle), "--json"))["not_offered"] == []


def test_a_calibration_of_another_schema_is_an_error_that_names_it(calibrated: Path) -> None:
    rewrite(calibrated, {"schema": "roomtone-calibration/9"})
    with pytest.raises(BundleError, match=r"calibration\.json cannot be understood"):
        shown(str(calibrated))
