import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from export_parts import TINY

from edge_runtime.bundle import open_bundle
from edge_runtime.errors import BundleError, ConfigurationError
from edge_runtime.faces.alignment import LOOSE_TEMPLATE
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.frames.simulation.controls import EXPRESSIONS
from export import pipeline
from export.checkpoints import load_checkpoint, save_checkpoint
from export.pipeline import STEPS, ExportResult, ExportStepError, export_bundle
from export.probes import rendered_faces
from export.trained import ExportRequest


@pytest.fixture(scope="module")
def result(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    return export_bundle(ExportRequest(TINY, checkpoint, out, name="tiny", version="1.2.3"))


def test_the_device_opens_what_was_exported(result: ExportResult) -> None:
    manifest = open_bundle(result.bundle.folder).manifest
    assert (manifest.name, manifest.version, manifest.architecture.name) == ("tiny", "1.2.3", TINY)
    assert manifest.label_names == FER_LABELS
    assert manifest.alignment.template() == LOOSE_TEMPLATE  # the recipe's, not the default
    assert manifest.quality is None


def test_every_variant_gives_the_golden_outputs_here(result: ExportResult) -> None:
    assert [(check.report.backend, check.report.precision) for check in result.variants] == [
        ("onnxruntime", "fp32"),
        ("openvino", "fp32"),
        ("openvino", "bf16"),
    ]
    assert all(check.golden_difference < 1e-4 for check in result.variants[:2])


def test_the_golden_inputs_are_drawn_and_their_logits_are_torchs(
    result: ExportResult, checkpoint: Path
) -> None:
    golden = result.bundle.golden
    assert golden.crops.shape == (8, 96, 96)
    network = ExportRequest(TINY, checkpoint, Path("unused")).read().network
    with torch.no_grad():
        np.testing.assert_allclose(
            golden.logits, network(torch.from_numpy(golden.crops))[0].numpy(), atol=1e-6
        )
    assert golden.tolerances["fp32"] < golden.tolerances["bf16"] < np.abs(golden.logits).max()


def test_the_same_checkpoint_gives_the_same_bundle(
    result: ExportResult, checkpoint: Path, tmp_path: Path
) -> None:
    again = export_bundle(ExportRequest(TINY, checkpoint, tmp_path / "again", name="tiny", version="1.2.3"))
    assert again.bundle.digest == result.bundle.digest


def test_the_label_table_is_russell_and_mehrabians(result: ExportResult) -> None:
    table = {label.name: label for label in result.bundle.manifest.labels}
    assert set(table) == set(EXPRESSIONS)
    happy, sad = table["happy"], table["sad"]
    assert (happy.polarity, happy.valence, happy.arousal, happy.reading) == (1, 0.76, 0.48, "interest")
    assert (sad.polarity, sad.valence, sad.arousal, sad.reading) == (-1, -0.63, -0.27, "frustration")


def test_card_and_provenance_say_where_it_comes_from(result: ExportResult) -> None:
    card = (result.bundle.folder / "MODEL_CARD.md").read_text()
    facts = result.bundle.manifest.provenance
    assert "FER2013" in card
    assert "5(1)(f)" in card
    assert "Not measured yet" in card
    assert json.loads(facts["recipe"])["architecture"] == TINY
    assert "FER+" in facts["trained_on"]  # the recipe learns from the raters' votes
    assert facts["train_command"] == f"roomtone train {TINY} --data DATA.npz --out runs/tiny --epochs 2"
    assert facts["started_from"] == "random weights"
    assert facts["torch"] == torch.__version__.partition("+")[0] or facts["torch"] == torch.__version__


def test_every_step_is_told_in_order(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(pipeline, "check_parity", _fail)
    with pytest.raises(ExportStepError):
        export_bundle(ExportRequest(TINY, checkpoint, tmp_path / "x"), lambda step: seen.append(step.name))
    assert seen == list(STEPS)[: list(STEPS).index("parity") + 1]


@pytest.mark.parametrize(
    ("broken", "step"),
    [
        ("write_onnx", "graph"),
        ("check_parity", "parity"),
        ("write_golden", "golden"),
        ("render_card", "manifest"),
    ],
)
def test_a_broken_step_is_named_and_leaves_nothing(
    broken: str, step: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("write_onnx", "check_parity", "write_golden", "render_card"):
        monkeypatch.setattr(pipeline, name, _fail if name == broken else _write_something)
    with pytest.raises(ExportStepError, match=f"step {step}: the disk is on fire") as found:
        export_bundle(ExportRequest(TINY, checkpoint, tmp_path / "out" / "bundle"))
    assert STEPS[step].requires in found.value.hint
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interrupt_keeps_the_bundle_that_was_there(
    result: ExportResult, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "write_onnx", _interrupt)
    out = result.bundle.folder
    with pytest.raises(KeyboardInterrupt):
        export_bundle(ExportRequest(TINY, checkpoint, out, force=True))
    assert open_bundle(out).digest == result.bundle.digest
    assert [entry.name for entry in out.parent.iterdir()] == [out.name]


_EXPORT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from export_parts import TINY, tiny_config
from export import pipeline
from export.architectures import ARCHITECTURES
from export.trained import ExportRequest
ARCHITECTURES[TINY] = tiny_config
checkpoint, out, last = map(str, sys.argv[1:])
def on_step(step):
    if step.name == last:
        os.kill(os.getpid(), signal.SIGKILL)
pipeline.export_bundle(ExportRequest(TINY, Path(checkpoint), Path(out)), on_step)
"""


def test_an_export_that_is_killed_leaves_nothing_that_opens(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    killed = subprocess.run(
        [sys.executable, "-c", _EXPORT_AND_DIE, checkpoint, out, "verify"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        timeout=200,
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()  # all of a bundle but its manifest, under a hidden name
    assert {entry.name for entry in left.iterdir()} == {"model.fp32.onnx", "golden.npz", "MODEL_CARD.md"}
    for folder in (left, out):
        with pytest.raises(BundleError):
            open_bundle(folder)


def test_formats_are_compared_on_faces_of_a_set_too(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = rendered_faces(20, np.random.default_rng(3))
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(20) % 7, split=np.zeros(20, np.int64))
    seen: dict[str, np.ndarray] = {}
    monkeypatch.setattr(pipeline, "check_parity", lambda _network, _file, probes: seen.update(probes) or [])
    export_bundle(ExportRequest(TINY, checkpoint, tmp_path / "x"), data=tmp_path / "set.npz")
    assert list(seen) == ["rendered faces", "noise", "faces of set.npz"]
    assert seen["faces of set.npz"].shape == (16, 96, 96)


def test_a_bundle_that_is_there_is_not_replaced_without_force(result: ExportResult, checkpoint: Path) -> None:
    with pytest.raises(BundleError, match="is there already") as found:
        export_bundle(ExportRequest(TINY, checkpoint, result.bundle.folder))
    assert "--force" in found.value.hint


def test_force_does_not_replace_a_folder_that_is_no_bundle(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="no bundle"):
        export_bundle(ExportRequest(TINY, checkpoint, tmp_path, force=True))
    assert (tmp_path / "thesis.txt").exists()


def test_a_checkpoint_of_another_architecture_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ExportStepError, match=rf"step checkpoint: .*was trained as {TINY}, not as hafnet_half"
    ) as found:
        export_bundle(ExportRequest("hafnet_half", checkpoint, tmp_path / "x"))
    assert found.value.exit_code == 12


def test_an_unknown_architecture_is_refused_with_the_known_ones(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportStepError, match="hafnet_half") as found:
        export_bundle(ExportRequest("hafnot", checkpoint, tmp_path / "x"))
    assert isinstance(found.value.cause, ConfigurationError)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"recipe": None}, "records no recipe"),
        ({"recipe": {"template": "round"}}, "round"),
        (
            {"labels": ["angry", "bored", "c", "d", "e", "f", "g"]},
            "bored: is a class without polarity",
        ),
        ({"labels": ["angry", "happy"]}, "of another shape"),
    ],
    ids=["no recipe", "unknown template", "unknown class", "class count"],
)
def test_a_checkpoint_with_unusable_facts_says_which(
    change: dict[str, object], problem: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = load_checkpoint(checkpoint)
    facts = dict(stored.facts)
    for key, value in change.items():
        facts[key] = {**facts[key], **value} if isinstance(value, dict) else value
    save_checkpoint(tmp_path / "c.safetensors", stored.weights, facts)
    for name in ("write_onnx", "check_parity"):
        monkeypatch.setattr(pipeline, name, _write_something)
    request = ExportRequest(TINY, checkpoint, tmp_path / "x")
    with pytest.raises(ExportStepError, match=problem):
        export_bundle(replace(request, checkpoint=tmp_path / "c.safetensors"))
    assert not (tmp_path / "x").exists()


def _fail(*_: object, **__: object) -> None:
    raise OSError("the disk is on fire")


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _write_something(*arguments: object, **__: object) -> str:
    for argument in arguments:
        if isinstance(argument, Path):
            argument.write_bytes(b"something")
    return "text"
