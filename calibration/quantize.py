"""Static INT8 with the presets that hold for these networks: ONNX Runtime's QDQ form, and NNCF on OpenVINO's IR.

Per channel, ranges by minimum and maximum, and **only convolutions and matrix products**: with either tool's
defaults, which quantize every operator they can, P2's network falls from 92 % to 17 % (its pooling exponentiates,
normalises and divides). NNCF's bias correction stays off: it cost 10 to 25 dB on every network here.

    layers = quantizable_layers(bundle.path("model.fp32.onnx"))
    recipe = Recipe(keep_float=frozenset({layers[0].node}))
    OnnxRuntimeQuantizer(source, feeds).write(out, recipe)
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from edge_runtime.bundle import Manifest
from edge_runtime.errors import EngineError, MissingExtraError
from edge_runtime.features import make_inputs
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import NOTHING, Given

Feed = dict[str, npt.NDArray[Any]]
OPERATORS: Final = ("Conv", "MatMul", "Gemm")
# The same in OpenVINO's words.
_OPENVINO_OPERATORS: Final = ("Convolution", "GroupConvolution", "MatMul")
_BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that can be quantized: its node in the graph, its operator, and the name that people know it by."""

    node: str
    operator: str
    title: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to quantize.

    Attributes:
        keep_float: nodes that stay in float.
        only: nodes that are quantized, and no others; None: all but `keep_float`.
        saturation_safe: weights of 7 bits, for CPUs whose 16-bit sums saturate (x86 without VNNI).
    """

    keep_float: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    saturation_safe: bool = False

    def chosen(self, layers: Sequence[Layer]) -> list[str]:
        """Nodes to quantize, in the order of the graph."""
        return [
            layer.node
            for layer in layers
            if layer.node not in self.keep_float and (self.only is None or layer.node in self.only)
        ]


def quantizable_layers(source: Path) -> tuple[Layer, ...]:
    """Convolutions and matrix products with constant weights, in the order of the graph.

    Raises:
        EngineError: the file is no ONNX network, or has no such layer.
    """
    model = _load_onnx(source)
    constants = {tensor.name for tensor in model.graph.initializer}
    layers = tuple(
        Layer(node.name, node.op_type, _title(node.name, weights))
        for node in model.graph.node
        if node.op_type in OPERATORS and (weights := [name for name in node.input if name in constants])
    )
    if not layers or not all(layer.node for layer in layers):
        raise EngineError(
            f"{source.name} has no named convolution or matrix product that could be quantized",
            hint="export the network again with `roomtone export`",
        )
    return layers


def feeds(manifest: Manifest, crops: Image, given: Given = NOTHING) -> list[Feed]:
    """Calibration crops as the network is fed on the device, in batches; of sequences, as their frame encoder is."""
    wanted, template = (
        [(spec.kind, spec.tensor) for spec in manifest.inputs],
        manifest.alignment.template(),
    )
    frames = crops.reshape(-1, *crops.shape[-2:])
    beside = {kind: rows.reshape(len(frames), -1) for kind, rows in given.items()}
    batches = [slice(start, start + _BATCH) for start in range(0, len(frames), _BATCH)]
    return [
        make_inputs(wanted, frames[rows], template, {kind: values[rows] for kind, values in beside.items()})
        for rows in batches
    ]


@dataclass(slots=True)
class _Reader:
    """ONNX Runtime's `CalibrationDataReader`, by its method."""

    items: Iterator[Feed]

    def get_next(self) -> Feed | None:
        return next(self.items, None)


def reader(items: Sequence[Feed]) -> Any:
    """Calibration inputs as ONNX Runtime's tools take them."""
    return _Reader(iter(items))


class OnnxRuntimeQuantizer:
    """Measures the activations' ranges once; then writes as many variants as are asked for.

    Args:
        source: the float network.
        items: calibration inputs, see `feeds`.

    Raises:
        EngineError: the network cannot be run.
        MissingExtraError: onnx is not installed.
    """

    def __init__(self, source: Path, items: Sequence[Feed]) -> None:
        quantization = onnxruntime_quantization()
        self._source, self.layers = source, quantizable_layers(source)
        with tempfile.TemporaryDirectory(prefix="roomtone-ranges-") as folder:
            try:
                calibrator = quantization.calibrate.create_calibrator(
                    source, list(OPERATORS), augmented_model_path=str(Path(folder) / "ranges.onnx")
                )
                calibrator.collect_data(reader(items))
                self._ranges = calibrator.compute_data()
            except Exception as exc:
                raise EngineError(
                    f"the ranges of {source.name} cannot be measured: {exc}",
                    hint="roomtone bundle verify says whether the network runs at all",
                ) from exc

    def write(self, out: Path, recipe: Recipe | None = None) -> None:
        """Writes one variant: QDQ, activations uint8, weights int8 per channel.

        Raises:
            EngineError: the recipe leaves nothing to quantize, or the graph cannot be written.
        """
        import onnx

        quantization, recipe = onnxruntime_quantization(), recipe or Recipe()
        nodes = recipe.chosen(self.layers)
        if not nodes:
            raise EngineError("no layer is left to quantize", hint="keep fewer layers in float")
        quantizer = quantization.QDQQuantizer(
            _load_onnx(self._source),
            per_channel=True,
            reduce_range=recipe.saturation_safe,
            weight_qType=quantization.QuantType.QInt8,
            activation_qType=quantization.QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=nodes,
            nodes_to_exclude=[],
            op_types_to_quantize=list(OPERATORS),
            extra_options={},
        )
        try:
            with quiet():
                quantizer.quantize_model()
        except Exception as exc:
            raise EngineError(f"ONNX Runtime cannot quantize {self._source.name}: {exc}") from exc
        onnx.save(quantizer.model.model, out)


