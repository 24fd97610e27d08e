"""The survey's report on a terminal."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_runtime.survey.focus import BLURRED, SOFT
from edge_runtime.survey.readability import Grade
from edge_runtime.survey.report import SurveyReport

_STYLES: Final = {
    Grade.READABLE: "green",
    Grade.MARGINAL: "yellow",
    Grade.SMALL: "red",
    Grade.DARK: "blue",
    Grade.TURNED: "magenta",
}
_WORDS: Final = {"good": "bold green", "usable": "bold yellow", "poor": "bold red", "empty": "bold blue"}


def show(report: SurveyReport, console: Console) -> None:
    """Prints verdict, places, distances, light and advice."""
    console.print(f"[{_WORDS[report.word]}]{report.word}[/]: {escape(report.verdict)}\n")
    console.print(_places(report))
    console.print()
    console.print(_distances(report))
    console.print(f"\n{escape(_light(report))}")
    if report.left_out:
        console.print(f"{report.left_out} pictures of another size were left out.")
    for item in report.advice:
        console.print(f"\n[bold]{escape(item.what)}[/bold]\n[cyan]→ {escape(item.change)}[/cyan]")


def _places(report: SurveyReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, justify in (
        ("places", "left"),
        ("", "right"),
        ("face width", "left"),
        ("distance by the lens", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for grade in Grade:
        widths = sorted(place.face_px for place in report.places if place.grade is grade)
        if not widths:
            table.add_row(f"[dim]{grade.words}[/]", "[dim]0[/]", "", "")
            continue
        near, far = report.lens.distance_m(widths[-1]), report.lens.distance_m(widths[0])
        table.add_row(
            f"[{_STYLES[grade]}]{grade.words}[/]",
            str(len(widths)),
            _span(f"{widths[0]:.0f}", f"{widths[-1]:.0f}", "px"),
            _span(f"{near:.1f}", f"{far:.1f}", "m"),
        )
    return table


def _span(low: str, high: str, unit: str) -> str:
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _distances(report: SurveyReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"a {report.lens.degrees:g}° lens on {report.width_px} px")
    table.add_column("distance", justify="right")
    table.add_column("face width", justify="right")
    table.add_column("")
    for number, distance in enumerate(report.seats.distances_m(), start=1):
        grade = report.grade_at(distance)
        width = f"{report.lens.face_px(distance):.0f} px"
        table.add_row(f"row {number}", f"{distance:.1f} m", width, f"[{_STYLES[grade]}]{grade.words}[/]")
    return table


def _light(report: SurveyReport) -> str:
    light = report.light
    parts = [
        f"light: mean grey {light.exposure.mean:.0f} of 255, {light.exposure.white_share:.0%} plain white"
    ]
    if light.face_brightness is not None:
        parts.append(f"faces {light.face_brightness:.0f}")
    parts.append(
        "focus: " + ("blurred" if light.detail < BLURRED else "soft" if light.detail < SOFT else "sharp")
    )
    told = [beat for beat in light.beats if beat.amplitude is not None]
    seen = [f"{beat.mains_hz} Hz" for beat in told if beat.is_seen]
    untold = [f"{beat.mains_hz} Hz" for beat in light.beats if beat.amplitude is None]
    flicker = f"flicker: {', '.join(seen) or 'none seen'}" if told else "flicker: too few frames to tell"
    if untold:
        flicker += f" ({' and '.join(untold)} cannot be told at {report.fps or 0:.3g} frames/s)"
    return "; ".join([*parts, flicker])
