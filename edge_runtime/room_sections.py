"""The sections of the configuration that say what a room is: what happens in it when, who sits where, what lasts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from edge_runtime.config_section import Section
from edge_runtime.timetable import TimetableRow, check_overlaps, parse_row
from edge_runtime.zones import ZONE_NAME, Polygon, check_polygon

MAX_ZONES = 16
KIND = "^[A-Za-z][A-Za-z0-9_-]{0,30}$"


def _row(text: str) -> str:
    return parse_row(text).text


def _timetable(rows: tuple[str, ...]) -> tuple[str, ...]:
    check_overlaps([parse_row(text) for text in rows])
    return rows


class ContextSection(Section):
    """What the room is doing, by timetable and by `context/set`; tables in docs/room.md."""

    timetable: Annotated[
        tuple[Annotated[str, AfterValidator(_row)], ...],
        AfterValidator(_timetable),
    ] = Field(
        (),
        description="rows such as `mon-fri 10:00-10:15 break`, local time; activities: lecture, task, discussion, "
        "exam, break",
    )
    prior: bool = Field(False, description="re-weight the probabilities by the activity in force")

    def rows(self) -> tuple[TimetableRow, ...]:
        """The timetable, parsed."""
        return tuple(parse_row(text) for text in self.timetable)


_POLYGON_SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 3,
    "items": {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
ZonePolygon = Annotated[Polygon, AfterValidator(check_polygon), WithJsonSchema(_POLYGON_SCHEMA)]


class ZonesSection(Section):
    """Who sits where: polygons of points `[x, y]`, 0 to 1 from the upper left corner of the picture."""

    students: Annotated[
        dict[Annotated[str, Field(pattern=f"^{ZONE_NAME}$")], ZonePolygon], Field(max_length=MAX_ZONES)
    ] = Field(
        {},
        description="name → polygon; when there is one, only faces in such a zone count",
    )
    teacher: ZonePolygon | None = Field(
        None, description="polygon; faces in it never count as students; see deployment.teacher_agreement"
    )


class EpisodesSection(Section):
    """What lasts is told as an episode, with a beginning and an end."""

    thresholds: dict[Annotated[str, Field(pattern=KIND)], Annotated[float, Field(gt=0, le=1)]] = Field(
        {"negative_activity": 0.5},
        description="kind → share from which on a window counts; kinds: labels and readings of the bundle, "
        "positive_activity, negative_activity; none: no episodes",
    )
    windows: int = Field(3, ge=1, le=1000, description="so many windows in a row begin an episode")
    gap_windows: int = Field(
        1, ge=0, le=1000, description="so many windows below the threshold, or suppressed, do not end it"
    )
