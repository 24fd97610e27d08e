import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from export_parts import TINY
from typer.testing import CliRunner

from edge_runtime.bundle import open_bundle
from edge_runtime.errors import BundleError, ConfigurationError
from export.architectures import ARCHITECTURES
from export.checkpoints import load_checkpoint
from export.cli import export_app, train_app
from export.probes import rendered_faces
from export.train_cli import NETWORKS


@pytest.fixture(autouse=True)
def _levels_as_before() -> Iterator[None]:
    names = ("onnx_ir", "onnxscript")
    before = [logging.getLogger(name).level for name in names]
    yield
    for name, level in zip(names, before, strict=True):
        logging.getLogger(name).setLevel(level)


def test_export_prints_the_facts_as_json_and_nothing_else(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    arguments = [
        TINY,
        "--checkpoint",
        str(checkpoint),
        "--out",
        str(out),
        "--name",
        "tiny",
        "--json",
    ]
    result = CliRunner().invoke(export_app, arguments, catch_exceptions=False)
    facts = json.loads(result.stdout)
    assert result.exit_code == 0
    assert facts["digest"] == open_bundle(out).digest
    assert facts["architecture"]["multiply_adds"] > 0
    assert {row["backend"] for row in facts["variants"]} == {"onnxruntime", "openvino"}
    with pytest.raises(BundleError, match="is there already"):
        CliRunner().invoke(export_app, arguments, catch_exceptions=False)


def test_train_writes_a_checkpoint_and_its_curve(tmp_path: Path) -> None:
    data = tmp_path / "faces.npz"
    images = rendered_faces(28, np.random.default_rng(1))
    np.savez(data, images=images, labels=np.arange(28) % 7, split=np.repeat([0, 1], [21, 7]))
    arguments = [
        TINY,
        "--data",
        str(data),
        "--out",
        str(tmp_path / "run"),
        "--epochs",
        "1",
        "--batch-size",
        "8",
    ]
    result = CliRunner().invoke(train_app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "checkpoint.safetensors" in result.stdout
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()
    assert (tmp_path / "run" / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_train_takes_a_folder_per_class_and_says_what_it_left_out(tmp_path: Path) -> None:
    for index, image in enumerate(rendered_faces(24, np.random.default_rng(1))):
        split, name = ("training", "public")[index % 4 == 3], ("Happiness", "sad")[index % 2]
        (tmp_path / "set" / split / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "set" / split / name / f"{index}.png"), image)
    (tmp_path / "set" / "training" / "sad" / "broken.png").write_bytes(b"")
    out = tmp_path / "run"
    arguments = [
        TINY,
        "--data",
        str(tmp_path / "set"),
        "--out",
        str(out),
        "--epochs",
        "1",
        "--batch-size",
        "8",
    ]
    result = CliRunner().invoke(train_app, arguments, catch_exceptions=False)
    assert "unreadable: training/sad/broken.png" in result.stderr
    facts = load_checkpoint(out / "checkpoint.safetensors").facts
    assert facts["labels"] == ["happy", "sad"]
    assert facts["recipe"]["votes_weight"] == 0


def test_train_lists_every_network_with_its_cost() -> None:
    result = CliRunner().invoke(train_app, ["--list"], catch_exceptions=False)
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert rows.keys() >= ARCHITECTURES.keys()
    assert "11.17 M" in rows["resnet18"]  # He et al. 2016: 11.7 M with colour and 1000 classes


def test_the_help_names_every_kind_of_network() -> None:
    kinds = {re.sub("_(half|small|cnn|hog|sift)$", "", name) for name in ARCHITECTURES} - {TINY}
    assert all(kind in NETWORKS for kind in kinds)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["hafnot"], "'hafnot' is not one of"),
        (["hafnet_half", "--template", "round"], "'round', not one of p1, loose"),
        (["hafnet_half", "--set", "tails=2"], "tails: is no field of its config"),
        (["hafnet_half", "--set", "heads=few"], "heads: is 'few', not of the kind of 4"),
        (["hafnet_half", "--set", "heads"], "'heads' is not FIELD=VALUE"),
        (["hafnet_half"], "no such file"),
    ],
    ids=["architecture", "template", "unknown field", "wrong kind", "no value", "data"],
)
def test_train_refuses_before_it_does_anything(arguments: list[str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        CliRunner().invoke(
            train_app,
            [*arguments, "--data", str(tmp_path / "none.npz"), "--out", str(tmp_path / "run")],
            catch_exceptions=False,
        )
    assert not (tmp_path / "run").exists()
