"""Anybody's `nn.Module` as a network that is ready to be exported: a factory makes it, a contract explains it.

    my_network.py:build + weights + contract.toml → network, filled strictly → `export.pipeline.export_bundle`

The factory's module is imported, so its code runs: export what you trust. The weights run nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from torch import nn

from edge_runtime.faces.alignment import TEMPLATES
from export.checkpoints import load_foreign, load_weights
from export.contract import read_contract
from export.deploy import ContractedNetwork, NetworkError
from export.deployable import Deployable
from export.provenance import TOOLS, source_commit
from export.taxonomy import labels_of

_HINT: Final = "the factory is MODULE:CALLABLE; its module must be importable from here"


@dataclass(frozen=True, slots=True)
class FactoryRequest:
    """What to export.

    Attributes:
        factory: `module.path:callable`; makes the network without arguments, or with `num_classes` where it has
            a parameter of this name.
        checkpoint: safetensors, or a `torch.save` of tensors alone.
        contract: see `export.contract`.
        out: the bundle to be.
        force: replaces a bundle that is there.
    """

    factory: str
    checkpoint: Path
    contract: Path
    out: Path
    force: bool = False

    def read(self) -> Deployable:
        """The factory's network with the checkpoint's weights.

        Raises:
            ConfigurationError: the contract has faults.
            NetworkError: the network cannot be made.
            CheckpointError: the weights cannot be read, or are another network's.
        """
        contract = read_contract(self.contract)
        labels = labels_of(contract.labels, self.contract)
        template = TEMPLATES[contract.template]
        network = build(self.factory, len(labels))
        weights = load_foreign(self.checkpoint)
        load_weights(network, weights, self.checkpoint, hint=f"are these the weights of {self.factory}?")
        deployed = ContractedNetwork(
            network, contract.input, contract.output, size_px=template.size_px, name=self.factory
        ).eval()
        return Deployable(
            deployed,
            architecture=self.factory,
            name=contract.name,
            version=contract.version,
            labels=labels,
            template=template,
            readable_width_px=contract.readable_width_px,
            provenance=self._provenance(network, contract.trained_on, contract.model_dump_json()),
        )

    def _provenance(self, network: nn.Module, trained_on: str, contract: str) -> dict[str, str]:
        facts = {
            "trained_on": trained_on,
            "factory": self.factory,
            "checkpoint_sha256": hashlib.sha256(self.checkpoint.read_bytes()).hexdigest(),
            "contract": contract,
            "export_command": f"roomtone export {self.factory} --checkpoint {self.checkpoint.name} "
            f"--contract {self.contract.name} --out bundles/raw",
        }
        if (file := inspect.getsourcefile(type(network))) is not None:
            facts["source_sha256"] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        facts |= {tool: version(tool) for tool in TOOLS}
        if (commit := source_commit()) is not None:
            facts["commit"] = commit
        return facts


def build(factory: str, num_classes: int) -> nn.Module:
    """Imports a factory and calls it.

    Args:
        factory: `module.path:callable`.
        num_classes: handed over where the callable has a parameter of this name.

    Raises:
        NetworkError: there is no such module or callable, it fails, or makes something else than a module.
    """
    make = _found(factory)
    try:
        takes_classes = "num_classes" in inspect.signature(make).parameters
        network = make(num_classes=num_classes) if takes_classes else make()
    except Exception as exc:
        raise NetworkError(
            factory,
            f"cannot be made: {type(exc).__name__}: {exc}",
            hint="it is called without arguments, or with num_classes alone; write a function that fills in the rest",
        ) from exc
    if not isinstance(network, nn.Module):
        raise NetworkError(
            factory, f"gives {type(network).__name__}, not a torch.nn.Module", hint="return the module itself"
        )
    return network.eval()


def _found(factory: str) -> Callable[..., Any]:
    path, _, name = factory.partition(":")
    try:
        made: Any = importlib.import_module(path)
        for part in name.split("."):
            made = getattr(made, part)
    except AttributeError as exc:
        raise NetworkError(factory, f"{path} has no {name!r}", hint=_HINT) from exc
    except Exception as exc:
        raise NetworkError(factory, f"{path!r} cannot be imported: {exc}", hint=_HINT) from exc
    if not callable(made):
        raise NetworkError(factory, f"{name} is {type(made).__name__}, and cannot be called", hint=_HINT)
    return made  # type: ignore[no-any-return]
