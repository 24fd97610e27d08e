"""`make bench-int8`: how much faster INT8 is than ONNX Runtime's float32, and how near it comes to the peak.

    python tests/bench/int8.py --rounds 15 --json figures.json
    python tests/bench/int8.py --isa avx512_core_vnni     the same on a processor that had no AMX

The shipped bundle, and the full networks with fresh weights: time does not depend on what the weights are, accuracy
would. One thread, processor time; medians, and the 95 % interval of the median ratio. "in turns": each call comes after
those of all other engines, which have filled the caches, as decoder and cascades do on a device. "in a row": the eighth
of eight calls. The peak is that of the best of a few large convolutions, quantized by the same recipe and run by the
same engine in the same run, in a row. Operations are two for each of the network's multiply–adds.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

NETWORKS: Final = ("hafnet", "drsn18")
# Channels and side of the peak's convolutions; 3×3, eight of them in a row.
LARGE: Final = ((256, 24), (512, 12), (128, 48))
DEPTH: Final = 8
PEAK_CALLS: Final = 9
IN_A_ROW: Final = {"in turns": 1, "in a row": 8}
CALIBRATION_CROPS: Final = 32


def main() -> int:
    arguments = parse()
    if arguments.isa:  # read when oneDNN is loaded
        os.environ["ONEDNN_MAX_CPU_ISA"] = arguments.isa.upper()
    from edge_runtime.board import read_board
    from edge_runtime.bundle import default_bundle_path, open_bundle
    from edge_runtime.inference.cpu import instruction_set
    from edge_runtime.inference.speed import BATCHES, measure_speed

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    bundle = open_bundle(default_bundle_path())
    crops = np.resize(bundle.golden.crops, (max(BATCHES), *bundle.golden.crops.shape[1:]))
    figures: dict[str, Any] = {
        "cpu": read_board().cpu,
        "instruction_set": arguments.isa or instruction_set(),
        "networks": {},
    }
    with tempfile.TemporaryDirectory(prefix="roomtone-bench-int8-") as name:
        folder = Path(name)
        peak = [large_convolutions(folder, channels, side) for channels, side in LARGE]
        figures["peak_gops"] = 0.0
        for network in ("shipped", *NETWORKS):
            engines, multiply_adds = (
                shipped_engines(bundle) if network == "shipped" else fresh_engines(network, bundle, folder)
            )
            timed = {
                state: measure_speed(engines, crops, rounds=arguments.rounds, in_a_row=calls)
                for state, calls in IN_A_ROW.items()
            }
            # Beside each network: the machine is shared, and a peak of another minute means less.
            figures["peak_gops"] = max(figures["peak_gops"], *(round(gops(*parts), 1) for parts in peak))
            figures["networks"][network] = {
                name: {
                    f"batch {batch}, {state}": row(
                        timed[state][name, batch], timed[state]["onnxruntime fp32", batch], multiply_adds
                    )
                    for batch in BATCHES
                    for state in IN_A_ROW
                }
                for name in engines
            }
    for calls in (calls for engines in figures["networks"].values() for calls in engines.values()):
        for figure in calls.values():
            figure["share_of_peak"] = round(figure["gops"] / figures["peak_gops"], 3)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    show(figures)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--isa", default="", help="of oneDNN, as ONEDNN_MAX_CPU_ISA: avx512_core_vnni, avx2_vnni …"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


def shipped_engines(bundle: Any) -> tuple[dict[str, Any], int]:
    from edge_runtime.inference.opening import load_engine

    engines = {
        f"{variant.backend} {variant.precision}": load_engine(
            bundle.path(variant.file), variant, bundle.manifest
        )
        for variant in bundle.manifest.variants
    }
    return engines, bundle.manifest.architecture.multiply_adds


def fresh_engines(architecture: str, bundle: Any, folder: Path) -> tuple[dict[str, Any], int]:
    """The network with fresh weights, exported and quantized as `roomtone export` and `roomtone calibrate` do it."""
    import torch

    from calibration.quantize import OnnxRuntimeQuantizer, OpenVinoQuantizer, feeds
    from edge_runtime.bundle import Variant
    from edge_runtime.inference.opening import load_engine
    from export.architectures import configure
    from export.cost import measure_cost
    from export.deploy import DeployedNetwork
    from export.onnx_graph import write_onnx
    from export.probes import face_crops

    torch.manual_seed(0)
    manifest = bundle.manifest
    config = configure(architecture, len(manifest.labels))
    network = DeployedNetwork(config.network(), config.inputs, config.outputs).eval()
    source = folder / f"{architecture}.onnx"
    size = manifest.alignment.size_px
    write_onnx(network, source, size_px=size, metadata={})
    cost = measure_cost(network, *network.made_of(np.zeros((1, size, size), np.uint8)))
    crops = face_crops(CALIBRATION_CROPS, manifest.alignment.template(), np.random.default_rng(0))
    items = feeds(manifest, crops)
    files = {
        "onnxruntime fp32": source,
        "openvino fp32": source,
        "openvino bf16": source,
        "onnxruntime int8": folder / f"{architecture}.int8.onnx",
        "openvino int8": folder / architecture / "model.xml",
    }
    OnnxRuntimeQuantizer(source, items).write(files["onnxruntime int8"])
    OpenVinoQuantizer(source, items).write(files["openvino int8"])
    engines = {}
    for name, file in files.items():
        backend, precision = name.split()
        variant = Variant(backend=backend, precision=precision, file=file.name)
        engines[name] = load_engine(file, variant, manifest)
    return engines, cost.multiply_adds


def large_convolutions(folder: Path, channels: int, side: int) -> tuple[Any, float]:
    """Convolutions in a row, INT8 by our own recipe: an OpenVINO request for a batch of 8, and its operations."""
    import onnx
    import openvino
    from onnx import TensorProto, helper, numpy_helper

    from calibration.quantize import OpenVinoQuantizer
    from edge_runtime.inference.openvino_engine import compile_settings

    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for place in range(DEPTH):
        kernel = rng.standard_normal((channels, channels, 3, 3), np.float32) * np.float32(
            (9 * channels) ** -0.5
        )
        weights.append(numpy_helper.from_array(kernel, f"w{place}"))
        nodes.append(
            helper.make_node("Conv", [f"x{place}", f"w{place}"], [f"y{place}"], f"conv{place}", pads=[1] * 4)
        )
        nodes.append(helper.make_node("Relu", [f"y{place}"], [f"x{place + 1}"], f"relu{place}"))
    shape = [8, channels, side, side]
    graph = helper.make_graph(
        nodes,
        "peak",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"x{DEPTH}", TensorProto.FLOAT, shape)],
        weights,
    )
    source = folder / f"peak{channels}.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, source)
    feed = rng.standard_normal(shape, np.float32)
    out = folder / f"peak{channels}" / "model.xml"
    OpenVinoQuantizer(source, [{"x0": feed}]).write(out)
    compiled = openvino.Core().compile_model(out, "CPU", compile_settings("int8", 1))
    request = compiled.create_infer_request()
    request.set_tensor("x0", openvino.Tensor(feed, shared_memory=True))
    return request, 2.0 * 9 * channels * channels * side * side * 8 * DEPTH


def gops(request: Any, operations: float) -> float:
    """Of the median call, in 10⁹ operations a second of processor time."""
    times = []
    for _ in range(PEAK_CALLS):
        began_s = time.process_time()
        request.start_async()
        request.wait()
        times.append(time.process_time() - began_s)
    return operations / float(np.median(times)) / 1e9


def row(timing: Any, reference: Any, multiply_adds: int) -> dict[str, Any]:
    from edge_runtime.inference.speed import speedup

    gain = speedup(timing, reference)
    return {
        "ms": round(timing.median_ms, 3),
        "speedup": round(gain.median, 2),
        "low_95": round(gain.low, 2),
        "high_95": round(gain.high, 2),
        "gops": round(2 * multiply_adds * timing.batch / timing.median_ms / 1e6, 1),
    }


def show(figures: dict[str, Any]) -> None:
    print(
        f"{figures['cpu']}, {figures['instruction_set']}, one thread; INT8 peak {figures['peak_gops']:.0f} GOP/s"
    )
    table = "{:<8} {:<17} {:<17} {:>9} {:>7} {:>15} {:>6}"
    print(table.format("network", "variant", "call", "ms", "speed", "95 % interval", "peak"))
    for network, engines in figures["networks"].items():
        for name, calls in engines.items():
            for call, figure in calls.items():
                interval = f"{figure['low_95']:.2f} to {figure['high_95']:.2f}"
                ms, speed, share = (
                    f"{figure['ms']:.2f}",
                    f"{figure['speedup']:.2f}×",
                    f"{figure['share_of_peak']:.0%}",
                )
                print(table.format(network, name, call, ms, speed, interval, share))


if __name__ == "__main__":
    sys.exit(main())
