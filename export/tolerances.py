"""How far two formats of one network may be apart: every limit of the export, with what was measured, in one table.

| between | precision | may differ by | measured |
|---|---|---|---|
| torch → ONNX Runtime → OpenVINO | fp32 | 1e-4; 2.5e-5 of the largest logit, if above 4 | 4e-6, 6e-6 (hafnet_half) |
| somebody else's ONNX → its bundle | fp32 | 2e-3; 5e-4 of the largest logit, if above 4 | 1.3e-4 (mini_XCEPTION) |
| the golden outputs and any CPU | fp32 | 1e-3 | 6e-6 (AVX-512) |
| the golden outputs and any CPU | bf16 | 8 % of the largest logit | 2.7 % (AVX-512 BF16) |
| a row alone and in a batch, torch | fp32 | 1e-3 of the largest logit | – |
| a value inside, to find a fault | fp32 | 1e-3 of its largest number | 1e-6 (tests' network) |

INT8's golden tolerance is measured where it is quantized, `calibration.assembly`. A wrong layer, scale or channel moves
logits by 1e-2 and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Format → largest absolute difference of one logit to the format before it: float32 sums in another order.
PARITY: Final[Mapping[str, float]] = {"onnxruntime": 1e-4, "openvino": 1e-4}
# Resizing by OpenCV and by ONNX differs in the last digits.
ADOPTED: Final = 2e-3
# These hold for logits up to here; of larger ones the rounding error is larger in proportion.
LOGITS_UP_TO: Final = 4.0
# Two CPUs differ by the order of their sums only; the same in half of the digits.
GOLDEN_FP32: Final = 1e-3
# bfloat16 keeps 8 bits of each activation, so the error grows with the logits: 0.100 where the largest logit is 3.75
# (OpenVINO on AVX-512 BF16, hafnet_half, 64 rendered faces). Three times that is allowed.
GOLDEN_BF16_OF_LARGEST: Final = 0.08
# Kernels sum a row alone in another order than in a batch, as two engines do.
ROW_OF_LARGEST: Final = 1e-3
VALUE_OF_LARGEST: Final = 1e-3
