"""INT8 on x86 without VNNI: pairs of products are added in 16 bits, and end at 32767.

Golden outputs need not show it: eight crops may stay below where the sums end, and a face may not. So INT8 of 8-bit
weights is not chosen there at all, and what is quantized for such a board has weights of 7 bits (`reduce_range`,
`overflow_fix`).
"""

from __future__ import annotations

import json

from edge_runtime.bundle import Bundle, Variant
from edge_runtime.inference.cpu import instruction_set, sums_saturate


def saturates_here(bundle: Bundle, variant: Variant) -> bool:
    """Whether a variant is INT8 whose sums may saturate on this CPU, and that was not quantized for it."""
    return (
        variant.precision == "int8"
        and sums_saturate(instruction_set())
        and not _has_seven_bit_weights(bundle)
    )


def _has_seven_bit_weights(bundle: Bundle) -> bool:
    """As its calibration says; where that is silent, it has not."""
    try:
        facts = json.loads((bundle.folder / "calibration.json").read_text(encoding="utf-8"))
        return bool(facts["quantization"]["saturation_safe"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
