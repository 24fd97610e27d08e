"""What a bundle's `calibration.json` says of its variants: the guard's verdicts, and how they were reached.

`roomtone calibrate` writes the file. The device does not need it, people do; a bundle never calibrated has none.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError

CALIBRATION: Final = "calibration.json"


class _Part(BaseModel):
    # Only what is shown is read; the file holds more.
    model_config = ConfigDict(extra="ignore", frozen=True)


class PairedDrop(_Part):
    """Accuracy of the float reference minus the variant's on the same images, as a share; with its 95 % bound."""

    images: int
    drop: float
    drop_upper_95: float


class GuardVerdict(_Part):
    """Of one variant, on images that nothing was chosen on."""

    outcome: Literal["pass", "fail", "undecided"]
    reasons: tuple[str, ...] = ()
    accuracy: PairedDrop
    agreement: float
    snr_db: float | None = None


class CalibratedVariant(_Part):
    """One variant as it was judged; the float reference has no verdict, and `is_faster` is about its engine's float."""

    variant: str
    offered: bool
    is_faster: bool
    guard: GuardVerdict | None = None
    layers_in_float: tuple[str, ...] = ()


class _Quantization(_Part):
    tested: str
    variants: tuple[CalibratedVariant, ...] = ()


class _Document(_Part):
    schema_id: Literal["roomtone-calibration/1"] = Field(alias="schema")
    quantization: _Quantization | None = None


def judged_variants(bundle: Bundle) -> dict[str, CalibratedVariant]:
    """Name of a variant, such as `openvino int8` → how it was judged; offered or not. Empty without a calibration.

    Raises:
        BundleError: the file is there and cannot be understood.
    """
    if all(file.path != CALIBRATION for file in bundle.manifest.files):
        return {}
    try:
        document = _Document.model_validate_json(bundle.path(CALIBRATION).read_bytes())
    except (OSError, ValidationError) as exc:
        raise BundleError(
            bundle.folder,
            f"{CALIBRATION} cannot be understood: {exc}",
            hint="update roomtone, or calibrate again",
        ) from exc
    judged = document.quantization.variants if document.quantization is not None else ()
    return {row.variant: row for row in judged}
