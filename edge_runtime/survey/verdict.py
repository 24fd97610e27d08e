"""From numbers to what an installer does on the ladder: a verdict, and what to change, the most useful first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from edge_runtime.config import Config
from edge_runtime.survey.focus import BLURRED, SOFT
from edge_runtime.survey.places import Place
from edge_runtime.survey.readability import BLURRED_SHARPNESS, Grade
from edge_runtime.survey.report import Advice, SurveyReport

_GOOD, _USABLE = 0.9, 0.5  # shares of the places that can be read
_MOST: Final = 1 / 3  # from this share of the places on a fault is worth a line
_NOTICEABLE: Final = 1.1  # a limit of the scan this far above the network's is worth a line
_ENOUGH: Final = 3  # sightings, from which on eyes that are not found mean something
_READ: Final = (Grade.READABLE, Grade.MARGINAL)


def judged(report: SurveyReport, config: Config) -> SurveyReport:
    """The report with its verdict and advice.

    Args:
        report: measured.
        config: for the keys that advice may name.
    """
    advice = tuple(_advice(report, config))
    places = len(report.places)
    if places == 0:
        text = "Nobody was seen: survey the room with people in it."
        return replace(report, word="empty", verdict=text, advice=advice)
    read = sum(report.count(grade) for grade in _READ)
    marginal = report.count(Grade.MARGINAL)
    share = read / places
    word = "good" if share >= _GOOD and marginal <= places / 2 else "usable" if share >= _USABLE else "poor"
    text = f"{read} of {places} places can be read"
    text += f" ({marginal} of them marginally)" if marginal else ""
    return replace(report, word=word, verdict=f"{text}; {_reach(report)}.", advice=advice)


def _reach(report: SurveyReport) -> str:
    """How far the lens reaches, and which rows that is."""
    last = sum(distance <= report.readable_m for distance in report.seats.distances_m())
    rows = f"rows 1 to {last}" if last > 1 else "row 1" if last else "no row"
    return f"this lens reads up to {report.readable_m:.1f} m ({rows}), and not beyond"


def _advice(report: SurveyReport, config: Config) -> Iterator[Advice]:
    light, places = report.light, len(report.places)
    if light.exposure.is_covered:
        yield Advice("the picture is black", "open the lens cover, switch on the light")
        return
    if light.detail < BLURRED or _many(report, _is_blurred):
        yield Advice("the picture is out of focus", "turn the focus ring, clean the lens, take off the foil")
    elif light.detail < SOFT:
        yield Advice("the picture is a little soft", "check the focus and the stream's bit rate")
    if small := [place.face_px for place in report.places if place.grade is Grade.SMALL]:
        yield _nearer(report, small, report.limits.least_px, "too small")
    elif _many(report, lambda place: _is_only_just_wide_enough(place, report)):
        just = [place.face_px for place in report.places if _is_only_just_wide_enough(place, report)]
        yield _nearer(report, just, report.limits.comfortable_px, "only just wide enough")
    if report.limits.found_px > _NOTICEABLE * report.limits.readable_px:
        width = round(config.faces.scan_width_px * report.limits.found_px / report.limits.readable_px)
        yield Advice(
            f"the scan shrinks the picture to {config.faces.scan_width_px} px and misses faces below "
            f"{report.limits.found_px:.0f} px, which the network could read from {report.limits.readable_px:.0f} px on",
            f"set faces.scan_width_px = {min(width, report.width_px)}, if the board keeps up",
        )
    if light.is_backlit:
        yield Advice(
            "faces are dark before a bright background",
            "turn the camera away from windows, or draw the blinds",
        )
    elif report.count(Grade.DARK) > _MOST * places or (not places and light.exposure.is_dark):
        yield Advice("faces are too dark", "more light, or a longer exposure")
    if light.exposure.is_burnt:
        yield Advice(
            f"{light.exposure.white_share:.0%} of the picture is plain white",
            "lower the camera's exposure, or keep windows and lamps out of the picture",
        )
    if report.count(Grade.TURNED) > _MOST * places:
        yield Advice(
            "many heads are turned away", "mount the camera in front, where people look: beside the board"
        )
    if _many(report, _has_few_eyes):
        yield Advice(
            "eyes are seldom found", "lower the camera: from above, brows hide the eyes of bent heads"
        )
    for beat in light.beats:
        if beat.is_seen:
            yield Advice(
                f"lamps flicker ({beat.mains_hz} Hz mains), {beat.amplitude or 0:.1%} at {beat.beat_hz:.1f} Hz",
                f"set the camera's power line frequency to {beat.mains_hz} Hz "
                f"(v4l2-ctl -c power_line_frequency={1 if beat.mains_hz == 50 else 2}), "
                f"or its rate to {'25' if beat.mains_hz == 50 else '30'} frames/s",
            )


def _many(report: SurveyReport, is_so: Callable[[Place], bool]) -> bool:
    return sum(map(is_so, report.places)) > _MOST * max(1, len(report.places))


def _has_few_eyes(place: Place) -> bool:
    return place.grade in _READ and sum(place.counts.values()) >= _ENOUGH and place.eyes_share < _MOST


def _is_blurred(place: Place) -> bool:
    """Wide enough to be sharp, and not: small faces look blurred in the crop whatever the focus."""
    return place.grade in _READ and place.sharpness < BLURRED_SHARPNESS


def _is_only_just_wide_enough(place: Place, report: SurveyReport) -> bool:
    return place.grade is Grade.MARGINAL and place.face_px < report.limits.comfortable_px


def _nearer(report: SurveyReport, widths_px: list[float], limit_px: float, words: str) -> Advice:
    """What would bring the farthest of these places to the limit: nearer, a narrower lens, more pixels."""
    least = min(widths_px)
    factor = limit_px / least
    distance_m = report.lens.distance_m(least)
    count = f"{len(widths_px)} place{'s are' if len(widths_px) > 1 else ' is'}"
    return Advice(
        f"{count} {words}, the farthest {least:.0f} px (about {distance_m:.1f} m)",
        f"move the camera {distance_m - report.lens.distance_m(limit_px):.1f} m nearer, "
        f"or zoom to {report.lens.narrower(factor):.0f} degrees, "
        f"or a picture {round(report.width_px * factor)} px wide",
    )
