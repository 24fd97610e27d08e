"""Commands of the workstation: `roomtone evaluate`, `roomtone calibrate` and `roomtone calibrate samples`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from calibration.end_to_end import end_to_end
from calibration.evaluation import Evaluation, evaluate, prepare
from calibration.guard import Limits, QuantizationGuardError
from calibration.landmark_cli import calibrate_landmarks_command, evaluate_landmarks_command
from calibration.outcome import QuantizationSettings
from calibration.pipeline import calibrate, check_split, write_calibrated
from calibration.samples import PER_CLASS, choose_samples, save_samples
from calibration.sealing import forget
from calibration.subject import opened_subject
from calibration.tables import class_table, listed, show_calibration, show_quantization, show_samples, summary
from edge_runtime.bundle import open_bundle
from edge_runtime.bundle_writing import check_target
from edge_runtime.commands.default_command import DefaultCommandGroup
from edge_runtime.commands.progress import work_progress
from edge_runtime.config import InferenceSection
from edge_runtime.device_profile import load_profile
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import PupilWay
from edge_runtime.faces.labelled import default_split
from edge_runtime.inference.cpu import instruction_set, sums_saturate
from edge_runtime.inference.opening import open_engine
from edge_runtime.updates.starting import cli_state_directory

_LISTED: Final = 10  # unreadable files that are named
evaluate_app = typer.Typer(
    cls=DefaultCommandGroup,
    no_args_is_help=True,
    help="Measure a bundle, or a landmark network, on faces that training never saw.",
)
calibrate_app = typer.Typer(
    cls=DefaultCommandGroup,
    no_args_is_help=True,
    help="Quantize a bundle, prove it right and faster, fit its confidence.",
)

Backend = Literal["auto", "onnxruntime", "openvino"]
PrecisionName = Literal["auto", "fp32", "fp16", "bf16", "int8"]
_BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="bundle directory")]
_Data = Annotated[Path, typer.Option(help=".npz as FER2013's, or a folder per class")]
_Labels = Annotated[str, typer.Option(help="of a .npz: fer, or ferplus, the class with most votes")]
_BackendOption = Annotated[Backend, typer.Option(help="engine to measure with")]
_PrecisionOption = Annotated[PrecisionName, typer.Option(help="precision to measure")]
_Threads = Annotated[int, typer.Option(min=1, help="threads of the engine")]
_Cache = Annotated[Path | None, typer.Option(help="folder that keeps the pupils found, for the next time")]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable")]


class _Bars:
    """A progress bar per stage, on stderr."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {task.description: task.id for task in progress.tasks}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note="")
        self._progress.update(self._tasks[stage], completed=done)


