"""Calibration on the terminal: what was found, in tables and sentences."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from calibration.metrics import Metrics
from calibration.outcome import Quantization, VariantResult
from calibration.pipeline import Calibration
from calibration.samples import CalibrationSet
from calibration.tool_defaults import is_default


def show_samples(chosen: CalibrationSet, out: Path, *, as_json: bool) -> None:
    """A calibration set: where it lies, its counts, and what was left out."""
    facts = chosen.to_json()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"{out}  {facts['images']} faces of {chosen.facts.data}, sha256 {chosen.digest[:16]}…")
    typer.echo(", ".join(f"{name} {count}" for name, count in facts["classes"].items()))
    typer.echo(f"of {chosen.facts.candidates} candidates left out: {listed(chosen.facts.left_out)}")


def show_calibration(found: Calibration) -> None:
    """Quality by class, and what the temperature changed."""
    console = Console()
    console.print(class_table(found.tested.after, f"tested on {found.tested.faces.data}"))
    typer.echo(summary(found.tested.after))
    typer.echo(f"left out: {listed(found.tested.faces.left_out)}")
    before, after = found.tested.before, found.tested.after
    typer.echo(
        f"temperature {found.temperature_before:.4f} → {found.temperature:.4f}, "
        f"fitted on {found.fitted.faces.data}; on the test, calibration error "
        f"{before.expected_calibration_error:.4f} → {after.expected_calibration_error:.4f}, "
        f"negative log-likelihood {before.negative_log_likelihood:.4f} → {after.negative_log_likelihood:.4f}"
    )


def show_quantization(found: Quantization) -> None:
    """Every variant with its verdict and its times, and why some are not preferred; fits into 80 columns."""
    typer.echo(f"on {found.cpu}, one thread, best first; speed over {found.reference.name}")
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for heading in ("variant", "verdict"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        "points lost\n(95 % bound)",
        "agree\n%",
        "logits\ndB",
        "ms a call\n1 / 8 faces",
        "speed\n1 / 8 faces",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in found.results:
        table.add_row(
            result.name.replace(", defaults", "*"),
            *_judged(result),
            " / ".join(_short(timing.median_ms) for timing in result.timings.values()),
            " / ".join(_short(gain.median) for gain in result.speedup.values()),
        )
    Console().print(table)
    if any(is_default(result.variant) for result in found.results):
        typer.echo("* what the tool makes of it by itself; measured, never offered")
    for result in found.results:
        for reason in () if result.verdict is None else result.verdict.reasons:
            typer.echo(f"{result.name}: {reason}")
        if result.is_offered and not result.is_faster:
            gains = ", ".join(
                f"{gain.median:.2f}× at batch {batch} ({gain.low:.2f} to {gain.high:.2f})"
                for batch, gain in result.over_next.items()
            )
            typer.echo(
                f"{result.name} stands behind the float variants: it must be {found.settings.min_speedup:g}× as fast "
                f"as the next precision of its engine, and is {gains}"
            )
    for name, why in found.failures.items():
        typer.echo(f"{name}: {why}")


def _short(value: float) -> str:
    """In four characters, below 10,000."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _judged(result: VariantResult) -> tuple[str, str, str, str]:
    """Verdict, points lost with their bound, agreement, and signal-to-noise of the logits."""
    verdict = result.verdict
    if verdict is None:
        return "reference", "", "", ""
    return (
        "slow" if result.is_offered and not result.is_faster else verdict.outcome,
        f"{100 * verdict.accuracy.drop:.2f} ({100 * verdict.accuracy.upper:.2f})",
        f"{100 * verdict.agreement:.1f}",
        f"{verdict.snr_db:.1f}",
    )


def class_table(metrics: Metrics, title: str) -> Table:
    """Quality by class."""
    table = Table(title=title)
    table.add_column("class")
    for heading in ("images", "recall", "precision", "F1"):
        table.add_column(heading, justify="right")
    for row in metrics.classes:
        table.add_row(row.name, str(row.images), f"{row.recall:.1%}", f"{row.precision:.1%}", f"{row.f1:.3f}")
    return table


def summary(metrics: Metrics) -> str:
    """Quality in one line."""
    return (
        f"accuracy {metrics.accuracy:.1%} (95 % interval {metrics.accuracy_low:.1%} to "
        f"{metrics.accuracy_high:.1%}, {metrics.images} images), macro-F1 {metrics.macro_f1:.3f}, "
        f"expected calibration error {metrics.expected_calibration_error:.3f}"
    )


def listed(left_out: dict[str, int]) -> str:
    """Reasons and how many images each took."""
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count) or "none"
