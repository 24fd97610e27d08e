"""Starting from weights that were trained before: a checkpoint, or a bundle whose checkpoint is gone.

A bundle's ONNX file keeps the names of the weights, but its batch norms are folded into the layers before them.
Such a norm starts with the statistics of its input, measured on training crops, and the scale and shift that
undo them: the network is then the bundle's own function, and trains as one that was never folded.

A checkpoint may have been trained for another number of classes: what its layers know of faces is kept, and the part
that names the classes starts anew. It may be of a network whose blocks are wider inside: their strongest channels are
kept (Li et al. 2017 §3.1), and what comes out of a block has the same places as before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edge_runtime.bundle import open_bundle
from export.architectures.layers import BasicBlock
from export.checkpoints import Checkpoint, load_checkpoint, load_weights

_PREFIX = "network."  # of the deployed form, before the names of the network itself
_NORM_PARTS: Final = ("weight", "bias", "running_mean", "running_var")
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
        narrowed = _narrowed(network, checkpoint.weights)
        anew = _head(network, checkpoint, num_classes)
        load_weights(network, Checkpoint({**checkpoint.weights, **narrowed, **anew}, {}), source)
        told = [source.name]
        if narrowed:
            told.append(f"the strongest channels of {sum('conv1' in name for name in narrowed)} blocks")
        if anew:
            told.append(f"another set of classes: {', '.join(anew)} anew")
        return "; ".join(told)
    bundle = open_bundle(source)
    file = bundle.path(bundle.manifest.variants[0].file)
    stored = {
        entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy())
        for entry in onnx.load(file).graph.initializer
    }
    _unfold(network, stored, examples, file)
    return f"{bundle.manifest.name} {bundle.manifest.version} {bundle.digest[:16]}"


def _head(network: nn.Module, checkpoint: Checkpoint, num_classes: int) -> dict[str, Tensor]:
    """The network's own tensors where the checkpoint has a row for each of another number of classes."""
    before, own = len(checkpoint.facts.get("labels", ())), network.state_dict()
    return {
        name: own[name]
        for name, tensor in checkpoint.weights.items()
        if before != num_classes
        and name in own
        and tensor.ndim > 0
        and tensor.shape == (before, *own[name].shape[1:])
        and own[name].shape[0] == num_classes
    }


def _narrowed(network: nn.Module, wide: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors inside the blocks that are wider in the checkpoint, cut to their strongest channels."""
    cut: dict[str, Tensor] = {}
    for prefix, block in network.named_modules():
        inner = f"{prefix}.norm1.weight"
        if not isinstance(block, BasicBlock) or inner not in wide:
            continue
        count, second = block.norm1.num_features, wide[f"{prefix}.conv2.weight"]
        if len(wide[inner]) <= count or second.shape[1] != len(wide[inner]):
            continue
        strength = wide[inner].abs() * second.square().sum(dim=(0, 2, 3)).sqrt()
        kept = strength.topk(count).indices.sort().values
        names = ["conv1.weight", *(f"norm1.{part}" for part in _NORM_PARTS)]
        cut |= {f"{prefix}.{name}": wide[f"{prefix}.{name}"][kept] for name in names}
        cut[f"{prefix}.conv2.weight"] = second[:, kept]
    return cut


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