@evaluate_app.command("bundle")
def evaluate_command(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE|CHECKPOINT", help="bundle directory, or checkpoint.safetensors of a run"
        ),
    ],
    data: _Data,
    split: Annotated[
        str | None,
        typer.Option(help="training, public, private or all; private, but all of a folder without splits"),
    ] = None,
    labels: _Labels = "fer",
    backend: _BackendOption = "auto",
    precision: _PrecisionOption = "auto",
    threads: _Threads = 1,
    cache: _Cache = None,
    pupils: Annotated[
        PupilWay | None,
        typer.Option(help="how crops are aligned; when absent, as the network learned, as on a device"),
    ] = None,
    confusion: Annotated[Path | None, typer.Option(help="draw the confusion matrix into this .png")] = None,
    whole_path: Annotated[
        bool,
        typer.Option(
            "--end-to-end", help="also paste the faces into frames, and find, align and classify them there"
        ),
    ] = False,
    as_json: _Json = False,
) -> None:
    r"""Measures a bundle or a checkpoint on labelled faces, through the device's own alignment and engine.

    A checkpoint of `roomtone train` is exported first, into a temporary folder, as the network that its recipe names.

    \b
    roomtone evaluate bundles/default --data fer2013.npz
    roomtone evaluate runs/first/checkpoint.safetensors --data fer2013.npz --split public
    """
    with work_progress() as progress, opened_subject(bundle, bars := _Bars(progress)) as network:
        choice = open_engine(network, InferenceSection(backend=backend, precision=precision, threads=threads))
        chosen = split or default_split(data)
        faces = prepare(data, chosen, network, labelling=labels, cache=cache, on_progress=bars, pupils=pupils)
        result = evaluate(network, choice, faces, bars)
        through = end_to_end(network, choice, faces, bars) if whole_path else None
    name = network.manifest.name
    if confusion is not None:
        from calibration.figures import plot_confusion

        plot_confusion(result.metrics, f"{name}: {result.data}", confusion)
    if as_json:
        facts = _facts(result, network.digest)
        if through is not None:
            facts["end_to_end"] = through.to_json()
        typer.echo(json.dumps(facts, indent=2))
        return
    console = Console()
    console.print(class_table(result.metrics, f"{name} on {result.data}"))
    typer.echo(summary(result.metrics))
    typer.echo(
        f"ran on {result.engine.backend} {result.engine.precision}; "
        f"pupils found in {result.pupils_found:.1%}; left out: {listed(result.left_out)}"
    )
    if through is not None:
        typer.echo(
            f"whole path: {through.found} of {through.faces} pasted faces found ({through.recall:.1%}); on these "
            f"{through.through.accuracy:.1%} right, cut out of the frame by the pupils of the cut "
            f"{through.pasted.accuracy:.1%}, cut directly {through.direct.accuracy:.1%}: "
            f"{through.points_lost:+.1f} points lost"
        )
    for file in result.unreadable[:_LISTED]:
        typer.echo(f"unreadable: {file}")
    if len(result.unreadable) > _LISTED:
        typer.echo(f"… and {len(result.unreadable) - _LISTED} more; --json lists all")


