"""Both engines run the same real network, say what they run, and fail with a sentence."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.errors import EngineError
from edge_runtime.inference.engine import GraphSpec
from edge_runtime.inference.opening import graph_loader, load_engine
from edge_runtime.inference.openvino_engine import call_sizes

ENGINES = ("onnxruntime", "openvino")
# Largest absolute difference of a logit from numpy in float64: the tolerance table of this file.
TOLERANCE = {"fp32": 1e-4, "bf16": 0.3}


def crops(count, seed=3):
    return np.random.default_rng(seed).integers(0, 256, (count, 96, 96), np.uint8)


def load(folder, backend, *, precision="fp32", threads=1):
    manifest = open_bundle(folder).manifest
    variant = next(variant for variant in manifest.variants if variant.backend == backend)
    variant = variant.model_copy(update={"precision": precision})
    return load_engine(folder / variant.file, variant, manifest, threads)


@pytest.fixture(params=ENGINES)
def backend(request):
    return request.param


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 33])
def test_logits_are_those_of_numpy(tiny_bundle, tiny_network, backend, count):
    images = crops(count)
    logits = load(tiny_bundle, backend).logits(images)
    assert logits.shape == (count, 7)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, tiny_network(images), rtol=0, atol=TOLERANCE["fp32"])


def test_engines_agree_elementwise(tiny_bundle):
    images = crops(64)
    first, second = (load(tiny_bundle, backend).logits(images) for backend in ENGINES)
    np.testing.assert_allclose(first, second, rtol=0, atol=TOLERANCE["fp32"])


def test_a_batch_gives_what_its_images_give_alone(tiny_bundle, backend):
    engine, images = load(tiny_bundle, backend), crops(9)
    alone = np.concatenate([engine.logits(images[row : row + 1]) for row in range(9)])
    np.testing.assert_allclose(engine.logits(images), alone, rtol=0, atol=1e-5)


def test_logits_are_the_callers_own(tiny_bundle, backend):
    engine = load(tiny_bundle, backend)
    first = engine.logits(crops(2, seed=1))
    kept = first.copy()
    engine.logits(crops(2, seed=2))
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    assert np.abs(engine.logits(crops(2, seed=1)) - kept).max() < 1e-5


def test_crops_that_cannot_be_written_to_are_read(tiny_bundle, tiny_network, backend):
    images = crops(3)
    images.flags.writeable = False
    np.testing.assert_allclose(load(tiny_bundle, backend).logits(images), tiny_network(images), atol=1e-4)


def test_inputs_that_do_not_lie_in_one_piece_are_copied_and_kept_until_they_are_read(tmp_path, backend):
    names, width = ("a", "b", "c"), 40
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", width]) for name in names
    ]
    output = onnx.helper.make_tensor_value_info("all", onnx.TensorProto.FLOAT, ["n", 3 * width])
    node = onnx.helper.make_node("Concat", names, ["all"], axis=1)
    graph = onnx.helper.make_graph([node], "beside", inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "beside.onnx")
    spec = GraphSpec(tmp_path / "beside.onnx", names, ("all",), 3 * width, "numbers", "fp32", 1)
    loaded = graph_loader(backend)(spec)
    rng = np.random.default_rng(4)
    for _ in range(20):
        fed = {name: rng.normal(size=(width, 16)).astype(np.float32).T for name in names}
        (found,) = loaded.run(["all"], fed)
        np.testing.assert_array_equal(found, np.concatenate(list(fed.values()), axis=1))


def test_the_report_says_what_runs(tiny_bundle, backend):
    report = load(tiny_bundle, backend, threads=2).report
    version = {"onnxruntime": onnxruntime.__version__, "openvino": openvino.__version__.partition("-")[0]}
    assert (report.backend, report.version) == (backend, version[backend])
    assert (report.precision, report.threads) == ("fp32", 2)
    assert report.instruction_set


def test_openvino_runs_in_the_precision_that_is_pinned_and_says_so_from_its_own_graph(
    tiny_bundle, tiny_network
):
    engine = load(tiny_bundle, "openvino")
    assert not {"bf16", "f16"} & set(engine.report.layer_precisions)
    assert engine.report.layer_precisions["f32"] >= 2
    images = crops(8)
    difference = np.abs(engine.logits(images) - tiny_network(images)).max()
    assert difference < TOLERANCE["fp32"]  # BF16 has 8 bits: it would be 0.01 and more


def test_openvinos_bf16_is_another_network_which_is_why_it_is_pinned(tiny_bundle, tiny_network):
    engine = load(tiny_bundle, "openvino", precision="bf16")
    images = crops(8)
    difference = np.abs(engine.logits(images) - tiny_network(images)).max()
    assert engine.report.precision == "bf16"
    assert difference < TOLERANCE["bf16"]
    if "bf16" in engine.report.layer_precisions:  # only CPUs that have it
        assert difference > 1e-3


def spoil(folder, model):
    onnx.save(model, folder / "model.fp32.onnx")


def test_more_or_fewer_logits_than_labels_are_refused(tiny_bundle, tiny_network, seal_bundle, backend):
    spoil(tiny_bundle, tiny_network.onnx(classes=6))
    seal_bundle(tiny_bundle)
    with pytest.raises(EngineError, match="7 labels") as caught:
        load(tiny_bundle, backend)
    assert caught.value.exit_code == 8


def test_a_scalar_in_the_place_of_logits_is_refused(tiny_bundle, tiny_network, seal_bundle, backend):
    model = tiny_network.onnx()
    node = onnx.helper.make_node("ReduceSum", ["rows"], ["logits"], keepdims=0)
    model.graph.node[-1].output[0] = "rows"
    model.graph.node.append(node)
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, []))
    spoil(tiny_bundle, model)
    seal_bundle(tiny_bundle)
    with pytest.raises(EngineError, match="7 labels"):
        load(tiny_bundle, backend)


def test_an_output_of_another_name_is_refused(tiny_bundle, tiny_network, seal_bundle, backend):
    spoil(tiny_bundle, tiny_network.onnx(output="scores"))
    seal_bundle(tiny_bundle)
    with pytest.raises(EngineError, match="logits"):
        load(tiny_bundle, backend)


def test_an_input_of_another_name_is_refused(tiny_bundle, seal_bundle, backend):
    seal_bundle(tiny_bundle, inputs=[{"kind": "crop", "tensor": "face", "dtype": "uint8", "shape": [96, 96]}])
    with pytest.raises(EngineError, match="face"):
        load(tiny_bundle, backend)


@pytest.mark.parametrize("data", [b"", b"no network", b"\x08\x08"], ids=["empty", "text", "a header only"])
def test_a_file_that_is_no_network_is_refused_by_name(tiny_bundle, seal_bundle, backend, data):
    (tiny_bundle / "model.fp32.onnx").write_bytes(data)
    seal_bundle(tiny_bundle)
    with pytest.raises(EngineError, match=r"model\.fp32\.onnx") as caught:
        load(tiny_bundle, backend)
    assert caught.value.hint


def test_a_network_cut_in_the_middle_is_refused(tiny_bundle, seal_bundle, backend):
    model = tiny_bundle / "model.fp32.onnx"
    model.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    seal_bundle(tiny_bundle)
    with pytest.raises(EngineError, match=r"model\.fp32\.onnx"):
        load(tiny_bundle, backend)


def test_crops_of_another_size_are_an_engine_error(tiny_bundle, backend):
    with pytest.raises(EngineError, match=r"\(1, 48, 48\)"):
        load(tiny_bundle, backend).logits(np.zeros((1, 48, 48), np.uint8))


@pytest.mark.parametrize(
    ("faces", "sizes"), [(1, [1]), (3, [2, 1]), (7, [4, 2, 1]), (8, [8]), (22, [8, 8, 4, 2])]
)
def test_openvinos_calls_are_made_up_of_a_few_fixed_batch_sizes(faces, sizes):
    assert call_sizes(faces) == sizes


def test_a_batch_size_is_compiled_when_it_is_first_needed_and_kept(tiny_bundle):
    engine = load(tiny_bundle, "openvino")
    assert set(engine._graph._compiled) == {1}
    for count in (5, 5, 4, 1):
        engine.logits(crops(count))
    assert set(engine._graph._compiled) == {1, 4}
