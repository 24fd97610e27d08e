"""The deployed form of a network: uint8 crops in, logits out, preprocessing inside the graph.

No backend can then disagree about preprocessing, and nothing is converted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_runtime.errors import RoomtoneError
from edge_runtime.features import make_inputs
from edge_runtime.frames.frame import Image
from export.contract import LEAST_PROBABILITY, InputContract, OutputContract
from export.tolerances import ROW_OF_LARGEST

# Of a histogram-equalised crop: uniform over 0 … 255, so mean ½ and standard deviation 1/√12 of the range.
CROP_MEAN: Final = 0.5
CROP_STD: Final = 0.2887
# Which columns of a network's `dimensions` (valence, arousal, dominance) are what a bundle calls so.
OUTPUT_COLUMNS: Final = {"valence_arousal": slice(0, 2), "dominance": slice(2, 3)}


class NetworkError(RoomtoneError):
    """A network that cannot be made, or that does not take and give what a bundle needs."""

    exit_code = 15

    def __init__(self, name: str, problem: str, *, hint: str = "") -> None:
        self.name, self.problem = name, problem
        super().__init__(f"network {name}: {problem}", hint=hint)


def normalise(crops_uint8: Tensor) -> Tensor:
    """(B, 96, 96) uint8 → (B, 1, 96, 96) float32 with mean about 0 and standard deviation about 1."""
    return (crops_uint8.float().unsqueeze(1) / 255.0 - CROP_MEAN) / CROP_STD


def network_inputs(kinds: Sequence[str], crops: Image) -> list[Tensor]:
    """What a network is fed for (n, size, size) uint8 crops: normalised crops, features as a device makes them."""
    arrays = make_inputs([(kind, kind) for kind in kinds], crops)
    tensors = {kind: torch.from_numpy(array) for kind, array in arrays.items()}
    return [normalise(tensor) if kind == "crop" else tensor for kind, tensor in tensors.items()]


class DeployedNetwork(nn.Module):
    """Wraps a trained network for the device; the network itself knows nothing of ONNX.

    Args:
        network: trained.
        inputs: kinds of what it takes, in order; each is the name of its tensor too.
        outputs: kinds of what it gives, a subset of `OUTPUT_COLUMNS` beside the logits; likewise.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: tuple[str, ...] = ("crop",),
        outputs: tuple[str, ...] = ("logits",),
    ) -> None:
        super().__init__()
        self.network = network.eval()
        self.inputs, self.outputs = inputs, outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, 96, 96) uint8 aligned crops, and (B, ·) float32 features → (B, num_classes) float32 logits, and so on."""
        values = (
            normalise(tensor) if kind == "crop" else tensor
            for kind, tensor in zip(self.inputs, inputs, strict=True)
        )
        output = self.network(*values)
        return tuple(
            output.logits if kind == "logits" else output.dimensions[:, OUTPUT_COLUMNS[kind]]
            for kind in self.outputs
        )

    def made_of(self, crops: Image) -> tuple[Tensor, ...]:
        """What it is fed for (n, size, size) uint8 crops, made as a device makes it."""
        return tuple(torch.from_numpy(array) for array in self.feed_of(crops).values())

    def example(self, count: int, size_px: int) -> npt.NDArray[Any]:
        """What `made_of` takes, for so many faces, all zero; for tracing and counting."""
        return np.zeros((count, size_px, size_px), np.uint8)

    def feed_of(self, crops: Image) -> dict[str, npt.NDArray[Any]]:
        """The same for its ONNX form: name of the input → array."""
        return make_inputs([(kind, kind) for kind in self.inputs], crops)

    def fault_of(self, crops: Image) -> str | None:
        """What speaks against its contract, by what it gives for (n, size, size) uint8 crops; None when it fits."""
        del crops  # our own networks have none
        return None


class ContractedNetwork(DeployedNetwork):
    """Wraps somebody else's network: what it takes and gives is what its contract says.

    Args:
        network: any module of one image tensor.
        takes, gives: of the contract.
        size_px: side of the crops that the device cuts; they are resized to the network's own.
        name: for errors.
    """

    scale: Tensor
    offset: Tensor

    def __init__(
        self, network: nn.Module, takes: InputContract, gives: OutputContract, *, size_px: int, name: str
    ) -> None:
        super().__init__(network)
        self.takes, self.gives, self.size_px, self.name = takes, gives, size_px, name
        scale, offset = (torch.from_numpy(value) for value in takes.per_channel())
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, size, size) uint8 crops → (B, num_classes) logits."""
        values = self.values(inputs[0])
        if self.gives.values == "probabilities":
            values = values.clamp(min=LEAST_PROBABILITY).log()
        return (values,)

    def values(self, crops: Tensor) -> Tensor:
        """(B, size, size) uint8 crops → what the network itself gives."""
        side = (self.takes.size_px, self.takes.size_px)
        faces = crops.float().unsqueeze(1)
        if self.takes.size_px != self.size_px:
            faces = functional.interpolate(faces, size=side, mode="bilinear", align_corners=False)
        faces = faces * self.scale + self.offset
        if self.takes.layout == "NHWC":
            faces = faces.permute(0, 2, 3, 1)
        return self._picked(self.network(faces))

    def fault_of(self, crops: Image) -> str | None:
        """Logits that are probabilities, or the other way round."""
        with torch.inference_mode():
            return self.gives.fault_of(self.values(torch.from_numpy(crops)).numpy())

    def _picked(self, output: Any) -> Tensor:
        """The one tensor that is meant, where a network gives several."""
        parts: Mapping[Any, Any]
        if isinstance(output, Tensor):
            return output
        if isinstance(output, Mapping):
            parts = output
        elif type(output) in (tuple, list):  # a named tuple has names
            parts = {str(index): part for index, part in enumerate(output)}
        else:
            names = [key for key in dir(output) if not key.startswith("_")]
            parts = {key: part for key in names if isinstance(part := getattr(output, key), Tensor)}
        if self.gives.tensor in parts or len(parts) == 1:
            found = parts[self.gives.tensor] if self.gives.tensor in parts else next(iter(parts.values()))
            if isinstance(found, Tensor):
                return found
        raise NetworkError(
            self.name,
            f"gives {', '.join(map(str, parts)) or type(output).__name__} instead of one tensor",
            hint='name the logits in the contract: [output] tensor = "…" (of a tuple, its place: "0")',
        )


