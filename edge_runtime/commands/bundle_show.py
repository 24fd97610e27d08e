"""`roomtone bundle show`: what a bundle is, and what is known of its worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from edge_runtime.bundle import Bundle, Variant, default_bundle_path, open_bundle, variant_files
from edge_runtime.bundle_calibration import CalibratedVariant, judged_variants
from edge_runtime.faces.alignment import PupilWay

app = typer.Typer()
_NOTHING: Final = "–"
_WIDTH_OF_A_FILE: Final = 120  # a pipe or a file has no width; nothing is wrapped there
_FOUND_BY: Final[dict[PupilWay, str]] = {"haar": "Haar eyes", "landmarks": "landmarks"}


@app.command()
def show(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="bundle directory; the one that ships when absent")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Shows what a bundle is: network, labels, alignment; and its variants with accuracy, verdict and speed.

    \b
    roomtone bundle show
    roomtone bundle show bundles/mine --json | jq '.variants[] | {backend, precision, guard}'
    """
    bundle = open_bundle(folder or default_bundle_path())
    judged = judged_variants(bundle)
    if as_json:
        typer.echo(json.dumps(_facts(bundle, judged), indent=2))
        return
    _print_contract(bundle)
    _print_variants(bundle, judged)
    _print_quality(bundle, judged)


def _facts(bundle: Bundle, judged: dict[str, CalibratedVariant]) -> dict[str, Any]:
    """The manifest; beside it the bundle's digest, and in each variant its verdict and the size of its files."""
    manifest = bundle.manifest
    facts: dict[str, Any] = json.loads(manifest.to_json())
    for row, variant in zip(facts["variants"], manifest.variants, strict=True):
        row["bytes"] = _bytes(bundle, variant)
        verdict = judged.get(_name(variant))
        if verdict is not None:
            row |= verdict.model_dump(mode="json", exclude={"variant", "offered"}, exclude_none=True)
    offered = {_name(variant) for variant in manifest.variants}
    facts["not_offered"] = [
        row.model_dump(mode="json", exclude={"offered"}, exclude_none=True)
        for name, row in judged.items()
        if name not in offered
    ]
    return {"folder": str(bundle.folder), "digest": bundle.digest, **facts}


def _print_contract(bundle: Bundle) -> None:
    manifest = bundle.manifest
    network, template = manifest.architecture, manifest.alignment
    typer.echo(f"{manifest.name} {manifest.version}   {bundle.folder}\ndigest      {bundle.digest}")
    typer.echo(
        f"network     {network.name}: {network.parameters / 1e6:.2f} M parameters, "
        f"{network.multiply_adds / 1e6:.0f} M multiply–adds a face"
    )
    typer.echo(
        f"alignment   {template.name}: pupils at ({template.pupil_x_px:g}, {template.pupil_y_px:g}) and "
        f"({template.size_px - template.pupil_x_px:g}, {template.pupil_y_px:g}) of {template.size_px}, "
        f"found by {_FOUND_BY[manifest.pupils]}"
    )
    if (sequence := manifest.sequence) is not None:
        seconds = (sequence.frames - 1) * sequence.stride_s
        typer.echo(
            f"sequence    {sequence.frames} frames, {sequence.stride_s:g} s apart: a face is read {seconds:g} s "
            f"after it came; {sequence.feature_length} numbers are kept of a frame"
        )
    inputs = ", ".join(spec.kind for spec in manifest.inputs)
    if inputs != "crop":
        typer.echo(f"inputs      {inputs}")
    typer.echo(
        f"readable    from {manifest.readable_width_px} px of face width; temperature {manifest.temperature:.3f}"
    )
    for label in manifest.labels:
        typer.echo(
            f"  {label.name:<10} valence {label.valence:+.2f}  arousal {label.arousal:+.2f}  {label.reading}"
        )


def _print_variants(bundle: Bundle, judged: dict[str, CalibratedVariant]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for heading in ("variants, best first", "guard"):
        table.add_column(heading, no_wrap=True)
    for heading in ("points lost", "accuracy, %", "MB", "ms, 1 face", "8 faces"):
        table.add_column(heading, justify="right")
    for variant in bundle.manifest.variants:
        table.add_row(
            _name(variant),
            *_verdict(judged.get(_name(variant))),
            *_measured(variant, f"{_bytes(bundle, variant) / 1e6:.1f}"),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_A_FILE)
    console.print()
    console.print(table)


def _verdict(judged: CalibratedVariant | None) -> tuple[str, str]:
    """Outcome, and points lost against the float reference with their 95 % bound."""
    if judged is None:
        return _NOTHING, _NOTHING
    if judged.guard is None:
        return "reference", _NOTHING
    drop = judged.guard.accuracy
    return judged.guard.outcome, f"{100 * drop.drop:.2f} (≤ {100 * drop.drop_upper_95:.2f})"


def _measured(variant: Variant, megabytes: str) -> tuple[str, str, str, str]:
    """Accuracy with its 95 % interval, size, and milliseconds of a call."""
    worth = variant.measured
    if worth is None:
        return _NOTHING, megabytes, _NOTHING, _NOTHING
    low, high = 100 * worth.accuracy_low, 100 * worth.accuracy_high
    accuracy = f"{100 * worth.accuracy:.1f} ({low:.1f}–{high:.1f})"
    return accuracy, megabytes, f"{worth.ms_batch_1:.2f}", f"{worth.ms_batch_8:.2f}"


def _print_quality(bundle: Bundle, judged: dict[str, CalibratedVariant]) -> None:
    manifest = bundle.manifest
    quality = manifest.quality
    if quality is None:
        typer.echo("\nnot measured yet: roomtone calibrate measures it, quantizes it and fits its confidence")
        return
    places = {
        f"{worth.cpu} ({worth.instruction_set})"
        for variant in manifest.variants
        if (worth := variant.measured) is not None
    }
    typer.echo("")
    if places:
        typer.echo(f"timed on    {', '.join(sorted(places))}; roomtone bundle tune times it on this board")
    typer.echo(
        f"measured    {quality.accuracy:.1%} ({quality.accuracy_low:.1%} to {quality.accuracy_high:.1%}) on "
        f"{quality.images} images of {quality.data}; macro-F1 {quality.macro_f1:.3f}, "
        f"calibration error {quality.expected_calibration_error:.3f}"
    )
    offered = {_name(variant) for variant in manifest.variants}
    slow = [name for name in offered if name in judged and not judged[name].is_faster]
    if slow:
        typer.echo(
            f"not faster  than its engine's float here, so offered behind it: {', '.join(sorted(slow))}"
        )
    for name, row in judged.items():
        if name not in offered and row.guard is not None:
            typer.echo(f"not offered {name}: {row.guard.outcome}; {'; '.join(row.guard.reasons)}")


def _name(variant: Variant) -> str:
    return f"{variant.backend} {variant.precision}"


def _bytes(bundle: Bundle, variant: Variant) -> int:
    sizes = {file.path: file.size for file in bundle.manifest.files}
    return sum(sizes[path] for path in variant_files(variant))
