from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.deploy import DeployedNetwork
from export.onnx_graph import write_onnx
from export.parity import ParityError, check_parity, compare
from export.tolerances import PARITY


@pytest.fixture(scope="module")
def model(deployed: DeployedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parity") / "model.onnx"
    write_onnx(deployed, path, size_px=96, metadata={})
    return path


def test_both_engines_give_the_logits_of_torch(
    deployed: DeployedNetwork, model: Path, probes: dict[str, np.ndarray]
) -> None:
    results = check_parity(deployed, model, probes)
    assert [(r.hop, r.data) for r in results] == [
        ("torch → onnxruntime", "faces"),
        ("torch → onnxruntime", "noise"),
        ("onnxruntime → openvino", "faces"),
        ("onnxruntime → openvino", "noise"),
    ]
    assert all(0 <= r.difference <= 1e-4 for r in results)


def test_a_broken_graph_is_named_with_hop_and_logit(
    deployed: DeployedNetwork, model: Path, probes: dict[str, np.ndarray], tmp_path: Path
) -> None:
    broken = onnx.load(model)
    gemm = next(n for n in broken.graph.node if n.output[0] == "logits")
    bias = next(i for i in broken.graph.initializer if i.name == gemm.input[2])
    values = numpy_helper.to_array(bias).copy()
    values[4] += 0.5
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    onnx.save(broken, tmp_path / "broken.onnx")
    with pytest.raises(
        ParityError, match=r"torch → onnxruntime changes a logit by 0\.5 .* on faces, batch 1"
    ) as found:
        check_parity(deployed, tmp_path / "broken.onnx", probes)
    assert found.value.logit == 4
    assert found.value.difference == pytest.approx(0.5, abs=1e-3)
    assert found.value.hint


def test_a_fault_that_only_batches_show_is_found_at_its_row() -> None:
    def wrong_above_one(crops: np.ndarray) -> np.ndarray:
        logits = np.zeros((len(crops), 7), np.float32)
        if len(crops) > 1:
            logits[1, 2] = -1.2
        return logits

    right = lambda crops: np.zeros((len(crops), 7), np.float32)  # noqa: E731
    crops = np.zeros((8, 96, 96), np.uint8)
    assert compare("a → b", "zeros", right, wrong_above_one, crops, 1, 1e-4) == 0
    with pytest.raises(ParityError) as found:
        compare("a → b", "zeros", right, wrong_above_one, crops, 3, 1e-4)
    assert (found.value.batch, found.value.row, found.value.logit) == (3, 1, 2)
    assert found.value.difference == pytest.approx(1.2)


def test_a_logit_that_is_no_number_is_a_fault() -> None:
    right = lambda crops: np.zeros((len(crops), 2), np.float32)  # noqa: E731
    broken = lambda crops: np.full((len(crops), 2), np.nan, np.float32)  # noqa: E731
    with pytest.raises(ParityError, match="inf"):
        compare("a → b", "zeros", right, broken, np.zeros((1, 96, 96), np.uint8), 1, 1e-4)


@pytest.mark.parametrize("excess", [0.9, 1.1], ids=["within", "beyond"])
@pytest.mark.parametrize("name", sorted(PARITY))
def test_the_tolerance_is_the_limit(name: str, excess: float) -> None:
    limit = PARITY[name]
    right = lambda crops: np.zeros((len(crops), 1), np.float32)  # noqa: E731
    off = lambda crops: np.full((len(crops), 1), excess * limit, np.float32)  # noqa: E731
    crops = np.zeros((1, 4, 4), np.uint8)
    if excess > 1:
        with pytest.raises(ParityError):
            compare("a → b", "zeros", right, off, crops, 1, limit)
    else:
        assert compare("a → b", "zeros", right, off, crops, 1, limit) == pytest.approx(
            excess * limit, rel=1e-5
        )


@pytest.mark.parametrize(("reach", "fails"), [(4.0, True), (40.0, False)], ids=["to 4", "to 40"])
def test_the_tolerance_grows_with_logits_above_four(reach: float, fails: bool) -> None:
    right = lambda crops: np.full((len(crops), 1), reach)  # noqa: E731
    off = lambda crops: right(crops) + 5e-4  # noqa: E731
    crops = np.zeros((1, 4, 4), np.uint8)
    if fails:
        with pytest.raises(ParityError):
            compare("a → b", "zeros", right, off, crops, 1, 1e-4)
    else:
        assert compare("a → b", "zeros", right, off, crops, 1, 1e-4) == pytest.approx(5e-4)
