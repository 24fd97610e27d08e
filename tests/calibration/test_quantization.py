import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from calibration_parts import FacesFile

from calibration.assembly import Proven, SampleRequest, prove_bundle
from calibration.guard import Limits, Verdict, judge
from calibration.outcome import QuantizationSettings
from calibration.pipeline import prepare_splits
from calibration.quantization import quantize_bundle
from calibration.quantize import Layer, OnnxRuntimeQuantizer, Recipe, feeds, quantizable_layers
from calibration.samples import choose_samples
from calibration.search import search
from calibration.sensitivity import LayerSensitivity
from calibration.tables import show_quantization
from calibration.tool_defaults import DEFAULTS
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.errors import EngineError
from edge_runtime.inference.trials import try_variants

GENEROUS = QuantizationSettings(Limits(0.15, 0.6), min_speedup=1.0)  # 84 images tell no less


@pytest.fixture(scope="module")
def proven(bundle: Bundle, faces_file: FacesFile, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    folder = tmp_path_factory.mktemp("proven")
    return prove_bundle(
        bundle,
        faces_file.path,
        folder / "int8",
        GENEROUS,
        samples=SampleRequest(per_class=8),
        report=folder / "report",
    )


def test_both_tools_int8_is_in_the_bundle_and_right_on_this_cpu(proven: Proven) -> None:
    bundle = open_bundle(proven.bundle.folder)
    offered = {(variant.backend, variant.precision) for variant in bundle.manifest.variants}
    assert offered >= {("onnxruntime", "int8"), ("openvino", "int8"), ("onnxruntime", "fp32")}
    assert all(trial.result == "ok" for trial in try_variants(bundle))
    (plain := bundle.folder.with_name("plain")).mkdir()
    assert bundle.folder.stat().st_mode == plain.stat().st_mode  # not its maker's alone: the service reads it


def test_every_variant_knows_what_it_is_worth_and_where_that_was_measured(proven: Proven) -> None:
    for variant in proven.bundle.manifest.variants:
        assert variant.measured is not None
        assert variant.measured.accuracy_low <= variant.measured.accuracy <= variant.measured.accuracy_high
        assert variant.measured.instruction_set


def test_the_verdict_is_on_the_split_that_nothing_was_chosen_on(proven: Proven) -> None:
    assert proven.quantization.tested.data == "drawn.npz, private split"
    for result in proven.quantization.results:
        assert result.verdict is None or result.verdict.accuracy.images == 84


def test_only_products_are_quantized(proven: Proven) -> None:
    model = onnx.load(proven.bundle.path("model.int8.onnx"))
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    (gemm,) = (node for node in model.graph.node if node.op_type == "Gemm")
    (pool,) = (node for node in model.graph.node if node.op_type == "AveragePool")
    assert producers[gemm.input[0]] == "DequantizeLinear"
    assert producers[pool.input[0]] == "Unsqueeze"


def test_the_report_holds_its_pictures_and_every_verdict(proven: Proven) -> None:
    folder = proven.bundle.folder.parent / "report"
    page = (folder / "report.html").read_text()
    for picture in ("accuracy_latency", "sensitivity", "confusion", "reliability"):
        assert f"{picture}.png" in page
        assert (folder / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert "openvino int8: pass" in page
    assert json.loads((folder / "report.json").read_text())["calibration_set"]["seed"] == 0


def test_calibration_json_tells_layers_attempts_and_guard(proven: Proven) -> None:
    facts = json.loads((proven.bundle.folder / "calibration.json").read_text())["quantization"]
    (row,) = (row for row in facts["variants"] if row["variant"] == "onnxruntime int8")
    assert row["guard"]["outcome"] == "pass"
    assert row["attempts"][0]["layers_in_float"] == 0
    assert facts["sensitivity_db"].keys() == {"weights"}


def test_a_proven_bundle_can_be_proven_again(proven: Proven, faces_file: FacesFile, tmp_path: Path) -> None:
    again = prove_bundle(
        proven.bundle, faces_file.path, tmp_path / "again", GENEROUS, samples=SampleRequest(per_class=8)
    )
    assert len(again.bundle.manifest.variants) == len(proven.bundle.manifest.variants)


def test_int8_that_is_not_fast_enough_stands_behind_the_float_variants(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    asked = QuantizationSettings(GENEROUS.limits, min_speedup=1e6)
    samples = choose_samples(faces_file.path, bundle, per_class=4)
    found = quantize_bundle(bundle, samples, prepare_splits(bundle, faces_file.path), tmp_path, asked)
    order = [result.variant.precision for result in found.offered]
    assert order == sorted(order, key=lambda precision: precision == "int8")
    assert order[-1] == "int8"


def test_weights_of_seven_bits_where_sums_saturate(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    samples = choose_samples(faces_file.path, bundle, per_class=2)
    quantizer = OnnxRuntimeQuantizer(bundle.path("model.onnx"), feeds(bundle.manifest, samples.crops))
    largest = {}
    for safe in (False, True):
        quantizer.write(tmp_path / "m.onnx", Recipe(saturation_safe=safe))
        weights = [
            onnx.numpy_helper.to_array(tensor)
            for tensor in onnx.load(tmp_path / "m.onnx").graph.initializer
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2
        ]
        largest[safe] = max(int(np.abs(array.astype(int)).max()) for array in weights)
    assert largest[False] > 64 >= largest[True]


def test_a_recipe_that_leaves_nothing_is_refused(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    samples = choose_samples(faces_file.path, bundle, per_class=1)
    quantizer = OnnxRuntimeQuantizer(bundle.path("model.onnx"), feeds(bundle.manifest, samples.crops))
    with pytest.raises(EngineError, match="no layer is left"):
        quantizer.write(tmp_path / "m.onnx", Recipe(keep_float=frozenset({"classifier"})))


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07truncated")
    with pytest.raises(EngineError, match=r"broken.onnx"):
        quantizable_layers(tmp_path / "broken.onnx")


RANKING = [LayerSensitivity(Layer(f"n{k}", "Conv", f"layer {k}"), float(k)) for k in range(8)]


class Recorder:
    """Writes how many layers stay in float, which is all that the judge below looks at."""

    def write(self, out: Path, recipe: Recipe) -> None:
        out.write_text(str(len(recipe.keep_float)))


def judged(out: Path, enough: int) -> Verdict:
    labels = np.arange(900) % 3
    after = labels.copy()
    if int(out.read_text()) < enough:
        after[:100] = (after[:100] + 1) % 3
    eye = np.eye(3, dtype=np.float32)
    return judge("int8", eye[labels], eye[after], labels, ("a", "b", "c"))


def test_the_search_gives_back_the_worst_layers_until_the_guard_passes(tmp_path: Path) -> None:
    attempts = search(Recorder(), tmp_path / "m", RANKING, lambda out: judged(out, 3))
    assert [len(attempt.recipe.keep_float) for attempt in attempts] == [0, 1, 2, 4]
    assert attempts[-1].verdict.passed
    assert attempts[-1].recipe.keep_float == {"n0", "n1", "n2", "n3"}


def test_the_search_ends_with_half_of_the_layers_in_float(tmp_path: Path) -> None:
    attempts = search(Recorder(), tmp_path / "m", RANKING, lambda out: judged(out, 99))
    assert len(attempts[-1].recipe.keep_float) == 4
    assert not attempts[-1].verdict.passed


def test_the_tools_defaults_are_judged_by_the_same_guard_and_never_offered(
    bundle: Bundle,
    faces_file: FacesFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = QuantizationSettings(GENEROUS.limits, min_speedup=1.0, compare_defaults=True)
    proven = prove_bundle(
        bundle,
        faces_file.path,
        tmp_path / "int8",
        asked,
        samples=SampleRequest(per_class=8),
        report=tmp_path / "report",
    )
    judged = {result.name: result for result in proven.quantization.results}
    for tool in ("onnxruntime", "openvino"):
        default = judged[f"{tool} int8, defaults"]
        assert default.verdict is not None
        assert default.verdict.accuracy.images == 84
        assert not default.is_offered
        assert default.timings[8].median_ms > 0
    assert not (proven.bundle.folder / "defaults").exists()
    assert {variant.file for variant in proven.bundle.manifest.variants} == {
        "model.onnx",
        "model.int8.onnx",
        "openvino/int8/model.xml",
    }
    monkeypatch.setenv("COLUMNS", "80")
    show_quantization(proven.quantization)
    table = capsys.readouterr().out.splitlines()[1 : 3 + len(judged)]
    assert [" ".join(line.split()[:2]) for line in table[2:]] == [
        name.replace(", defaults", "*") for name in judged
    ]
    assert all(line.count(" / ") == 2 and len(line) <= 80 and "…" not in line for line in table[2:])
    page = (tmp_path / "report" / "report.html").read_text()
    assert "onnxruntime int8, defaults" in page
    assert "confusion_defaults.png" in page


def test_defaults_that_cannot_be_made_are_told_and_end_nothing(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("Too many bins")

    for variant in DEFAULTS:
        monkeypatch.setitem(DEFAULTS, variant, fails)
    asked = QuantizationSettings(GENEROUS.limits, min_speedup=1.0, compare_defaults=True)
    samples = choose_samples(faces_file.path, bundle, per_class=4)
    found = quantize_bundle(bundle, samples, prepare_splits(bundle, faces_file.path), tmp_path, asked)
    assert len(found.failures) == 2
    assert all("Too many bins" in why for why in found.failures.values())
    assert found.has_int8
