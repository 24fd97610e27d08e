"""The live feed: batches of what changed, and where a page goes on after it was away."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from dashboard_parts import R12, message, window

from edge_runtime.dashboard.feed import Feed
from edge_runtime.dashboard.picture import Picture


def parsed(event: bytes) -> tuple[str, str, Any]:
    """Id, name and data of an event, read as the standard says (WHATWG HTML, 9.2.6)."""
    assert event.endswith(b"\n\n")
    fields = dict(line.split(": ", 1) for line in event.decode().strip().split("\n"))
    return fields.get("id", ""), fields.get("event", ""), json.loads(fields.get("data", "null"))


class Page:
    """A page that has seen something; `read` gives its next events."""

    def __init__(
        self, picture: Picture, seen: str, *, steps: int = 3, state: dict[str, Any] | None = None
    ) -> None:
        self.left = steps
        feed = Feed(picture, lambda: state or {"broker": {}}, self.is_over)
        self.feed, self.seen = feed, seen

    def is_over(self) -> bool:
        self.left -= 1
        return self.left < 0

    def read(self) -> list[tuple[str, str, Any]]:
        async def collect() -> list[bytes]:
            return [event async for event in self.feed.events(self.seen)]

        return [event for event in map(parsed, asyncio.run(collect())) if event[1]]


@pytest.fixture
def picture() -> Picture:
    made = Picture()
    made.take(message(R12.state, window()))
    return made


def test_a_page_goes_on_after_what_it_has_seen(picture: Picture) -> None:
    seen = f"{picture.epoch}.{picture.revision}"
    assert [name for _, name, _ in Page(picture, seen).read()] == ["server"]
    picture.take(message(R12.context_state, b"exam"))
    events = Page(picture, seen).read()
    assert [name for _, name, _ in events] == ["server", "changes"]
    assert events[1][0] == f"{picture.epoch}.{picture.revision}"
    assert events[1][2]["devices"][0]["link"]["context"] == "exam"


@pytest.mark.parametrize("seen", ["", "0.0", "cafe.12", "x", "..", "1.99999999999999999999"])
def test_a_page_of_another_server_begins_anew(picture: Picture, seen: str) -> None:
    assert [name for _, name, _ in Page(picture, seen).read()] == ["anew"]


def test_the_state_to_begin_with_has_the_id_to_go_on_from(picture: Picture) -> None:
    page = Page(picture, "")
    whole = page.feed.whole()
    assert whole["id"] == f"{picture.epoch}.{picture.revision}"
    assert [device["key"] for device in whole["devices"]] == ["north/r12/camera-1"]


def test_a_line_break_in_a_message_does_not_break_the_frame(picture: Picture) -> None:
    seen = f"{picture.epoch}.{picture.revision}"
    state = {"broker": {"problem": "one\n\nevent: changes\ndata: {}\n\n"}}
    ((_, name, data),) = Page(picture, seen, state=state).read()
    assert (name, data["broker"]) == ("server", state["broker"])


def test_pages_that_leave_are_not_counted_any_more(picture: Picture) -> None:
    page = Page(picture, f"{picture.epoch}.{picture.revision}")
    page.read()
    assert page.feed.listeners == 0
