"""What a network costs: parameters, and multiply–adds for one crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Cost:
    """Size of a network.

    Attributes:
        parameters: trained numbers.
        multiply_adds: of convolutions, linear layers and LSTMs for one crop; additions, norms and activations are
            left out, as a device folds the norms into the layers before them.
    """

    parameters: int
    multiply_adds: int


def measure_cost(network: nn.Module, *example: Tensor, with_norms: bool = False) -> Cost:
    """Counts during one forward pass.

    Args:
        network: any; left in the mode it was in.
        example: its inputs with a batch of one.
        with_norms: counts two for each value that a batch norm normalises, as most published figures do.
    """
    counted = 0

    def count(module: nn.Module, _: Any, output: Any) -> None:
        nonlocal counted
        if isinstance(module, nn.Conv2d):
            # Each output value is a sum over the kernel and the input channels of its group.
            height, width = module.kernel_size
            counted += output.numel() * (module.in_channels // module.groups) * height * width
        elif isinstance(module, nn.Linear):
            counted += output.numel() * module.in_features
        elif isinstance(module, nn.LSTM):
            # Four gates, each from the input and from the step before, in each direction.
            steps = output[0].numel() // module.hidden_size
            counted += steps * 4 * module.hidden_size * (module.input_size + module.hidden_size)
        elif with_norms:
            counted += 2 * output.numel()

    hooks = [
        part.register_forward_hook(count)
        for part in network.modules()
        if isinstance(part, nn.Conv2d | nn.Linear | nn.LSTM | nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    was_training = network.training
    try:
        with torch.inference_mode():
            network.eval()(*example)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return Cost(sum(parameter.numel() for parameter in network.parameters()), counted)
