"""The network's layers: their time and the precision that ran, from the engine's own profile of a call of its own.

The engine of the loop is never profiled: its timers would slow the loop down. The same variant is loaded once more
and run on a batch as large as the loop's usual one.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Bundle, Variant
from edge_runtime.config import InferenceSection
from edge_runtime.errors import EngineError
from edge_runtime.features import make_inputs
from edge_runtime.inference.moment import newest_frames, repeated
from edge_runtime.inference.opening import open_engine

_WARM_CALLS: Final = 3
_CALLS: Final = 10


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, or several that the engine fused.

    Attributes:
        name, kind: as the engine calls it; what it computes.
        precision: of what it computes with, as the engine tells.
        ms: median of ten calls.
        share: of the sum of all layers.
    """

    name: str
    kind: str
    precision: str
    ms: float
    share: float


def profile_layers(bundle: Bundle, settings: InferenceSection, faces: int) -> list[Layer]:
    """Runs a batch of the bundle's golden crops; layers in the order in which they run. Of a sequence, its encoder.

    Args:
        bundle: opened.
        settings: the loop's; the same variant is chosen.
        faces: in the batch.

    Raises:
        EngineError, BundleInaccurateError: as when the loop opens the engine, or the engine's profile is damaged.
    """
    variant = open_engine(bundle, settings).variant
    crops, given = newest_frames(*repeated(bundle.golden, max(1, faces)))
    specs = [(spec.kind, spec.tensor) for spec in bundle.manifest.inputs]
    inputs = make_inputs(specs, crops, bundle.manifest.alignment.template(), given)
    read = _openvino if variant.backend == "openvino" else _onnxruntime
    calls = read(bundle, variant, settings.threads, inputs)
    times: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for name, kind, precision, ms in calls:
        times[name, kind, precision].append(ms)
    medians = {key: float(np.median(values)) for key, values in times.items()}
    total = sum(medians.values()) or 1.0
    return [Layer(*key, ms, ms / total) for key, ms in medians.items() if ms > 0]


def _onnxruntime(
    bundle: Bundle, variant: Variant, threads: int, inputs: Mapping[str, npt.NDArray[Any]]
) -> Iterable[tuple[str, str, str, float]]:
    import onnxruntime as ort

    with tempfile.TemporaryDirectory(prefix="roomtone-layers-") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "layers"))
        session = ort.InferenceSession(bundle.path(variant.file), options, providers=["CPUExecutionProvider"])
        for _ in range(_WARM_CALLS + _CALLS):
            session.run(None, inputs)
        try:
            events = json.loads(Path(session.end_profiling()).read_bytes())
        except (OSError, ValueError) as exc:
            raise EngineError(
                f"ONNX Runtime's profile of its layers cannot be read: {exc}",
                hint=f"is {folder}'s disk full?",
            ) from exc
    seen: defaultdict[str, int] = defaultdict(int)
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        name = event["name"].removesuffix("_kernel_time")
        seen[name] += 1
        if seen[name] > _WARM_CALLS:
            arguments = event["args"]
            yield name, arguments["op_name"], _onnx_precision(arguments), event["dur"] / 1000


def _onnx_precision(arguments: dict[str, Any]) -> str:
    """Of the widest kind that comes in: a quantized operator's scales are float, its tensors are not."""
    types = [next(iter(put)) for put in arguments.get("input_type_shape", [])]
    if "QLinear" in arguments["op_name"] or "Integer" in arguments["op_name"]:
        return "int8"
    known = {"float": "fp32", "float16": "fp16", "bfloat16": "bf16", "uint8": "uint8", "int8": "int8"}
    return known.get(types[0], types[0]) if types else "?"


def _openvino(
    bundle: Bundle, variant: Variant, threads: int, inputs: Mapping[str, npt.NDArray[Any]]
) -> Iterable[tuple[str, str, str, float]]:
    import openvino

    from edge_runtime.inference.openvino_engine import compile_settings

    settings = compile_settings(variant.precision, threads) | {"PERF_COUNT": True}
    compiled = openvino.Core().compile_model(bundle.path(variant.file), "CPU", settings)
    request = compiled.create_infer_request()
    for call in range(_WARM_CALLS + _CALLS):
        request.infer(inputs)
        if call < _WARM_CALLS:
            continue
        for layer in request.profiling_info:
            if layer.status == openvino.ProfilingInfo.Status.EXECUTED:
                precision = layer.exec_type.rpartition("_")[2].lower()  # e.g. brgconv_avx512_f32
                yield layer.node_name, layer.node_type, precision, layer.real_time.total_seconds() * 1000
