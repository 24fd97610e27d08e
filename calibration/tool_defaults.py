"""What each tool makes of a network when it is told nothing: the baseline that our presets are held against.

Only ever measured, by the same guard on the same faces: a default variant is never offered, even where it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from calibration.quantize import Feed, nncf_module, onnxruntime_quantization, quiet, reader
from edge_runtime.bundle import Variant
from edge_runtime.errors import EngineError

_FOLDER: Final = "defaults"


def is_default(variant: Variant) -> bool:
    """Whether this is a tool's own idea of the network, not ours."""
    return variant.file.startswith(f"{_FOLDER}/")


def _onnxruntime(source: Path, items: Sequence[Feed], out: Path) -> None:
    onnxruntime_quantization().quantize_static(str(source), str(out), reader(items))


def _openvino(source: Path, items: Sequence[Feed], out: Path) -> None:
    import openvino

    nncf = nncf_module()
    quantized = nncf.quantize(openvino.Core().read_model(source), nncf.Dataset(items))
    openvino.save_model(quantized, out, compress_to_fp16=False)


_Write = Callable[[Path, Sequence[Feed], Path], None]
DEFAULTS: Final[dict[Variant, _Write]] = {
    Variant(backend="onnxruntime", precision="int8", file=f"{_FOLDER}/model.int8.onnx"): _onnxruntime,
    Variant(backend="openvino", precision="int8", file=f"{_FOLDER}/openvino/model.xml"): _openvino,
}


def write_default(variant: Variant, source: Path, items: Sequence[Feed], folder: Path) -> Path:
    """Writes one of `DEFAULTS` below `folder`, at its path.

    Args:
        variant: a key of `DEFAULTS`.
        source: the float network, as ONNX.
        items: calibration inputs, see `calibration.quantize.feeds`; the tools get all of them.
        folder: that exists.

    Raises:
        EngineError: the tool cannot quantize the network with its defaults.
        MissingExtraError: the tool is not installed.
    """
    out = folder / variant.file
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with quiet():
            DEFAULTS[variant](source, items, out)
    except Exception as exc:
        raise EngineError(f"the defaults for {variant.backend} cannot quantize {source.name}: {exc}") from exc
    return out
