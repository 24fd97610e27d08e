"""A network that measures valence, arousal and dominance itself: through both engines, into the window."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import open_bundle
from edge_runtime.config import Config, InferenceSection
from edge_runtime.errors import BundleError
from edge_runtime.frames.simulation.classroom import SimulatedClassroom
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.opening import open_engine
from edge_runtime.room.aggregation import WindowAggregator

MEASURED = (("valence_arousal", (0, 2)), ("dominance", (2, 3)))  # kind → columns of the logits, through tanh


def spec(kind, width):
    return {"kind": kind, "tensor": kind, "dtype": "float32", "shape": [width]}


@pytest.fixture
def measuring_bundle(tiny_bundle, seal_bundle):
    """The tiny bundle with two outputs more: tanh of its first three logits."""
    model = onnx.load(tiny_bundle / "model.fp32.onnx")
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    model.graph.initializer.append(axes)
    for kind, (first, end) in MEASURED:
        for name, value in ((f"{kind}_first", first), (f"{kind}_end", end)):
            model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [value]))
        inputs = ["logits", f"{kind}_first", f"{kind}_end", "axes"]
        model.graph.node.append(helper.make_node("Slice", inputs, [f"{kind}_raw"]))
        model.graph.node.append(helper.make_node("Tanh", [f"{kind}_raw"], [kind]))
        model.graph.output.append(helper.make_tensor_value_info(kind, TensorProto.FLOAT, ["N", end - first]))
    onnx.checker.check_model(model)
    onnx.save(model, tiny_bundle / "model.fp32.onnx")
    outputs = [spec("logits", 7), spec("valence_arousal", 2), spec("dominance", 1)]
    return seal_bundle(tiny_bundle, outputs=outputs)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_both_engines_give_what_the_network_measures(measuring_bundle, tiny_network, backend):
    bundle = open_bundle(measuring_bundle)
    assert bundle.manifest.dimensions == ("valence", "arousal", "dominance")
    crops = np.random.default_rng(3).integers(0, 256, (5, 96, 96), np.uint8)
    engine = open_engine(bundle, InferenceSection(backend=backend)).engine
    classifier = Classifier(engine, temperature=1.5, classes=7, max_batch=2, dimensions=3)
    probabilities, dimensions = classifier.read(crops)
    np.testing.assert_allclose(dimensions, np.tanh(tiny_network(crops)[:, :3]), atol=1e-4)
    np.testing.assert_array_equal(probabilities, classifier.probabilities(crops))
    assert classifier.read(crops[:0])[1].shape == (0, 3)


def test_a_bundle_without_them_measures_nothing(tiny_bundle):
    assert open_bundle(tiny_bundle).manifest.dimensions == ()


@pytest.mark.parametrize(("kind", "width"), [("valence_arousal", 3), ("dominance", 2)])
def test_an_output_of_another_width_is_a_fault_of_the_bundle(tiny_bundle, kind, width):
    manifest = open_bundle(tiny_bundle).manifest
    outputs = [item.model_dump(mode="json") for item in manifest.outputs] + [spec(kind, width)]
    document = manifest.model_dump(mode="json", by_alias=True, exclude_none=True) | {"outputs": outputs}
    (tiny_bundle / "bundle.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(BundleError, match=f"the output {kind} has the shape"):
        open_bundle(tiny_bundle)


class Row:
    valence, arousal, dominance = 0.8, 0.5, None


def test_what_is_measured_stands_above_the_label_table_and_is_a_mean_over_people():
    room = WindowAggregator(
        [Row(), Row()], window_s=10.0, min_track_s=0.0, dimensions=("valence", "arousal", "dominance")
    )
    both, first = np.array([1, 2], np.int64), np.array([1], np.int64)
    ones = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    room.observe_frame(0.0, 2)
    room.observe_probabilities(
        0.0, both, np.array([5.0, 5.0]), ones, np.array([[0.6, 0.1, -0.2], [-0.4, 0.3, 0.4]], np.float32)
    )
    room.observe_frame(1.0, 1)
    room.observe_probabilities(1.0, first, np.array([6.0]), ones[:1], np.array([[0.2, 0.1, 0.0]], np.float32))
    window = room.flush()
    # Person 1: means of two moments, (0.4, 0.1, -0.1); person 2: (-0.4, 0.3, 0.4).
    assert (window.valence, window.arousal, window.dominance) == pytest.approx((0.0, 0.2, 0.15), abs=1e-6)
    assert window.intensity == pytest.approx(np.hypot(0.8, 0.5))  # of the table, whatever is measured


def test_a_window_of_a_measuring_bundle_tells_what_was_measured(measuring_bundle):
    bundle = open_bundle(measuring_bundle)
    config = Config.model_validate({"room": {"min_track_s": 0.0}, "inference": {"readable_width_px": 16}})
    engine = open_engine(bundle, config.inference).engine
    with (
        RoomAnalysis(config, bundle.manifest, engine) as analysis,
        SimulatedClassroom(students=4, seed=3, width=640, height=360, fps=5, seconds=2) as source,
    ):
        for _ in range(10):
            analysis.process(source.read())
        window = analysis.end()
    by_table = float(window.shares @ [label.valence for label in bundle.manifest.labels])
    assert abs(window.valence - by_table) > 0.05
    assert window.dominance is not None
    assert -1 <= window.dominance <= 1
