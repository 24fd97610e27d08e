from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.deploy import DeployedNetwork
from export.first_difference import (
    first_difference,
    onnxruntime_values,
    openvino_values,
    torch_values,
)
from export.onnx_graph import write_onnx
from export.parity import ParityError, check_parity


@pytest.fixture(scope="module")
def model(deployed: DeployedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("values") / "model.onnx"
    write_onnx(deployed, path, size_px=96, metadata={})
    return path


@pytest.fixture
def broken(model: Path, tmp_path: Path) -> tuple[Path, str]:
    """The seventh convolution with one kernel turned round, and what that convolution gives."""
    network = onnx.load(model)
    node = [node for node in network.graph.node if node.op_type == "Conv"][6]
    weights = next(tensor for tensor in network.graph.initializer if tensor.name == node.input[1])
    values = numpy_helper.to_array(weights).copy()
    values[2] = -values[2]
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    path = tmp_path / "broken.onnx"
    onnx.save(network, path)
    return path, node.output[0]


@pytest.fixture
def crops(probes: dict[str, np.ndarray]) -> np.ndarray:
    return probes["faces"][:3]


def test_the_three_formats_agree_on_every_value_inside(
    deployed: DeployedNetwork, model: Path, crops: np.ndarray
) -> None:
    by_torch = torch_values(deployed, crops)
    by_onnxruntime = onnxruntime_values(model, {"crop": crops})
    by_openvino = openvino_values(model, {"crop": crops})
    assert len(by_torch.keys() & by_onnxruntime.keys()) > 0.8 * len(by_onnxruntime)  # the look sees enough
    assert by_openvino.keys() == by_onnxruntime.keys()
    assert first_difference(model, by_torch, by_onnxruntime) is None
    assert first_difference(model, by_onnxruntime, by_openvino) is None


def test_a_turned_kernel_is_found_at_its_convolution(
    deployed: DeployedNetwork, model: Path, broken: tuple[Path, str], crops: np.ndarray
) -> None:
    file, name = broken
    for wanted, found in (
        (torch_values(deployed, crops), onnxruntime_values(file, {"crop": crops})),
        (onnxruntime_values(model, {"crop": crops}), openvino_values(file, {"crop": crops})),
    ):
        first = first_difference(model, wanted, found)
        assert first is not None
        assert (first.operator, first.value) == ("Conv", name)
        assert first.difference > 1e-2 * first.largest


def test_a_failed_parity_names_the_value_where_it_begins(
    deployed: DeployedNetwork, broken: tuple[Path, str], probes: dict[str, np.ndarray]
) -> None:
    file, name = broken
    with pytest.raises(ParityError, match=f"torch → onnxruntime .*; it begins at Conv → {name} "):
        check_parity(deployed, file, probes)