@calibrate_app.command("bundle")
def calibrate_command(
    bundle: _BundleArgument,
    data: _Data,
    out: Annotated[Path, typer.Option(help="folder of the new bundle; must not exist yet")],
    split: Annotated[str, typer.Option(help="split to choose and fit on; never the private one")] = "public",
    labels: _Labels = "fer",
    int8: Annotated[
        bool, typer.Option("--int8/--no-int8", help="quantize too, or only fit the confidence")
    ] = True,
    samples: Annotated[
        Path | None,
        typer.Option(
            help="calibration set of `roomtone calibrate samples` or `camera`; chosen afresh when absent"
        ),
    ] = None,
    keep_samples: Annotated[
        bool, typer.Option("--keep-samples", help="do not delete a camera's set afterwards")
    ] = False,
    per_class: Annotated[int, typer.Option(min=1, help="faces of each class in a fresh choice")] = PER_CLASS,
    seed: Annotated[int, typer.Option(help="of a fresh choice")] = 0,
    max_drop: Annotated[
        float, typer.Option(min=0.01, max=50, help="points of accuracy that the 95 % bound must stay below")
    ] = 1.0,
    max_class_drop: Annotated[
        float, typer.Option(min=0.1, max=50, help="points of recall that no class may lose")
    ] = 3.0,
    min_speedup: Annotated[
        float, typer.Option(min=1, help="how much faster than the fastest float variant INT8 must be")
    ] = 1.2,
    saturation_safe: Annotated[
        bool,
        typer.Option("--saturation-safe", help="7-bit weights, for x86 without VNNI, whose sums saturate"),
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            help="of the boards that the bundle is for, which says whether sums saturate; this machine when absent"
        ),
    ] = None,
    compare_defaults: Annotated[
        bool,
        typer.Option(
            "--compare-defaults", help="also judge what each tool makes of the network with its own defaults"
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="folder for report.html; OUT-report when absent, with --int8")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="engine to measure with, with --no-int8")] = "auto",
    precision: Annotated[PrecisionName, typer.Option(help="precision to measure, with --no-int8")] = "auto",
    threads: _Threads = 1,
    cache: _Cache = None,
    force: Annotated[bool, typer.Option("--force", help="replace the bundle that is there")] = False,
    as_json: _Json = False,
) -> None:
    r"""Quantizes a bundle, proves INT8 right and faster, fits the confidence, and writes it anew.

    INT8 goes into the bundle only if the guard passes it: a paired comparison on held-out faces through the device's
    own engine. Ends with 23 when it does not; the bundle that is written then has the float variants only.

    \b
    roomtone calibrate bundles/raw --data fer2013.npz --out bundles/default
    roomtone calibrate bundles/raw --data fer2013.npz --out bundles/default --max-drop 0.5 --profile x86-64-avx2
    roomtone calibrate bundles/raw --data fer2013.npz --out bundles/default --compare-defaults
    roomtone calibrate samples bundles/raw --data fer2013.npz --out faces.npz
    """
    check_split(split)
    check_target(out, force=force)
    opened = open_bundle(bundle)
    if not int8:
        choice = open_engine(opened, InferenceSection(backend=backend, precision=precision, threads=threads))
        with work_progress() as progress:
            found = calibrate(
                opened, choice, data, split=split, labelling=labels, cache=cache, on_progress=_Bars(progress)
            )
        written = write_calibrated(opened, found, out, force=force)
        facts = {"bundle": str(out), "digest": written.digest, **found.to_json()}
    else:
        from calibration.assembly import SampleRequest, prove_bundle

        with work_progress() as progress:
            proven = prove_bundle(
                opened,
                data,
                out,
                QuantizationSettings(
                    Limits(max_drop / 100, max_class_drop / 100),
                    min_speedup,
                    saturation_safe or _sums_saturate(profile),
                    compare_defaults,
                ),
                samples=SampleRequest(samples, per_class, seed, cli_state_directory()),
                split=split,
                labelling=labels,
                cache=cache,
                force=force,
                report=report or out.with_name(f"{out.name}-report"),
                on_progress=_Bars(progress),
            )
        written, found, facts = proven.bundle, proven.calibration, proven.to_json()
        if samples is not None and not keep_samples and proven.quantization.samples.facts.is_private:
            forget(samples, cli_state_directory())
            typer.echo(f"roomtone: {samples} and its key are deleted", err=True)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        show_calibration(found)
        if int8:
            show_quantization(proven.quantization)
        typer.echo(
            f"{written.folder}  {written.manifest.name} {written.manifest.version}  "
            f"digest {written.digest[:16]}…"
        )
    if int8 and not proven.quantization.has_int8:
        raise QuantizationGuardError(
            f"no INT8 variant passed the guard; the bundle has none. Reached: {proven.quantization.reachable()}",
            hint="give more held-out images, allow more with --max-drop, or train with more care for these layers",
        )


@calibrate_app.command("samples")
def samples_command(
    bundle: _BundleArgument,
    data: _Data,
    out: Annotated[Path, typer.Option(help="calibration set to write, .npz")],
    split: Annotated[str, typer.Option(help="to draw from; never one that is tested on")] = "training",
    labels: _Labels = "fer",
    per_class: Annotated[int, typer.Option(min=1, help="faces of each class")] = PER_CLASS,
    seed: Annotated[int, typer.Option(help="of the draw")] = 0,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="draw the chosen faces into this .png; needs --public-data-set")
    ] = None,
    public_data_set: Annotated[
        bool, typer.Option("--public-data-set", help="the faces are of a published data set, not of a camera")
    ] = False,
    as_json: _Json = False,
) -> None:
    r"""Chooses the faces that a quantizer sees: balanced, sharp, no near-duplicates, spread over what faces look like.

    \b
    roomtone calibrate samples bundles/raw --data fer2013.npz --out faces.npz
    roomtone calibrate samples bundles/raw --data fer2013.npz --out faces.npz --public-data-set --contact-sheet f.png
    """
    if split == "private":
        fault = Fault("--split", "private is the test: what is calibrated on it cannot be tested on it")
        raise ConfigurationError("the command line", [fault])
    if contact_sheet is not None and not public_data_set:
        fault = Fault("--contact-sheet", "draws faces, which stay on the device; only with --public-data-set")
        raise ConfigurationError("the command line", [fault])
    with work_progress() as progress:
        chosen = choose_samples(
            data,
            open_bundle(bundle),
            split=split,
            labelling=labels,
            per_class=per_class,
            seed=seed,
            on_progress=_Bars(progress),
        )
    save_samples(chosen, out)
    if contact_sheet is not None:
        from calibration.figures import plot_contact_sheet

        plot_contact_sheet(chosen, contact_sheet)
    show_samples(chosen, out, as_json=as_json)


