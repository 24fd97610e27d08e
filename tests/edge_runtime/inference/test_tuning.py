import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from edge_runtime.bundle import Bundle, Variant, open_bundle
from edge_runtime.commands.bundle import app
from edge_runtime.config import InferenceSection
from edge_runtime.errors import EngineError
from edge_runtime.inference import saturation, tuning
from edge_runtime.inference.tuning import Measurement, Tuning, open_tuned_engine, save_tuning, tune

BACKEND = InferenceSection()


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


def chosen(bundle: Bundle, variant: Variant, threads: int = 2) -> Tuning:
    best = Measurement(
        backend=variant.backend, precision=variant.precision, threads=threads, ms_batch_1=1.0, ms_batch_8=5.0
    )
    return Tuning(bundle_digest=bundle.digest, cpu=tuning.cpu_identity(), choice=best, measured=(best,))


def test_every_variant_is_measured_with_every_number_of_threads(bundle: Bundle) -> None:
    found = tune(bundle, [1, 2], rounds=3)
    assert len(found.measured) == 2 * len(bundle.manifest.variants)
    assert found.choice in found.measured
    assert all(row.cost >= found.choice.cost for row in found.measured)
    assert found.is_for(bundle)


def test_a_start_uses_what_was_measured_here_and_says_so(bundle: Bundle, tmp_path: Path) -> None:
    last = bundle.manifest.variants[-1]
    save_tuning(chosen(bundle, last), tmp_path / "state")
    choice = open_tuned_engine(bundle, BACKEND, tmp_path / "state")
    assert choice.variant == last
    assert choice.engine.report.threads == 2
    assert choice.reason.startswith("measured as the best on this board (5.0 ms for 8 faces)")


def test_without_a_measurement_the_bundles_order_holds(bundle: Bundle, tmp_path: Path) -> None:
    choice = open_tuned_engine(bundle, BACKEND, tmp_path)
    assert choice.variant == bundle.manifest.variants[0]
    assert choice.reason == "best of the bundle here"


@pytest.mark.parametrize(
    "change",
    [{"bundle_digest": "0" * 64}, {"cpu": "another processor, 4 cores, NEON"}],
    ids=["another bundle", "another processor"],
)
def test_a_measurement_of_something_else_is_not_used(
    change: dict[str, str], bundle: Bundle, tmp_path: Path
) -> None:
    save_tuning(chosen(bundle, bundle.manifest.variants[-1]).model_copy(update=change), tmp_path)
    assert open_tuned_engine(bundle, BACKEND, tmp_path).variant == bundle.manifest.variants[0]


@pytest.mark.parametrize("text", ["", "{", '{"schema": "roomtone-tuning/9"}'], ids=["empty", "torn", "newer"])
def test_a_file_that_cannot_be_read_is_passed_over(
    text: str, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / tuning.FILE).write_text(text)
    assert open_tuned_engine(bundle, BACKEND, tmp_path).variant == bundle.manifest.variants[0]
    assert "is not used" in caplog.text


def test_what_the_configuration_names_stays_in_force(bundle: Bundle, tmp_path: Path) -> None:
    save_tuning(chosen(bundle, bundle.manifest.variants[-1]), tmp_path)
    first = bundle.manifest.variants[0]
    named = InferenceSection(backend=first.backend, precision=first.precision)
    assert open_tuned_engine(bundle, named, tmp_path).variant == first


def test_a_variant_that_is_wrong_on_this_cpu_takes_no_part(tiny_bundle: Path, seal_bundle) -> None:
    golden = tiny_bundle / "golden.npz"
    with np.load(golden) as stored:
        arrays = dict(stored)
    np.savez(golden, **(arrays | {"tolerance_fp32": np.float64(0), "logits": arrays["logits"] + 0.1}))
    seal_bundle(tiny_bundle)
    with pytest.raises(EngineError, match=r"no variant of tiny runs here: .*differs from the golden logits"):
        tune(open_bundle(tiny_bundle), [1], rounds=3)


@pytest.mark.parametrize(
    ("instructions", "facts", "takes_part"),
    [
        ("AVX2", {"quantization": {"saturation_safe": False}}, False),
        ("AVX2", {"quantization": {"saturation_safe": True}}, True),
        ("AVX2", {}, False),
        ("AVX-512 VNNI", {}, True),
    ],
    ids=["not quantized for it", "quantized for it", "nobody knows", "sums of 32 bits"],
)
def test_int8_takes_no_part_where_its_sums_saturate(
    instructions: str,
    facts: dict[str, object],
    takes_part: bool,
    tiny_bundle: Path,
    tiny_network,
    seal_bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    onnx.save(tiny_network.onnx(), tiny_bundle / "model.int8.onnx")
    (tiny_bundle / "calibration.json").write_text(json.dumps(facts))
    files = {"fp32": "model.fp32.onnx", "int8": "model.int8.onnx"}
    seal_bundle(
        tiny_bundle,
        variants=[
            {"backend": "onnxruntime", "precision": precision, "file": file}
            for precision, file in files.items()
        ],
    )
    monkeypatch.setattr(saturation, "instruction_set", lambda: instructions)
    found = tune(open_bundle(tiny_bundle), [1], rounds=3)
    (row,) = (row for row in found.measured if row.precision == "int8")
    assert (row.ms_batch_8 is not None) == takes_part
    assert takes_part or "sums saturate" in row.problem


def test_twice_the_threads_must_pay() -> None:
    one = Measurement(backend="openvino", precision="int8", threads=1, ms_batch_8=10)
    assert Measurement(backend="openvino", precision="int8", threads=2, ms_batch_8=8).cost > one.cost
    assert Measurement(backend="openvino", precision="int8", threads=2, ms_batch_8=6).cost < one.cost


def test_the_command_measures_stores_and_tells(tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = ["tune", str(tiny_bundle), "--threads", "1", "--state", str(tmp_path / "state")]
    shown = CliRunner().invoke(app, [*arguments, "--dry-run", "--json"], catch_exceptions=False)
    assert json.loads(shown.stdout)["schema"] == "roomtone-tuning/1"
    assert not (tmp_path / "state").exists()
    told = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "→" in told.stdout
    assert (tmp_path / "state" / tuning.FILE).is_file()


@pytest.mark.parametrize("threads", ["0", "x", "1,,2", "65"])
def test_the_command_refuses_numbers_of_threads_that_are_none(threads: str, tiny_bundle: Path) -> None:
    result = CliRunner().invoke(app, ["tune", str(tiny_bundle), "--threads", threads])
    assert result.exit_code == 2


def test_a_state_that_cannot_be_written_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, no directory")
    with pytest.raises(EngineError, match=r"tuning.json cannot be written"):
        save_tuning(chosen(bundle, bundle.manifest.variants[0]), tmp_path / "state")
