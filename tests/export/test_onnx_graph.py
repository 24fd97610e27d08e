from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from export.deploy import DeployedNetwork
from export.onnx_graph import GraphFacts, write_onnx

METADATA = {"name": "tiny", "labels": "angry disgust"}


@pytest.fixture(scope="module")
def written(deployed: DeployedNetwork, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GraphFacts]:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    return path, write_onnx(deployed, path, size_px=96, metadata=METADATA)


def test_takes_bytes_of_any_batch_and_gives_logits(written: tuple[Path, GraphFacts]) -> None:
    graph = onnx.load(written[0], load_external_data=False).graph
    (crop,), (logits,) = graph.input, graph.output
    assert (crop.name, crop.type.tensor_type.elem_type) == ("crop", onnx.TensorProto.UINT8)
    assert [d.dim_param or d.dim_value for d in crop.type.tensor_type.shape.dim] == ["batch", 96, 96]
    assert logits.name == "logits"
    assert [d.dim_param or d.dim_value for d in logits.type.tensor_type.shape.dim] == ["batch", 7]


def test_is_one_file_that_states_its_contract(written: tuple[Path, GraphFacts]) -> None:
    path, facts = written
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    model = onnx.load(path, load_external_data=False)
    assert {prop.key: prop.value for prop in model.metadata_props} == METADATA
    assert model.opset_import[0].version == facts.opset == 20
    assert facts.size_bytes == path.stat().st_size


def test_holds_no_trace_of_the_machine_that_wrote_it(
    written: tuple[Path, GraphFacts], repository: Path
) -> None:
    data = written[0].read_bytes()
    assert str(repository).encode() not in data
    assert b"stack_trace" not in data


def test_folds_every_batch_norm_that_follows_a_convolution_or_a_linear_layer(
    written: tuple[Path, GraphFacts],
) -> None:
    graph = onnx.load(written[0]).graph
    maker = {output: node.op_type for node in graph.node for output in node.output}
    norms = [node for node in graph.node if node.op_type == "BatchNormalization"]
    assert {maker[node.input[0]] for node in norms} <= {"Add"}  # after the sum of three convolutions


def test_writes_the_same_bytes_again(
    written: tuple[Path, GraphFacts], deployed: DeployedNetwork, tmp_path: Path
) -> None:
    again = tmp_path / "again.onnx"
    write_onnx(deployed, again, size_px=96, metadata=METADATA)
    assert again.read_bytes() == written[0].read_bytes()


@pytest.mark.parametrize("batch", [1, 2, 3, 17], ids="batch {}".format)
def test_runs_at_batches_it_was_not_traced_with(written: tuple[Path, GraphFacts], batch: int) -> None:
    session = onnxruntime.InferenceSession(written[0])
    (logits,) = session.run(["logits"], {"crop": np.zeros((batch, 96, 96), np.uint8)})
    assert logits.shape == (batch, 7)