@calibrate_app.command("camera")
def camera_command(
    bundle: _BundleArgument,
    out: Annotated[Path, typer.Option(help="sealed calibration set to write; must not exist yet")],
    config: Annotated[
        list[Path] | None,
        typer.Option(help="TOML file, or folder of layers, of the device; a trial's when absent"),
    ] = None,
    source: Annotated[str | None, typer.Option(help="another source than the configuration's")] = None,
    minutes: Annotated[float, typer.Option(min=0.05, max=600, help="how long to look")] = 30.0,
    per_class: Annotated[int, typer.Option(min=1, help="faces of each predicted class")] = PER_CLASS,
    seed: Annotated[int, typer.Option(help="of the draw")] = 0,
    as_json: _Json = False,
) -> None:
    r"""Takes calibration faces from the installed camera; they stay on this device, sealed, and are deleted when used.

    Stop `roomtone run` first where the camera serves one reader only. The lawful purpose, the zones and the privacy
    shutter hold as in `run`; nothing is published, and no picture is drawn. The faces have no labels, and need none:
    ranges are all that is taken from them. The guard still wants labelled images: --data of `roomtone calibrate`.

    
    roomtone calibrate camera bundles/raw --config /etc/roomtone --minutes 40 --out room.sealed
    roomtone calibrate bundles/raw --samples room.sealed --data fer2013.npz --out bundles/room
    """
    from calibration.camera_samples import CameraSamples, watch
    from edge_runtime.commands.by_hand import environment_of_service
    from edge_runtime.commands.overrides import override
    from edge_runtime.config import trial_config
    from edge_runtime.config_file import load_config
    from edge_runtime.frames.opening import open_source
    from edge_runtime.lawful import check_lawful
    from edge_runtime.outlet import shutter_path

    if out.exists():
        raise ConfigurationError("the command line", [Fault("--out", f"{out} is there already")])
    settings = override(load_config(*config) if config else trial_config(), {"camera": {"source": source}})
    check_lawful(settings.deployment)
    opened = open_bundle(bundle)
    engine = open_engine(opened, settings.inference).engine
    with (
        open_source(settings.camera, environ=environment_of_service(config or []), grey=True) as camera,
        CameraSamples(
            settings,
            opened,
            engine,
            per_class=per_class,
            seed=seed,
            waits_for_scans=not camera.is_live,
        ) as samples,
        work_progress() as progress,
    ):
        watch(
            camera,
            samples,
            60 * minutes,
            closed_shutter=shutter_path(settings),
            on_progress=_Bars(progress),
        )
        chosen = samples.chosen()
    save_samples(chosen, out, cli_state_directory())
    show_samples(chosen, out, as_json=as_json)


def _sums_saturate(profile: str | None) -> bool:
    """Whether INT8 sums saturate on the boards of a profile; on this machine when None."""
    return sums_saturate(instruction_set()) if profile is None else load_profile(profile).saturates


def _facts(result: Evaluation, digest: str) -> dict[str, object]:
    return {
        "bundle_digest": digest,
        "data": result.data,
        "left_out": result.left_out,
        "unreadable": list(result.unreadable),
        "pupils_found": result.pupils_found,
        "engine": asdict(result.engine),
        **result.metrics.to_json(),
    }


evaluate_app.command("landmarks")(evaluate_landmarks_command)
calibrate_app.command("landmarks")(calibrate_landmarks_command)
