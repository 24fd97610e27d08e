"""`roomtone export NETWORK` and `roomtone export adopt`: a bundle of a trained network, or of somebody else's."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.commands.progress import work_progress
from edge_runtime.errors import ConfigurationError, Fault
from export.landmark_cli import hush_graph_passes
from export.train_cli import NETWORKS

if TYPE_CHECKING:
    from export.deployable import Request
    from export.pipeline import ExportResult


def export_network(
    network: Annotated[
        str,
        typer.Argument(
            metavar="ARCH|MODULE:FACTORY",
            help=f"the checkpoint's own: {NETWORKS}; or what makes your own nn.Module, such as my_net:build",
        ),
    ],
    checkpoint: Annotated[
        Path,
        typer.Option(
            help="of `roomtone train`; of a factory: .safetensors, or torch.save(network.state_dict())"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder of the bundle; must not exist yet")],
    contract: Annotated[
        Path | None,
        typer.Option(help="of a factory: what goes in and comes out, .toml; see docs/models.md"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="labelled faces, to compare the formats on 16 of them beside rendered ones and noise"
        ),
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help="landmark network to make part of a bundle that is fed with landmarks; where there is none, "
            "devices take the one that ships"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="of the bundle, [a-z0-9-]; when absent “default”, or of a network of sequences its own"
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="of the bundle, three numbers; 0.1.0 when absent")
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(help="what the training data is, for the model card; FER2013's note when absent"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the bundle that is there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Turns a trained network into a bundle that is proven to give the same logits in every engine.

    \b
    roomtone export hafnet_half --checkpoint runs/first/checkpoint.safetensors --out bundles/first
    roomtone export my_net:build --checkpoint my_net.safetensors --contract my_net.toml --out bundles/mine
    """
    from export.pipeline import STEPS, Step, export_bundle

    request = _request(network, checkpoint, out, contract, name, version, trained_on, force=force)
    hush_graph_passes()
    with work_progress() as progress:
        task = progress.add_task("export", total=len(STEPS), note="")
        started = itertools.count()

        def on_step(step: Step) -> None:
            progress.update(task, completed=next(started), note=f"{step.name}: {step.ensures}")

        with _current_folder_importable():
            result = export_bundle(request, on_step, data=data, landmarks=landmarks)
        progress.update(task, completed=len(STEPS), note="")
    if as_json:
        typer.echo(json.dumps(_export_facts(result), indent=2))
        return
    manifest = result.bundle.manifest
    typer.echo(
        f"{result.bundle.folder}  {manifest.name} {manifest.version}  digest {result.bundle.digest[:16]}…"
    )
    for graph in result.graphs:
        typer.echo(
            f"graph     {sum(graph.operators.values())} operators, opset {graph.opset}, "
            f"{graph.size_bytes / 1e6:.1f} MB"
        )
    network_size = manifest.architecture
    typer.echo(
        f"network   {network_size.parameters / 1e6:.2f} M parameters, "
        f"{network_size.multiply_adds / 1e6:.0f} M multiply–adds a face"
    )
    for hop in result.parity:
        typer.echo(f"parity    {hop.hop}, {hop.data}: largest difference {hop.difference:.2g}")
    for check in result.variants:
        typer.echo(
            f"verified  {check.report.backend} {check.report.precision}: "
            f"golden outputs within {check.golden_difference:.2g}"
        )
    if result.landmarks is not None:
        typer.echo(f"landmarks {result.landmarks}")


def _request(
    network: str,
    checkpoint: Path,
    out: Path,
    contract: Path | None,
    name: str | None,
    version: str | None,
    trained_on: str | None,
    *,
    force: bool,
) -> Request:
    """A factory brings a contract, which says the rest; an architecture of ours brings none."""
    if ":" not in network:
        if contract is not None:
            problem = f"{network} has a contract of its own; one is given for MODULE:FACTORY alone"
            raise ConfigurationError("the command line", [Fault("--contract", problem)])
        from export.trained import ExportRequest

        return ExportRequest(network, checkpoint, out, name, version or "0.1.0", force, trained_on)
    given = {"--name": name, "--version": version, "--trained-on": trained_on}
    faults = [Fault(option, "stands in the contract") for option, value in given.items() if value is not None]
    if contract is None:
        faults.append(Fault("--contract", "is needed with a factory: labels, size, channels and scale"))
    if contract is None or faults:
        raise ConfigurationError(
            "the command line",
            faults,
            hint="docs/models.md, “Your own network”, has a contract to begin with",
        )
    from export.factory import FactoryRequest

    return FactoryRequest(network, checkpoint, contract, out, force)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """As `python -m` has it; an installed command does not."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def adopt_network(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="somebody else's network, .onnx")],
    contract: Annotated[Path, typer.Option(help="what goes in and comes out, .toml; see docs/models.md")],
    out: Annotated[Path, typer.Option(help="folder of the bundle; must not exist yet")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="labelled faces, to compare the formats on 16 of them beside rendered ones and noise"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the bundle that is there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    """Makes a bundle of somebody else's network: its preprocessing moves into the graph.

    roomtone export adopt fer.onnx --contract fer.toml --out bundles/fer
    """
    from export.adopt import adopt

    with work_progress() as progress:
        task = progress.add_task("adopt", total=None, note="")
        found = adopt(
            file,
            contract,
            out,
            force=force,
            data=data,
            on_step=lambda step: progress.update(task, note=step),
        )
    bundle = found.bundle
    if as_json:
        facts = {
            "bundle": str(bundle.folder),
            "digest": bundle.digest,
            "architecture": bundle.manifest.architecture.model_dump(),
            "parity": [asdict(hop) for hop in found.parity],
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(
        f"{bundle.folder}  {bundle.manifest.name} {bundle.manifest.version}  digest {bundle.digest[:16]}…"
    )
    for hop in found.parity:
        typer.echo(f"parity    {hop.hop}, {hop.data}: largest difference {hop.difference:.2g}")
    typer.echo("next: roomtone calibrate, which measures it, quantizes it and fits its confidence")


def _export_facts(result: ExportResult) -> dict[str, Any]:
    return {
        "bundle": str(result.bundle.folder),
        "digest": result.bundle.digest,
        "name": result.bundle.manifest.name,
        "version": result.bundle.manifest.version,
        "architecture": result.bundle.manifest.architecture.model_dump(),
        **({} if result.landmarks is None else {"landmarks": result.landmarks}),
        **dict(zip(("graph", "head_graph"), map(asdict, result.graphs), strict=False)),
        "parity": [asdict(hop) for hop in result.parity],
        "variants": [
            {**asdict(check.report), "golden_difference": check.golden_difference}
            for check in result.variants
        ],
    }