def check_deployed(network: DeployedNetwork, name: str, crops: Image, num_classes: int) -> None:
    """Refuses what a device could not rely on, before anything is exported.

    Args:
        network: in evaluation mode, on the CPU.
        name: for errors.
        crops: (n, size, size) uint8, n > 1.
        num_classes: labels of the bundle.

    Raises:
        NetworkError: it fails on crops, gives something else than one finite float32 logit for each label, or
            answers otherwise the second time, or when other faces are in the batch, or contradicts its contract.
    """
    together = _logits(network, name, crops)
    if together.shape != (len(crops), num_classes):
        raise NetworkError(
            name,
            f"gives {tuple(together.shape)} for {len(crops)} faces; "
            f"with {num_classes} labels it must be {(len(crops), num_classes)}",
            hint="labels must be the network's own, in the order of its outputs",
        )
    if together.dtype != torch.float32 or not bool(together.isfinite().all()):
        found = "infinite logits or NaN" if together.dtype == torch.float32 else str(together.dtype)
        raise NetworkError(
            name, f"gives {found}", hint="float32 weights, and scale and offset as in training"
        )
    for what, again, hint in (
        ("each time", _logits(network, name, crops), "is dropout on? pass `training=self.training` to it"),
        (
            "when other faces are in the batch",
            torch.cat([_logits(network, name, crops[row : row + 1]) for row in range(len(crops))]),
            "is a norm taken over the batch? reshape with -1 for the batch, and keep its axis first",
        ),
    ):
        difference = float(np.abs(again.numpy() - together.numpy()).max())
        if difference > ROW_OF_LARGEST * max(1.0, float(together.abs().max())):
            raise NetworkError(name, f"gives other logits {what}: they differ by {difference:.3g}", hint=hint)
    if (fault := network.fault_of(crops)) is not None:
        raise NetworkError(name, fault, hint="mend [output] values: logits or probabilities")


def _logits(network: DeployedNetwork, name: str, crops: Image) -> Tensor:
    try:
        with torch.inference_mode():
            logits: Tensor = network(*network.made_of(crops))[0]
            return logits
    except RoomtoneError:
        raise
    except Exception as exc:
        faces = "one face" if len(crops) == 1 else f"{len(crops)} faces"
        raise NetworkError(
            name,
            f"fails on {faces}: {exc}",
            hint="size, channels and layout of the contract must be the network's; any batch must do",
        ) from exc
