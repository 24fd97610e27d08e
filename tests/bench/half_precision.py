"""What half precision would be worth on this CPU: size, difference of golden logits and time, against float32.

    .venv/bin/python tests/bench/half_precision.py [--data fer2013.npz] [BUNDLE]

The float32 network of a bundle is written as an OpenVINO IR with float16 weights and compiled with each precision hint.
Processor time of one thread, medians of rounds in turns. With data, also the answers on its private split.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from calibration.evaluation import PreparedFaces, prepare
from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.inference.openvino_engine import compile_settings

ROUNDS, BATCHES = 41, (1, 8)


def main() -> None:
    """Prints one row for each way to run it."""
    options = argparse.ArgumentParser()
    options.add_argument("bundle", type=Path, nargs="?", default=default_bundle_path())
    options.add_argument("--data", type=Path, help="labelled faces")
    given = options.parse_args()
    bundle = open_bundle(given.bundle)
    source = next(
        bundle.path(variant.file) for variant in bundle.manifest.variants if variant.precision == "fp32"
    )
    core, golden = openvino.Core(), bundle.golden
    with tempfile.TemporaryDirectory(prefix="roomtone-half-") as folder:
        half = Path(folder) / "half.xml"
        openvino.save_model(core.read_model(source), half, compress_to_fp16=True)
        size = (half.stat().st_size + half.with_suffix(".bin").stat().st_size) / 1e6
        ways = {
            f"{name}, computed in {precision}": core.compile_model(
                file, "CPU", compile_settings(precision, 1)
            )
            for name, file, precision in (
                ("float32 weights", source, "fp32"),
                ("float16 weights", half, "fp32"),
                ("float16 weights", half, "fp16"),
                ("float32 weights", source, "bf16"),
            )
        }
    times: dict[tuple[str, int], list[float]] = {(name, batch): [] for name in ways for batch in BATCHES}
    for batch in BATCHES:
        crops = np.ascontiguousarray(golden.crops[:batch])
        for _ in range(ROUNDS):
            for name, compiled in ways.items():
                began = time.process_time()
                compiled({"crop": crops})
                times[name, batch].append(time.process_time() - began)
    print(f"float32 {source.stat().st_size / 1e6:.1f} MB, float16 weights {size:.1f} MB")
    reference, *_ = ways
    for name, compiled in ways.items():
        difference = np.abs(compiled({"crop": golden.crops})["logits"] - golden.logits).max()
        speed = " / ".join(
            f"{np.median(times[reference, batch]) / np.median(times[name, batch]):.2f}×" for batch in BATCHES
        )
        print(f"{name}: largest difference {difference:.2g}, speed at batch 1 / 8 {speed}")
    if given.data is not None:
        print_answers(ways, prepare(given.data, "private", bundle))


def print_answers(ways: dict[str, Any], faces: PreparedFaces) -> None:
    """Points lost and agreement with the first way, on labelled faces."""
    starts = range(0, len(faces.crops), 8)
    found = {
        name: np.concatenate([compiled({"crop": faces.crops[s : s + 8]})["logits"].argmax(1) for s in starts])
        for name, compiled in ways.items()
    }
    reference = next(iter(found.values()))
    for name, answers in found.items():
        lost = np.mean(reference == faces.labels) - np.mean(answers == faces.labels)
        agreement = np.mean(answers == reference)
        print(f"{name}: {100 * lost:.2f} points lost, agreement {agreement:.2%}, {len(answers)} images")


if __name__ == "__main__":
    main()