class OpenVinoQuantizer:
    """NNCF on the network's IR.

    Args:
        source: the float network, as ONNX.
        items: calibration inputs, see `feeds`.

    Raises:
        MissingExtraError: OpenVINO or NNCF is not installed.
    """

    def __init__(self, source: Path, items: Sequence[Feed]) -> None:
        self._source, self._items = source, items
        self.layers = quantizable_layers(source)
        nncf_module()

    def write(self, out: Path, recipe: Recipe | None = None) -> None:
        """Writes `out` (.xml) and its weights beside it (.bin).

        Raises:
            EngineError: the recipe leaves nothing to quantize, or NNCF cannot quantize the network.
        """
        import openvino

        nncf, recipe = nncf_module(), recipe or Recipe()
        chosen = set(recipe.chosen(self.layers))
        if not chosen:
            raise EngineError("no layer is left to quantize", hint="keep fewer layers in float")
        model = openvino.Core().read_model(self._source)
        operations = model.get_ordered_ops()
        kept = [
            operation.get_friendly_name()
            for operation in operations
            if operation.get_type_name() in _OPENVINO_OPERATORS
            and operation.get_friendly_name().removesuffix("/WithoutBiases") not in chosen
        ]
        others = sorted({operation.get_type_name() for operation in operations} - set(_OPENVINO_OPERATORS))
        fix = nncf.OverflowFix.ENABLE if recipe.saturation_safe else nncf.OverflowFix.DISABLE
        ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
        try:
            with quiet():
                quantized = nncf.quantize(
                    model,
                    nncf.Dataset(self._items),
                    subset_size=len(self._items),
                    ignored_scope=nncf.IgnoredScope(names=kept, types=others, validate=False),
                    advanced_parameters=nncf.AdvancedQuantizationParameters(
                        overflow_fix=fix,
                        disable_bias_correction=True,
                        activations_range_estimator_params=ranges,
                        weights_range_estimator_params=ranges,
                    ),
                )
        except Exception as exc:
            raise EngineError(f"NNCF cannot quantize {self._source.name}: {exc}") from exc
        out.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(quantized, out, compress_to_fp16=False)


def _title(node: str, weights: Sequence[str]) -> str:
    return weights[0].removesuffix(".weight").removeprefix("network.") if weights else node


def _load_onnx(source: Path) -> Any:
    try:
        import onnx
    except ModuleNotFoundError as exc:
        raise MissingExtraError("onnx", "calibrate") from exc
    try:
        return onnx.load(source)
    except Exception as exc:
        raise EngineError(
            f"{source.name} cannot be read as ONNX: {exc}", hint="export the bundle again"
        ) from exc


def onnxruntime_quantization() -> Any:
    """ONNX Runtime's quantization tools.

    Raises:
        MissingExtraError: onnx is not installed, which they need.
    """
    try:
        import onnxruntime.quantization
        import onnxruntime.quantization.calibrate
    except ModuleNotFoundError as exc:
        raise MissingExtraError("onnx", "calibrate") from exc
    return onnxruntime.quantization


def nncf_module() -> Any:
    """NNCF, silent towards its makers.

    Raises:
        MissingExtraError: it is not installed.
    """
    # Its telemetry is asked by environment, once, when it is imported: nothing about anybody's network leaves.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
        import nncf.quantization.range_estimator
    except ModuleNotFoundError as exc:
        raise MissingExtraError("NNCF", "calibrate") from exc
    return nncf


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the tools' progress bars and advice off the terminal; errors are raised anyway."""
    talkative = [logging.getLogger(name) for name in ("nncf", "root")]
    levels = [logger.level for logger in talkative]
    for logger in talkative:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(talkative, levels, strict=True):
            logger.setLevel(level)
