"""Two graphs as one engine: both backends give what numpy gives, cached and at once; the contract is held."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from sequence_bundles import ENCODER, FRAMES, HEAD, TinySequence, draw, seal_sequence, write_sequence_bundle

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleError, BundleInaccurateError, EngineError
from edge_runtime.inference.moment import one_moment, repeated
from edge_runtime.inference.opening import open_engine
from edge_runtime.inference.shared_engine import SharedEngine
from edge_runtime.inference.trials import try_variants

BACKENDS = ("onnxruntime", "openvino")


@pytest.fixture(params=[False, True], ids=["crops alone", "with landmarks"])
def network(request):
    return TinySequence.drawn(landmarks=request.param)


@pytest.fixture
def folder(tmp_path, network):
    return write_sequence_bundle(tmp_path / "tiny", network)


def opened(folder, backend):
    return open_engine(open_bundle(folder), InferenceSection(backend=backend)).engine


def given_of(network, distances):
    return {} if network.mix is None else {"landmark_distances": distances}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", [1, 3, 8])
def test_logits_of_whole_sequences_are_those_of_numpy(folder, network, backend, count):
    crops, distances = draw(count, seed=2)
    given = given_of(network, distances)
    engine = opened(folder, backend)
    logits, dimensions = engine.outputs(crops, given)
    wanted = network.logits(crops, *given.values())
    np.testing.assert_allclose(logits, wanted, atol=1e-4)
    np.testing.assert_allclose(dimensions, np.tanh(wanted[:, :2]), atol=1e-4)
    np.testing.assert_array_equal(engine.logits(crops, given), logits)


@pytest.mark.parametrize("backend", BACKENDS)
def test_features_that_are_kept_give_what_the_whole_sequence_gives(folder, network, backend):
    crops, distances = draw(5, seed=3)
    engine = opened(folder, backend)
    frames = [
        engine.encode(
            np.ascontiguousarray(crops[:, frame]),
            {kind: rows[:, frame] for kind, rows in given_of(network, distances).items()},
        )
        for frame in range(FRAMES)
    ]
    cached, _ = engine.head(np.stack(frames, axis=1))
    np.testing.assert_allclose(cached, engine.logits(crops, given_of(network, distances)), atol=1e-5)


def test_every_variant_is_tried_by_what_one_new_frame_costs(folder):
    bundle = open_bundle(folder)
    for trial in try_variants(bundle):
        assert trial.result == "ok", trial.problem
        assert trial.golden_difference < 1e-4
        assert trial.ms_per_face > 0


def test_a_moment_costs_one_new_frame_and_a_head(folder):
    engine, calls = opened(folder, "onnxruntime"), []

    class Counted:
        report = engine.report

        def encode(self, crops, given=None):
            calls.append(("encode", len(crops)))
            return engine.encode(crops, given or {})

        def head(self, sequences):
            calls.append(("head", len(sequences)))
            return engine.head(sequences)

    moment = one_moment(Counted(), *repeated(open_bundle(folder).golden, 4))
    calls.clear()
    moment()
    assert calls == [("encode", 4), ("head", 4)]


def test_cameras_share_an_engine_of_sequences(folder, network):
    choice = open_engine(open_bundle(folder), InferenceSection())
    shared = SharedEngine(choice, max_batch=8)
    crops, distances = draw(2, seed=4)
    given = given_of(network, distances)
    flat = {kind: rows.reshape(-1, rows.shape[-1]) for kind, rows in given.items()}
    features = shared.encode(crops.reshape(-1, *crops.shape[2:]), flat)
    logits, dimensions = shared.head(features.reshape(2, FRAMES, -1))
    np.testing.assert_array_equal(logits, choice.engine.logits(crops, given))
    assert dimensions.shape == (2, 2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("file", "model", "problem"),
    [
        pytest.param(
            ENCODER, TinySequence.encoder_onnx, "the bundle has 10 features of a frame", id="encoder"
        ),
        pytest.param(
            HEAD, TinySequence.head_onnx, "sequence|shape|Reshape|compile|INVALID|loaded", id="head"
        ),
    ],
)
def test_a_graph_of_another_feature_length_is_refused(tmp_path, backend, file, model, problem):
    wide, narrow = TinySequence.drawn(landmarks=True), TinySequence.drawn()
    folder = write_sequence_bundle(tmp_path / "tiny", wide)
    if file == ENCODER:  # as many inputs, fewer features
        spoilt = model(wide)
        spoilt.graph.node[-1].input.pop()
        spoilt.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8
    else:
        spoilt = model(narrow)
    onnx.save(spoilt, folder / file)
    seal_sequence(folder, wide)
    with pytest.raises(EngineError, match=problem):
        opened(folder, backend)


def test_a_head_that_is_wrong_is_found_by_the_goldens(tmp_path):
    network = TinySequence.drawn()
    folder = write_sequence_bundle(tmp_path / "tiny", network)
    onnx.save(TinySequence.drawn(seed=12).head_onnx(), folder / HEAD)
    seal_sequence(folder, network)
    with pytest.raises(BundleInaccurateError):
        opened(folder, "onnxruntime")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(
            lambda document: document.pop("sequence"), "sequence and head come together", id="no sequence"
        ),
        pytest.param(
            lambda document: document["variants"][0].pop("head"), "head and head_precision", id="half a head"
        ),
        pytest.param(
            lambda document: [document["variants"][1].pop(key) for key in ("head", "head_precision")],
            "sequence and head come together",
            id="a variant without a head",
        ),
        pytest.param(
            lambda document: document["variants"][0].update(head="../head.onnx"),
            "not a file inside",
            id="outside",
        ),
        pytest.param(
            lambda document: document["variants"][0].update(head="other.onnx"),
            "without a digest",
            id="unlisted",
        ),
        pytest.param(lambda document: document["sequence"].update(stride_s=0), "stride_s", id="no stride"),
        pytest.param(lambda document: document["sequence"].update(frames=1), "frames", id="one frame"),
        pytest.param(
            lambda document: document["sequence"].update(frames=FRAMES + 1),
            "golden.npz holds crops",
            id="goldens",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(folder, spoil, problem):
    document = json.loads((folder / "bundle.json").read_text("utf-8"))
    spoil(document)
    (folder / "bundle.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(BundleError, match=problem):
        open_bundle(folder)


def test_landmark_distances_belong_to_sequences_and_to_their_goldens(tmp_path):
    network = TinySequence.drawn(landmarks=True)
    folder = write_sequence_bundle(tmp_path / "tiny", network)
    crops, _ = draw(3, seed=1)
    np.savez(folder / "golden.npz", crops=crops, logits=np.zeros((3, 7), np.float32), tolerance_fp32=1e-3)
    seal_sequence(folder, network)
    with pytest.raises(BundleError, match="landmark_distances"):
        open_bundle(folder)


def test_a_bundle_without_a_sequence_is_written_as_before(tiny_bundle):
    text = (tiny_bundle / "bundle.json").read_text("utf-8")
    assert open_bundle(tiny_bundle).manifest.to_json() == text
    assert "sequence" not in text
    assert "head" not in text
