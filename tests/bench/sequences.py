"""What one new frame of one face costs through a network of sequences, cached, against encoding the whole sequence.

    python tests/bench/sequences.py                      both small networks, random weights
    python tests/bench/sequences.py --bundle DIR         a bundle as it is

With random weights the networks are exported, and their encoders quantized on rendered faces; times do not depend on
weights. One thread, processor time, all in turns.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from calibration.quantize import OnnxRuntimeQuantizer, OpenVinoQuantizer, feeds
from edge_runtime.bundle import Bundle, Variant, open_bundle
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.moment import one_moment, repeated
from edge_runtime.inference.opening import load_engine
from edge_runtime.inference.speed import Timing, in_turns, speedup
from export.architectures import configure_sequence
from export.checkpoints import save_checkpoint
from export.pipeline import export_bundle
from export.trained import ExportRequest
from export.training.sequences.recipe import SequenceRecipe

ARCHITECTURES = ("attention_fusion_edge", "vit_vlad_edge")
ROUNDS = 25


def random_bundle(architecture: str, folder: Path) -> Bundle:
    """Exported with fresh weights."""
    torch.manual_seed(0)
    checkpoint = folder / f"{architecture}.safetensors"
    facts = {"recipe": SequenceRecipe(architecture).to_json(), "labels": list(FER_LABELS)}
    network = configure_sequence(architecture, len(FER_LABELS)).network()
    save_checkpoint(checkpoint, dict(network.state_dict()), facts)
    return export_bundle(ExportRequest(architecture, checkpoint, folder / architecture)).bundle


def engines_of(bundle: Bundle, folder: Path | None) -> dict[str, Engine]:
    """Each variant, and INT8 of both engines where a folder is given to make it in."""
    manifest = bundle.manifest
    files = {variant: bundle.path(variant.file) for variant in manifest.variants}
    if folder is not None:
        first = manifest.variants[0]
        items = feeds(manifest, bundle.golden.crops, bundle.golden.given)
        for backend, quantizer, name in (
            ("onnxruntime", OnnxRuntimeQuantizer, "int8.onnx"),
            ("openvino", OpenVinoQuantizer, "int8.xml"),
        ):
            files[first.model_copy(update={"backend": backend, "precision": "int8"})] = folder / name
            quantizer(bundle.path(first.file), items).write(folder / name)

    def load(variant: Variant, file: Path) -> Engine:
        assert variant.head is not None
        return load_engine(file, variant, manifest, head=bundle.path(variant.head))

    return {f"{each.backend} {each.precision}": load(each, file) for each, file in files.items()}


def measure(bundle: Bundle, engines: dict[str, Engine], rounds: int) -> None:
    """Prints a row for each engine."""

    def whole(engine: Engine, faces: int) -> Callable[[], object]:
        crops, given = repeated(bundle.golden, faces)
        return lambda: engine.logits(crops, given)

    def cached(engine: Engine, faces: int) -> Callable[[], object]:
        return one_moment(engine, *repeated(bundle.golden, faces))

    prepares = {}
    for name, engine in engines.items():
        prepares[name, "cached"] = lambda faces, engine=engine: cached(engine, faces)
        prepares[name, "whole"] = lambda faces, engine=engine: whole(engine, faces)
    named = {f"{name} {way}": prepare for (name, way), prepare in prepares.items()}
    timed = in_turns(named, batches=(1, 8), rounds=rounds)
    print(f"\n{bundle.manifest.name} ({bundle.manifest.architecture.name}), one thread, processor time")
    print("engine                    cached, 1 face   8 faces, each   whole sequence   ratio (95 %)")
    for name in engines:
        one, eight, all_ = (
            timed[f"{name} {way}", faces] for way, faces in (("cached", 1), ("cached", 8), ("whole", 1))
        )
        print(f"{name:24} {one.median_ms:12.2f} ms {eight.median_ms / 8:12.2f} ms {_ratio(one, all_)}")


def _ratio(one: Timing, whole: Timing) -> str:
    ratio = speedup(one, whole)
    return f"{whole.median_ms:13.2f} ms   {ratio.median:5.1f} ({ratio.low:.1f} to {ratio.high:.1f})"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.bundle is not None:
        bundle = open_bundle(asked.bundle)
        measure(bundle, engines_of(bundle, None), asked.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="roomtone-bench-") as name:
        for architecture in asked.architecture or ARCHITECTURES:
            folder = Path(name, f"{architecture}-int8")
            folder.mkdir()
            bundle = random_bundle(architecture, Path(name))
            measure(bundle, engines_of(bundle, folder), asked.rounds)


if __name__ == "__main__":
    main()
