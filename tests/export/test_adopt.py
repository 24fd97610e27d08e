import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleError, ConfigurationError
from edge_runtime.inference.classifier import softmax
from edge_runtime.inference.opening import open_engine
from export.adopt import Adoption, adopt
from export.contract import read_contract
from export.foreign import AdoptionError, read_foreign
from export.foreign_parity import check_adopted_parity
from export.parity import ParityError
from export.probes import rendered_faces

MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"
LABELS = '["sad", "happy", "neutral"]'
CONTRACT = """
name = "{name}"
labels = {labels}
trained_on = "rendered faces"
[input]
size_px = {size}
channels = {channels}
layout = "{layout}"
scale = 0.5
offset = -3.0
[output]
values = "probabilities"
"""


def write_contract(folder: Path, **changes: object) -> Path:
    values = {"name": "foreign", "labels": LABELS, "size": 48, "channels": 1, "layout": "NCHW"} | changes
    path = folder / "contract.toml"
    path.write_text(CONTRACT.format(**values))
    return path


def foreign(shape: list[object], *, domain: str = "", opset: int = 13) -> onnx.ModelProto:
    """Means over rows of the first channel's first 3 rows → softmax: what it gives can be worked out by hand."""
    axis = 1 if shape[-1] != 3 else 3
    nodes = [
        helper.make_node("ReduceMean", ["face"], ["plane"], "mean", axes=[axis], keepdims=0),
        helper.make_node("ReduceMean", ["plane"], ["rows"], "rows", axes=[2], keepdims=0),
        helper.make_node("Gemm", ["rows", "weights"], ["scores"], "gemm"),
        helper.make_node("Softmax", ["scores"], ["shares"], "softmax", axis=1, domain=domain),
    ]
    size = 48
    weights = np.zeros((size, 3), np.float32)
    weights[[4, 20, 40], [0, 1, 2]] = 0.02
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, [shape[0], 3])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        (["batch", 1, 48, 48], {}),
        (["batch", 3, 48, 48], {"channels": 3}),
        (["batch", 48, 48, 3], {"channels": 3, "layout": "NHWC"}),
    ],
    ids=["grey", "colour", "channels last"],
)
def test_what_the_bundle_says_is_what_the_network_says_of_a_scaled_face(
    shape: list[object], changes: dict[str, object], tmp_path: Path
) -> None:
    onnx.save(foreign(shape), tmp_path / "foreign.onnx")
    found = adopt(tmp_path / "foreign.onnx", write_contract(tmp_path, **changes), tmp_path / "bundle")
    crops = np.random.default_rng(0).integers(0, 256, (3, 96, 96), np.uint8)
    logits = open_engine(found.bundle, InferenceSection()).engine.logits(crops)
    # Halving a picture bilinearly averages each 2×2 pixels.
    small = crops.astype(np.float64).reshape(3, 48, 2, 48, 2).mean(axis=(2, 4))
    scores = 0.02 * (0.5 * small.mean(axis=2) - 3)[:, [4, 20, 40]]
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert softmax(logits, 1.0) == pytest.approx(shares, abs=1e-4)


def adopted_from(folder: Path, model: onnx.ModelProto, **changes: object) -> Adoption:
    onnx.save(model, folder / "foreign.onnx")
    return adopt(folder / "foreign.onnx", write_contract(folder, **changes), folder / "bundle")


@pytest.mark.parametrize(
    ("model", "changes", "problem"),
    [
        (foreign(["batch", 1, 48, 48]), {"labels": '["sad", "happy"]'}, "the contract wants a batch of"),
        (foreign(["batch", 1, 48, 48]), {"size": 64}, "the contract wants a batch of"),
        (foreign([1, 1, 48, 48]), {}, "has a fixed batch of 1"),
        (foreign(["batch", 1, 48, 48], domain="acme"), {}, "acme::Softmax"),
        (foreign(["batch", 1, 48, 48], opset=11), {}, "opset 11"),
    ],
    ids=["labels", "size", "fixed batch", "custom operator", "old opset"],
)
def test_a_network_that_does_not_fit_is_refused_and_leaves_nothing(
    model: onnx.ModelProto, changes: dict[str, object], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(AdoptionError, match=problem):
        adopted_from(tmp_path, model, **changes)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["contract.toml", "foreign.onnx"]


def with_inner(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """`foreign` with nodes between `rows` and `inner`, which its matrix takes."""
    model = foreign(["batch", 1, 48, 48])
    model.graph.node[2].input[0] = "inner"
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*kept[:2], *nodes, *kept[2:]])
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return model


