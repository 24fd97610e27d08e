"""Starting from weights that were trained before: a checkpoint, or a bundle whose checkpoint is gone.

A bundle's ONNX file keeps the names of the weights, but its batch norms are folded into the layers before them.
Such a norm starts with the statistics of its input, measured on training crops, and the scale and shift that
undo them: the network is then the bundle's own function, and trains as one that was never folded.

A checkpoint may have been trained for another number of classes: what its layers know of faces is kept, and the part
that names the classes starts anew.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edge_runtime.bundle import open_bundle
from export.checkpoints import Checkpoint, load_checkpoint, load_weights

_PREFIX = "network."  # of the deployed form, before the names of the network itself
_Norm = nn.BatchNorm1d | nn.BatchNorm2d


def start_from(network: nn.Module, source: Path, examples: list[Tensor], num_classes: int) -> str:
    """Fills a network with trained weights.

    Args:
        network: of the architecture that was trained; of a bundle, of its class count too.
        source: a `checkpoint.safetensors`, or the directory of a bundle.
        examples: what the network is fed for a few hundred training crops; folded norms are measured on them.
        num_classes: of the network.

    Returns:
        What it started from, for the recipe.

    Raises:
        CheckpointError: the weights are another network's; the message names those that differ.
        BundleError: the bundle cannot be opened.
    """
    if not source.is_dir():
        checkpoint = load_checkpoint(source)
        before = len(checkpoint.facts.get("labels", ())) or num_classes
        if before == num_classes:
            load_weights(network, checkpoint, source)
            return source.name
        own = {name: tensor for name, tensor in network.state_dict().items() if len(tensor.shape) > 0}
        anew = {
            name: own[name]
            for name, tensor in checkpoint.weights.items()
            if name in own
            and tensor.shape != own[name].shape
            and tensor.shape == (before, *own[name].shape[1:])
        }
        load_weights(network, Checkpoint({**checkpoint.weights, **anew}, {}), source)
        return f"{source.name}, of {before} classes: {', '.join(anew)} anew"
    bundle = open_bundle(source)
    file = bundle.path(bundle.manifest.variants[0].file)
    stored = {
        entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy())
        for entry in onnx.load(file).graph.initializer
    }
    _unfold(network, stored, examples, file)
    return f"{bundle.manifest.name} {bundle.manifest.version} {bundle.digest[:16]}"


@torch.no_grad()
def _unfold(network: nn.Module, stored: dict[str, Tensor], examples: list[Tensor], file: Path) -> None:
    names = {module: name for name, module in network.named_modules()}
    folded = {
        norm: layer
        for norm, layer in _norms_behind(network, [tensor[:2] for tensor in examples]).items()
        if f"{_PREFIX}{names[norm]}.running_mean" not in stored
    }
    weights = {
        name.removeprefix(_PREFIX): value for name, value in stored.items() if name.startswith(_PREFIX)
    }
    for norm, layer in folded.items():
        bias = weights.pop(f"{names[layer]}.weight_bias", torch.zeros(norm.num_features))
        one = torch.full((norm.num_features,), (1 + norm.eps) ** 0.5)
        state = {"weight": one, "bias": bias, "running_mean": bias * 0, "running_var": bias * 0 + 1}
        weights |= {f"{names[norm]}.{key}": value for key, value in state.items()}
    counters = {
        name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")
    }
    load_weights(network, Checkpoint({**counters, **weights}, {}), file)
    for norm, (mean, variance) in _statistics(network, list(folded), examples).items():
        norm.running_mean, norm.running_var = mean, variance
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)


def _norms_behind(network: nn.Module, examples: list[Tensor]) -> dict[_Norm, nn.Module]:
    """Each norm whose input is the output of a convolution or linear layer, with that layer."""
    makers: dict[int, tuple[nn.Module, Tensor]] = {}  # keeps the tensors, so that no id is used twice
    found: dict[_Norm, nn.Module] = {}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, _Norm) and id(inputs[0]) in makers:
            found[module] = makers[id(inputs[0])][0]
        elif isinstance(module, nn.Conv2d | nn.Linear):
            makers[id(output)] = (module, output)

    hooks = [module.register_forward_hook(watch) for module in network.modules()]
    network.eval()(*examples)
    for hook in hooks:
        hook.remove()
    return found


def _statistics(
    network: nn.Module, norms: list[_Norm], examples: list[Tensor]
) -> dict[_Norm, tuple[Tensor, Tensor]]:
    """Mean and variance of each norm's input, per channel, in one pass."""
    found: dict[_Norm, tuple[Tensor, Tensor]] = {}

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, _Norm):
            axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
            variance, mean = torch.var_mean(inputs[0], dim=axes, correction=0)
            found[module] = (mean, variance)

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    network.eval()(*examples)
    for hook in hooks:
        hook.remove()
    return found
