"""The bundle and its engines on this CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_runtime.config import Config
from edge_runtime.provisioning.doctor.engine import engine_checks
from edge_runtime.provisioning.doctor.examination import Group, examine


def lines(**inference: object) -> dict[str, tuple[str, str]]:
    report = examine([Group("engine", engine_checks(Config.model_validate({"inference": inference})))])
    return {
        line.title: (str(line.finding.status), f"{line.finding.what} → {line.finding.next_step}")
        for line in report.lines
    }


def test_every_variant_is_tried_and_timed(tiny_bundle: Path) -> None:
    found = lines(bundle=tiny_bundle)
    assert [(title, status) for title, (status, _) in found.items()] == [
        ("bundle", "ok"),
        ("onnxruntime fp32", "ok"),
        ("openvino fp32", "ok"),
    ]
    assert "ms a face" in found["onnxruntime fp32"][1]


def test_a_changed_file_stops_at_the_digest(tiny_bundle: Path) -> None:
    (tiny_bundle / "MODEL_CARD.md").write_text("changed")
    found = lines(bundle=tiny_bundle)
    assert found["bundle"][0] == "fail"
    assert found["engine"][0] == "skipped"
    assert "is not the recorded file" in found["bundle"][1]


def test_wrong_outputs_on_this_cpu_fail_and_are_named(tiny_bundle: Path, seal_bundle) -> None:
    with np.load(tiny_bundle / "golden.npz") as stored:
        golden = dict(stored)
    golden["logits"] = golden["logits"] + 1
    np.savez(tiny_bundle / "golden.npz", **golden)
    found = lines(bundle=seal_bundle(tiny_bundle))
    assert found["engine"][0] == "fail"
    assert found["openvino fp32"][0] == "warn"
    assert "differs from the golden logits by 1" in found["onnxruntime fp32"][1]


def test_a_precision_that_the_bundle_lacks_names_what_would_run(tiny_bundle: Path) -> None:
    found = lines(bundle=tiny_bundle, precision="int8")
    assert found["engine"][0] == "fail"
    assert "onnxruntime fp32, openvino fp32" in found["engine"][1]