def with_a_foreign_branch() -> onnx.ModelProto:
    branches = [
        helper.make_graph(
            [helper.make_node(operator, ["rows"], [operator], domain=domain)],
            operator,
            [],
            [helper.make_tensor_value_info(operator, TensorProto.FLOAT, None)],
        )
        for operator, domain in (("Magic", "acme"), ("Identity", ""))
    ]
    choice = helper.make_node("If", ["sure"], ["inner"], then_branch=branches[0], else_branch=branches[1])
    return with_inner(choice, sure=np.array(True))


def of_type(kind: int, *, shape: list[object] | None) -> onnx.ModelProto:
    model = foreign(["batch", 1, 48, 48])
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("face", kind, shape))
    return model


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (with_a_foreign_branch(), "not ONNX's own: acme::Magic"),
        (of_type(TensorProto.FLOAT16, shape=["batch", 1, 48, 48]), "its input face is FLOAT16; FLOAT is"),
        (of_type(TensorProto.FLOAT, shape=None), "its input face has no shape"),
        (
            with_inner(helper.make_node("Reshape", ["rows", "row"], ["inner"]), row=np.array([1, 48])),
            r"fails on \d+ faces in one call: The input tensor cannot be reshaped to the requested shape",
        ),
        (
            with_inner(
                helper.make_node("ReduceMean", ["rows"], ["all"], axes=[0], keepdims=1),
                helper.make_node("Sub", ["rows", "all"], ["inner"]),
            ),
            "gives a face other logits when other faces are in the call",
        ),
        (
            with_inner(
                helper.make_node("Sub", ["rows", "much"], ["less"]),
                helper.make_node("Log", ["less"], ["inner"]),
                much=np.array(1e3, np.float32),
            ),
            "gives values that are no numbers for",
        ),
    ],
    ids=["custom operator inside", "float16", "no shape", "batch fixed inside", "faces mixed", "no number"],
)
def test_a_network_that_no_device_could_rely_on_is_refused(
    model: onnx.ModelProto, problem: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AdoptionError, match=problem) as error:
        adopted_from(tmp_path, model)
    assert error.value.hint
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["contract.toml", "foreign.onnx"]
    assert capfd.readouterr() == ("", "")


def test_the_graph_says_whose_network_it_is(tmp_path: Path) -> None:
    found = adopted_from(tmp_path, foreign(["batch", 1, 48, 48]))
    model = onnx.load(found.bundle.path("model.fp32.onnx"))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert (metadata["name"], metadata["labels"]) == ("foreign", "sad happy neutral")
    assert metadata["adopted_sha256"] == found.bundle.manifest.provenance["adopted_sha256"]


def test_the_formats_are_compared_on_given_faces_too_and_an_ir_keeps_what_the_graph_says(
    tmp_path: Path,
) -> None:
    data = tmp_path / "faces.npz"
    np.savez(
        data, images=rendered_faces(6, np.random.default_rng(0)), labels=np.arange(6), split=np.ones(6, int)
    )
    onnx.save(foreign(["batch", 1, 48, 48]), tmp_path / "foreign.onnx")
    found = adopt(tmp_path / "foreign.onnx", write_contract(tmp_path), tmp_path / "bundle", data=data)
    assert {hop.data for hop in found.parity} == {"rendered faces", "noise", "faces of faces.npz"}
    openvino.save_model(openvino.Core().read_model(found.bundle.path("model.fp32.onnx")), tmp_path / "ir.xml")
    ir = openvino.Core().read_model(tmp_path / "ir.xml")
    assert ir.get_rt_info(["framework", "labels"]).value == "sad happy neutral"
    assert (
        ir.get_rt_info(["framework", "adopted_sha256"]).value
        == (found.bundle.manifest.provenance["adopted_sha256"])
    )


