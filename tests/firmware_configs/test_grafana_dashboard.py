"""Grafana's dashboard: its form by Grafana's own schemas, its queries by a real PostgreSQL with a filled store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from history_parts import HOUR_TS, PLACE, event, health, phase, record, said, stats
from postgres_fixtures import Postgres

from edge_runtime.history.records import Place
from edge_runtime.history.store import open_store

QUIET = Place("north-school", "r13", "camera-1")


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(__file__).resolve().parents[2] / "firmware_configs" / "grafana"


@pytest.fixture(scope="module")
def dashboard(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "dashboards" / "roomtone.json").read_text("utf-8"))
    return document


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """A store with an hour of one room, and another room that is offline and was private."""
    url = postgres.emptied()
    rated = {
        "positive_activity": 0.3,
        "negative_activity": 0.0,
        "classroom_activity": 0.65,
        "grade": "excellent",
    }
    with open_store(url) as store:
        windows = [
            record(event(seq, ts=HOUR_TS + 60 * seq, suppressed=seq == 5, **rated)) for seq in range(1, 11)
        ]
        store.write([*windows, record(event(1, place=QUIET, suppressed=True)), said("online")])
        store.write([said("offline", place=QUIET), health(stats(HOUR_TS + 60)), health(stats(HOUR_TS + 120))])
        times = {"first": 20, "start_ts": HOUR_TS + 60}
        store.write([record(phase(20, "new", ts=HOUR_TS + 240, **times))])
        store.write([record(phase(21, "end", ts=HOUR_TS + 300, share=0.6, **times))])
    with psycopg.connect(url) as connection:
        yield connection


def grafana(sql: str, place: Place = PLACE) -> str:
    """The query as Grafana sends it: macros written out, variables put in."""
    for variable, value in {"$site": place.site, "$room": place.room, "$device": place.device}.items():
        sql = sql.replace(variable, value)
    start, end = int(HOUR_TS), int(HOUR_TS + 3600)
    for column in ("w.ts", "s.ts", "e.ts"):
        sql = sql.replace(f"$__unixEpochFilter({column})", f"{column} >= {start} AND {column} <= {end}")
    assert "$" not in sql
    return sql


def rows(database: psycopg.Connection[Any], sql: str, place: Place = PLACE) -> list[dict[str, Any]]:
    with database.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        cursor.execute(grafana(sql, place).encode())
        return list(cursor.fetchall())


def query(dashboard: dict[str, Any], title: str) -> str:
    (panel,) = (panel for panel in dashboard["panels"] if panel["title"] == title)
    return str(panel["targets"][0]["rawSql"])


def test_grafanas_own_schema_knows_every_key_of_the_dashboard(dashboard: dict[str, Any]) -> None:
    plugins.register_default_plugins()
    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))
    dropped = sorted(_dropped(dashboard, read))
    # The target of an annotation is a query of its data source; the schema has only Grafana's own.
    assert dropped == [f"$.annotations.list[0].target.{key}" for key in ("format", "rawSql", "refId")]


def _dropped(ours: Any, theirs: Any, at: str = "$") -> Iterator[str]:
    """Where what Grafana's classes read differs from what stands in the file."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from _dropped(value, theirs.get(key), f"{at}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (value, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _dropped(value, other, f"{at}[{number}]")
    elif ours != theirs:
        yield at


def test_panels_stand_beside_each_other_and_not_on_top(dashboard: dict[str, Any]) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_panel_asks_the_store_and_gets_an_answer(
    dashboard: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            found = rows(database, target["rawSql"])
            assert found, panel["title"]
            if panel["type"] in ("timeseries", "state-timeline"):
                times = [row["time"] for row in found]
                assert times == sorted(times), panel["title"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            assert rows(database, variable["query"]), variable["name"]


def test_the_table_of_rooms_shows_a_private_and_an_offline_room_as_such(
    dashboard: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    lively, quiet = rows(database, query(dashboard, "Rooms"))
    assert (lively["room"], lively["state"], lively["mood"]) == ("north-school/r12", "online", "neutral")
    assert (lively["grade"], lively["classroom activity"], lively["health"]) == ("excellent", 0.65, "ok")
    assert (quiet["room"], quiet["state"], quiet["mood"], quiet["grade"]) == (
        "north-school/r13",
        "offline",
        None,
        None,
    )


def test_a_suppressed_window_is_a_gap_in_every_curve_of_the_room(
    dashboard: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    shares = rows(database, query(dashboard, "What is felt in $room"))
    assert len(shares) == 9 * 2
    assert {(row["metric"], row["value"]) for row in shares} == {("neutral", 0.7), ("happy", 0.3)}
    for title in ("Valence and arousal", "Activity of the class"):
        told = rows(database, query(dashboard, title))
        assert len(told) == 10
        assert [row for row in told if None in row.values()] == [told[4]]


def test_an_episode_is_one_mark_from_its_beginning_to_its_end(
    dashboard: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    (mark,) = rows(database, dashboard["annotations"]["list"][0]["target"]["rawSql"])
    assert (mark["text"], mark["tags"]) == ("confusion 60 %", "confusion")
    assert (mark["time"].timestamp(), mark["timeend"].timestamp()) == (HOUR_TS + 60, HOUR_TS + 300)


def test_a_room_that_was_always_private_has_people_and_no_moods(
    dashboard: dict[str, Any], database: psycopg.Connection[Any]
) -> None:
    assert rows(database, query(dashboard, "What is felt in $room"), QUIET) == []
    assert len(rows(database, query(dashboard, "People"), QUIET)) == 1


def test_provisioning_names_the_store_and_the_folder_of_the_dashboard(
    folder: Path, dashboard: dict[str, Any]
) -> None:
    places = {
        part: folder / "provisioning" / part / "roomtone.yaml" for part in ("datasources", "dashboards")
    }
    documents = {part: yaml.safe_load(path.read_text("utf-8")) for part, path in places.items()}
    (source,) = documents["datasources"]["datasources"]
    (chosen,) = (entry for entry in dashboard["templating"]["list"] if entry["type"] == "datasource")
    assert (source["uid"], source["type"]) == (chosen["current"]["value"], chosen["query"])
    assert source["jsonData"]["database"] == "roomtone"
    assert source["secureJsonData"]["password"].startswith("$")
    (provider,) = documents["dashboards"]["providers"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/var/lib/grafana/dashboards/roomtone")
