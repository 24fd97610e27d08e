"""`roomtone bundle`: verify or tune a model bundle; looking into one, slots and keys are in modules of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.commands import bundle_show, bundle_slots, bundle_trust

app = typer.Typer(
    add_completion=False,
    help="Look into model bundles, verify and sign them; install and activate them on this device.",
    no_args_is_help=True,
)
for part in (bundle_show.app, bundle_trust.app, bundle_slots.app):
    app.add_typer(part)
_Folder = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="bundle directory; the one that ships when absent")
]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable")]


@app.command()
def verify(
    folder: _Folder = None,
    public_key: Annotated[
        Path | None, typer.Option(help="PEM; the bundle must be signed by this key")
    ] = None,
    as_json: _Json = False,
) -> None:
    r"""Checks every digest, then runs every variant on this CPU against the golden outputs.

    Where its network is fed with landmarks, the landmark network is tried too.

    Ends with 6 for a changed file, with 7 when no variant is right here, with 22 for a missing or wrong signature.

    \b
    roomtone bundle verify
    roomtone bundle verify hafnet-1.2.0 --public-key school.pub.pem
    """
    from edge_runtime.errors import BundleInaccurateError, RoomtoneError
    from edge_runtime.inference.landmark_engine import landmarks_in_words
    from edge_runtime.inference.trials import try_variants

    bundle = open_bundle(folder or default_bundle_path())
    if public_key is not None:
        from edge_runtime.bundle_signing import check_signature

        check_signature(bundle.folder, public_key)
    rows: list[dict[str, str | float]] = []
    for trial in try_variants(bundle):
        row: dict[str, str | float] = {
            "backend": trial.variant.backend,
            "precision": trial.variant.precision,
            "result": trial.result,
        }
        if trial.golden_difference is not None:
            row["largest_difference"] = trial.golden_difference
        else:
            row["problem"] = f"{trial.problem}: {trial.hint}" if trial.hint else trial.problem
        rows.append(row)
    try:
        landmarks, fault = landmarks_in_words(bundle), None
    except RoomtoneError as exc:
        landmarks, fault = str(exc), exc
    if as_json:
        facts: dict[str, Any] = {"digest": bundle.digest, "variants": rows}
        if landmarks is not None:
            facts["landmarks"] = {"result": "ok" if fault is None else "wrong", "detail": landmarks}
        typer.echo(json.dumps(facts))
    else:
        signed = f", signed by the key of {public_key}" if public_key is not None else ""
        typer.echo(f"{bundle.manifest.name} {bundle.manifest.version}: all digests hold{signed}")
        for row in rows:
            detail = (
                row.get("problem") or f"largest difference of a golden logit {row['largest_difference']:.2g}"
            )
            typer.echo(f"  {row['backend']} {row['precision']}: {row['result']} ({detail})")
        if landmarks is not None and fault is None:
            typer.echo(f"  landmarks: ok ({landmarks})")
    if fault is not None:
        raise fault
    if not any(row["result"] == "ok" for row in rows):
        raise typer.Exit(BundleInaccurateError.exit_code)


@app.command()
def tune(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="bundle directory; the one in force when absent")
    ] = None,
    threads: Annotated[
        str, typer.Option(help="numbers of threads to try, such as 1,2; 1 and 2 when absent")
    ] = "1,2",
    config: Annotated[list[Path] | None, typer.Option(help="the device's configuration")] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="the service's state directory; found by itself where it is the usual one"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="measure, and store nothing")] = False,
    as_json: _Json = False,
) -> None:
    r"""Measures every variant on this very board, and stores the fastest that is right; `roomtone run` uses it.

    It holds as long as bundle and processor stay the same. What is wrong on this CPU takes no part.

    \b
    roomtone bundle tune
    roomtone bundle tune hafnet-1.2.0 --threads 1,2,4 --dry-run
    """
    from edge_runtime.commands.progress import work_progress
    from edge_runtime.config import Config
    from edge_runtime.config_file import load_config
    from edge_runtime.inference.tuning import save_tuning
    from edge_runtime.inference.tuning import tune as measure
    from edge_runtime.updates.starting import bundle_in_force, cli_configuration, cli_state_directory

    counts = _thread_counts(threads)
    files = config or cli_configuration()
    settings = load_config(*files) if files else Config()
    bundle = open_bundle(folder) if folder is not None else bundle_in_force(settings)[0]
    with work_progress() as progress:
        task = progress.add_task("measuring", total=None, note="")
        tuning = measure(
            bundle, counts, on_round=lambda done, total: progress.update(task, completed=done, total=total)
        )
    stored = None if dry_run else save_tuning(tuning, state or cli_state_directory())
    if as_json:
        typer.echo(tuning.model_dump_json(by_alias=True, indent=2))
        return
    typer.echo(f"{bundle.manifest.name} {bundle.manifest.version} on {tuning.cpu}")
    for row in sorted(tuning.measured, key=lambda row: row.cost):
        result = row.problem or f"{row.ms_batch_1:.2f} ms for one face, {row.ms_batch_8:.2f} ms for eight"
        typer.echo(f"{'→' if row == tuning.choice else ' '} {row}: {result}")
    typer.echo("nothing is stored" if stored is None else f"stored in {stored}; used from the next start on")


def _thread_counts(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 1 <= int(word) <= 64 for word in words):
        raise typer.BadParameter(
            "whole numbers from 1 to 64 with commas between them", param_hint="--threads"
        )
    return sorted({int(word) for word in words})