def test_a_failed_parity_names_the_value_where_it_begins(tmp_path: Path) -> None:
    found = adopted_from(tmp_path, foreign(["batch", 1, 48, 48]))
    network = found.bundle.path("model.fp32.onnx")
    broken = onnx.load(network)
    (gemm,) = (node for node in broken.graph.node if node.op_type == "Gemm")
    weights = next(tensor for tensor in broken.graph.initializer if tensor.name == gemm.input[1])
    turned = numpy_helper.to_array(weights)[:, ::-1]
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(turned), weights.name))
    onnx.save(broken, network)
    file, contract = tmp_path / "foreign.onnx", read_contract(tmp_path / "contract.toml")
    crops = np.random.default_rng(0).integers(0, 256, (3, 96, 96), np.uint8)
    with pytest.raises(
        ParityError, match=r"original → onnxruntime .*; it begins at Gemm → adopted/scores"
    ) as error:
        check_adopted_parity(file, read_foreign(file, contract), contract, network, {"noise": crops})
    assert error.value.exit_code == 14


def test_external_data_that_is_missing_is_named(tmp_path: Path) -> None:
    onnx.save(
        foreign(["batch", 1, 48, 48]),
        tmp_path / "foreign.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(AdoptionError, match=r"its external data is missing: .*weights\.bin"):
        adopt(tmp_path / "foreign.onnx", write_contract(tmp_path), tmp_path / "bundle")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99], ids=["empty", "half", "end cut off"])
def test_a_truncated_network_is_named(share: float, tmp_path: Path) -> None:
    data = foreign(["batch", 1, 48, 48]).SerializeToString()
    (tmp_path / "foreign.onnx").write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        AdoptionError, match=r"foreign\.onnx: cannot be read as an ONNX network of \d+ bytes"
    ) as found:
        adopt(tmp_path / "foreign.onnx", write_contract(tmp_path), tmp_path / "bundle")
    assert "is it whole?" in found.value.hint
    assert not (tmp_path / "bundle").exists()


def test_probabilities_that_the_contract_calls_logits_are_refused(tmp_path: Path) -> None:
    onnx.save(foreign(["batch", 1, 48, 48]), tmp_path / "foreign.onnx")
    contract = write_contract(tmp_path)
    contract.write_text(contract.read_text().replace('values = "probabilities"', 'values = "logits"'))
    with pytest.raises(AdoptionError, match="the outputs are probabilities: each row sums to 1"):
        adopt(tmp_path / "foreign.onnx", contract, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"labels": '["sad", "puzzled", "neutral"]'}, "puzzled"),
        ({"name": "No Name"}, "name"),
        ({"channels": 2}, "channels"),
    ],
    ids=["unknown label", "name", "channels"],
)
def test_a_contract_with_faults_is_refused(changes: dict[str, object], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        adopted_from(tmp_path, foreign(["batch", 1, 48, 48]), **changes)


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from export import adopt

adopt.write_manifest = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
adopt.adopt(*map(Path, sys.argv[1:]))
"""


def test_power_that_goes_at_the_last_moment_leaves_nothing_that_opens(tmp_path: Path) -> None:
    onnx.save(foreign(["batch", 1, 48, 48]), tmp_path / "foreign.onnx")
    contract, bundle = write_contract(tmp_path), tmp_path / "bundle"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, tmp_path / "foreign.onnx", contract, bundle],
        check=False,
        capture_output=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = [entry for entry in tmp_path.iterdir() if entry.is_dir()]
    assert (left / "model.fp32.onnx").is_file()  # it was as good as done
    with pytest.raises(BundleError, match=r"an interrupted export leaves none|bundle\.json cannot be read"):
        open_bundle(left)
    assert not bundle.exists()
    adopt(tmp_path / "foreign.onnx", contract, bundle)  # the same command can be given again, and tidies up
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == ["bundle"]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "changes", "parameters"),
    [
        ("fer2013_mini_XCEPTION.102-0.66.onnx", {"size": 64}, 58_000),
        ("face_api_expression.onnx", {"size": 112, "channels": 3}, 320_000),
    ],
    ids=["mini_XCEPTION", "face-api.js"],
)
def test_published_networks_are_adopted(
    file: str, changes: dict[str, object], parameters: int, tmp_path: Path
) -> None:
    if not (MODELS / file).is_file():
        pytest.skip(f"{MODELS / file} is not here")
    labels = '["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]'
    found = adopt(MODELS / file, write_contract(tmp_path, labels=labels, **changes), tmp_path / "bundle")
    assert found.bundle.manifest.architecture.parameters == pytest.approx(parameters, rel=0.1)
    assert {check.report.backend for check in found.variants} == {"onnxruntime", "openvino"}
