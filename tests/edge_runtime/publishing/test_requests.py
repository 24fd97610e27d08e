"""The desk where requests are answered: each gets an answer, nobody waits, and nothing is obeyed twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from brokers import until
from publishing_parts import TOPICS

from edge_runtime.errors import UpdateError
from edge_runtime.publishing.flat import encode
from edge_runtime.publishing.request_payloads import Request, Response
from edge_runtime.publishing.requests import Exchange, RequestDesk
from edge_runtime.publishing.topics import COMMANDS


class Desk:
    """A desk whose answers are kept, and that counts what it did."""

    def __init__(self) -> None:
        self.answers: list[Response] = []
        self.done: list[Request] = []
        self.gate = threading.Event()
        self.gate.set()
        self.desk = RequestDesk(
            TOPICS, dict.fromkeys(COMMANDS, self._do), self.answers.append, wall=lambda: 5.0
        )

    def _do(self, exchange: Exchange) -> None:
        self.gate.wait(10)
        self.done.append(exchange.request)
        if exchange.command == "bundle/rollback":
            raise UpdateError("there is nothing to roll back", hint="look at the list")
        if exchange.command == "reload":
            raise ZeroDivisionError
        if exchange.command == "bundle/activate":
            exchange.accepted({"phase": "begun"})
        exchange.ok({"fps": 12.5, "health": "ok"})

    def ask(self, command: str, payload: bytes, answers: int = 1) -> Response:
        have = len(self.answers)
        self.desk.take(command, payload)  # type: ignore[arg-type]
        assert until(lambda: len(self.answers) >= have + answers)
        return self.answers[-1]


@pytest.fixture
def desk() -> Iterator[Desk]:
    opened = Desk()
    with opened.desk:
        yield opened


def test_an_answer_says_what_was_asked_by_whom_and_where(desk: Desk) -> None:
    assert json.loads(encode(desk.ask("health_check", b'{"transaction":"7"}'))) == {
        "schema": "roomtone-response/1",
        "ts": 5.0,
        "site": TOPICS.site,
        "room": TOPICS.room,
        "device": TOPICS.device,
        "command": "health_check",
        "status": "ok",
        "transaction": "7",
        "data_fps": 12.5,
        "data_health": "ok",
    }


@pytest.mark.parametrize("payload", [b"", b"  ", b"{}", b'{"schema":"roomtone-request/1"}'])
def test_a_request_may_say_nothing(desk: Desk, payload: bytes) -> None:
    answer = desk.ask("stats", payload)
    assert (answer.status, answer.transaction) == ("ok", None)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        pytest.param(b"{", "the request is none", id="half"),
        pytest.param(b"[]", "the request is none", id="a list"),
        pytest.param(b"null", "the request is none", id="null"),
        pytest.param(b'{"transaction":7}', "transaction", id="a number"),
        pytest.param(b'{"transaction":null}', "transaction", id="null inside"),
        pytest.param(b'{"transaction":"a b"}', "transaction", id="a space"),
        pytest.param(b'{"transaction":"' + b"x" * 65 + b'"}', "transaction", id="a novel"),
        pytest.param(b'{"transaction":"7","volume":11}', "volume", id="an unknown key"),
        pytest.param(b'{"schema":"roomtone-stats/1"}', "roomtone-request/1", id="another payload"),
        pytest.param(b'{"sha256":"abc"}', "sha256", id="half a digest"),
        pytest.param(b'"' + b"x" * 5000 + b'"', "more than a request has", id="too long"),
        pytest.param(b"\xff\xfe", "the request is none", id="no text"),
        pytest.param(b"[" * 4000, "the request is none", id="nested"),
    ],
)
def test_a_request_that_is_none_is_answered_with_what_is_wrong(desk: Desk, payload: bytes, says: str) -> None:
    answer = desk.ask("bundle/activate", payload)
    assert answer.status == "error"
    assert says in (answer.error or "")
    assert desk.done == []
    assert desk.ask("stats", b"").status == "ok"  # the desk goes on


def test_an_error_is_a_sentence_with_its_next_step(desk: Desk) -> None:
    assert desk.ask("bundle/rollback", b"").error == "there is nothing to roll back (look at the list)"


def test_a_handler_that_breaks_does_not_close_the_desk(desk: Desk) -> None:
    desk.desk.take("reload", b"")
    assert desk.ask("stats", b"").status == "ok"


def test_a_request_delivered_twice_is_obeyed_once_and_answered_twice(desk: Desk) -> None:
    first = desk.ask("bundle/activate", b'{"transaction":"t1"}', answers=2)
    assert desk.ask("bundle/activate", b'{"transaction":"t1"}') == first
    assert len(desk.done) == 1
    desk.ask("stats", b'{"transaction":"t1"}')  # another command
    desk.ask("bundle/activate", b'{"transaction":"t2"}', answers=2)
    assert len(desk.done) == 3


def test_more_requests_than_can_be_answered_are_dropped_and_nobody_waits(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.gate.clear()
    for _ in range(40):
        desk.desk.take("stats", b"")
    assert "is dropped" in caplog.text
    desk.gate.set()
    assert until(lambda: len(desk.answers) >= 16)
    assert desk.ask("stats", b"").status == "ok"
    assert len(desk.answers) < 40
