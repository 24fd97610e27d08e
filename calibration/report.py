"""The report of a calibration: one HTML file and its pictures, for an engineer to show a colleague."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from calibration.figures import (
    plot_accuracy_latency,
    plot_confusions,
    plot_reliability,
    plot_sensitivity,
)
from calibration.outcome import Quantization, VariantResult
from calibration.pipeline import Calibration
from calibration.tool_defaults import is_default
from edge_runtime.bundle import Bundle
from edge_runtime.inference.classifier import softmax

PAGE: Final = "report.html"
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}th,td{border:1px solid #ccc;padding:.2rem .6rem;text-align:left}"
    "img{max-width:100%}.fail{color:#b00020}.pass{color:#1b6e3c}"
)


def write_report(folder: Path, bundle: Bundle, calibration: Calibration, found: Quantization) -> Path:
    """Writes `report.html`, its pictures, and `report.json`; what is there of an older report is replaced.

    Args:
        folder: made when absent.
        bundle: that was written.
        calibration: its temperature.
        found: its variants.

    Returns:
        The page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = next((result for result in found.results if result.attempts), None)
    kept = shown.attempts[-1].recipe.keep_float if shown is not None else frozenset()
    plot_accuracy_latency(found, folder / "accuracy_latency.png")
    plot_sensitivity(found.sensitivity, kept, folder / "sensitivity.png")
    pictures = [("Accuracy against latency", "accuracy_latency.png")]
    if shown is not None and shown.verdict is not None:
        titles = (found.reference.name, shown.name)
        plot_confusions(shown.verdict.before, shown.verdict.after, titles, folder / "confusion.png")
        pictures.append(("Confusion before and after", "confusion.png"))
    unguided = {
        result.name: result.verdict.after
        for result in found.results
        if is_default(result.variant) and result.verdict is not None
    }
    if unguided:
        names, after = tuple(unguided), tuple(unguided.values())
        titles = (names[0], names[-1])
        plot_confusions(after[0], after[-1], titles, folder / "confusion_defaults.png")
        pictures.append(("What the tools' defaults make of it", "confusion_defaults.png"))
    best, labels = found.offered[0], found.tested.labels
    plot_reliability(
        [
            (f"temperature {temperature:.3f}", softmax(best.logits, temperature), labels)
            for temperature in (calibration.temperature_before, calibration.temperature)
        ],
        folder / "reliability.png",
    )
    pictures += [
        (f"Reliability of {best.name} before and after the temperature", "reliability.png"),
        ("Layers by sensitivity", "sensitivity.png"),
    ]
    (folder / "report.json").write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
    page = folder / PAGE
    page.write_text(_page(bundle, found, pictures), encoding="utf-8")
    return page


def _page(bundle: Bundle, found: Quantization, pictures: Sequence[tuple[str, str]]) -> str:
    name = html.escape(f"{bundle.manifest.name} {bundle.manifest.version}")
    samples = found.samples
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}: calibration</title><style>{_STYLE}</style>",
        f"<h1>{name}: is INT8 right, and is it faster?</h1>",
        f"<p>Bundle <code>{bundle.digest[:16]}…</code>, tested on {len(found.tested.labels)} images of "
        f"{html.escape(found.tested.data)}, timed on {html.escape(found.cpu)} with one thread. Calibrated on "
        f"{len(samples.labels)} faces of {html.escape(samples.facts.data)} (seed {samples.facts.seed}, "
        f"sha256 <code>{samples.digest[:16]}…</code>).</p>",
        _variants(found),
        "<h2>Verdicts</h2><ul>",
        *(_verdict(result) for result in found.results if result.verdict is not None),
        *(
            f"<li class=fail>{html.escape(name)}: {html.escape(why)}</li>"
            for name, why in found.failures.items()
        ),
        "</ul>",
        *(_classes(result) for result in found.results if result.variant.precision == "int8"),
        *(
            f"<h2>{html.escape(title)}</h2><img src={file} alt='{html.escape(title)}'>"
            for title, file in pictures
        ),
    ]
    return "\n".join(parts) + "\n"


def _variants(found: Quantization) -> str:
    rows = []
    for result in found.results:
        gains, over_next = (
            ", ".join(
                f"{gain.median:.2f}× ({gain.low:.2f} to {gain.high:.2f}) at batch {batch}"
                for batch, gain in speedups.items()
            )
            for speedups in (result.speedup, result.over_next)
        )
        layers = "as the tool likes" if is_default(result.variant) else "all"
        if result.attempts:
            layers = f"{len(result.attempts[-1].recipe.keep_float)} of {len(found.sensitivity)}"
        rows.append(
            (
                result.name,
                "offered" if result.is_offered else "left out",
                *(f"{timing.median_ms:.2f}" for timing in result.timings.values()),
                gains,
                over_next,
                layers,
            )
        )
    heading = (
        "variant",
        "",
        "ms, batch 1",
        "ms, batch 8",
        "over the reference (95 % interval)",
        "over the next precision",
        "layers in float",
    )
    return _table(heading, rows)


def _verdict(result: VariantResult) -> str:
    assert result.verdict is not None  # noqa: S101 - the caller's filter
    word = "pass" if result.verdict.passed else "fail"
    return f"<li class={word}>{html.escape(str(result.verdict))}</li>"


def _classes(result: VariantResult) -> str:
    if result.verdict is None:
        return ""
    rows = [
        (
            row.name,
            str(row.recall.images),
            f"{100 * row.recall.drop:+.1f}",
            f"{100 * row.recall.lower:+.1f} to {100 * row.recall.upper:+.1f}",
            "" if row.is_judgeable else "too few images to judge by the limit",
        )
        for row in result.verdict.classes
    ]
    heading = ("class", "images", "points of recall lost", "one-sided 95 % bounds", "")
    return f"<h3>{html.escape(result.name)}, class by class</h3>" + _table(heading, rows)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in heading)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"
