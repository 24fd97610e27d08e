"""The clock, against a real web server whose date is set."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from edge_runtime.config import Config
from edge_runtime.provisioning.doctor import clock


@pytest.fixture
def dated_server() -> Iterator[tuple[list[float], tuple[str, str, int]]]:
    """A web server, and a list whose one number is how far its date is ahead, s."""
    ahead = [0.0]

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead[0], usegmt=True)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield ahead, ("http", "127.0.0.1", server.server_address[1])
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("ahead_s", "status", "words"),
    [(0, "ok", "in step"), (300, "warn", "behind"), (-300, "warn", "ahead of"), (86400, "fail", "behind")],
)
def test_the_clock_is_compared_with_a_server_s_date(
    dated_server, ahead_s: float, status: str, words: str
) -> None:
    ahead, server = dated_server
    ahead[0] = ahead_s
    finding = clock.offset([("http", "127.0.0.1", 1), server])  # nobody is at the first
    assert finding.status == status
    assert words in finding.what
    assert finding.facts["offset_s"] == pytest.approx(-ahead_s, abs=2)


def test_without_a_server_nothing_is_said() -> None:
    assert clock.offset([("https", "127.0.0.1", 1)]).status == "skipped"


def test_only_hosts_that_the_device_talks_to_anyway_are_asked() -> None:
    assert clock.servers_near(Config()) == []
    config = Config.model_validate(
        {"mqtt": {"url": "mqtts://broker.school"}, "camera": {"source": "http://u:p@cam.school:8080/video"}}
    )
    assert clock.servers_near(config) == [
        ("http", "broker.school", 80),
        ("https", "broker.school", 443),
        ("http", "cam.school", 8080),
    ]


@pytest.mark.parametrize(("year", "status"), [(1970, "fail"), (2023, "fail"), (2026, "ok")])
def test_a_clock_that_was_never_set_is_seen(year: int, status: str) -> None:
    assert clock.plausible((year - 1970) * 365.25 * 86400 + 86400).status == status


def test_the_kernel_is_asked_whether_a_time_server_keeps_the_clock() -> None:
    assert clock.ntp().status in ("ok", "warn", "skipped")  # which one is the machine's business
