"""What systemd is told, as it arrives at a real datagram socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from brokers import until

from edge_runtime.agent import Agent
from edge_runtime.analysis import RoomAnalysis
from edge_runtime.config import Config
from edge_runtime.service_manager import ServiceGroup, ServiceManager

ENDLESS = "simulated://students=4,seed=3,width=640,height=360"


@dataclass
class Systemd:
    """The receiving end of sd_notify(3)."""

    sock: socket.socket
    address: str
    told: list[str] = field(default_factory=list)

    def hear(self) -> list[str]:
        """All that has been said so far."""
        while True:
            try:
                self.told.append(self.sock.recv(4096).decode())
            except BlockingIOError:
                return self.told


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@roomtone-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0"))
        sock.setblocking(False)
        yield Systemd(sock, address)


def test_each_message_is_one_datagram(systemd: Systemd) -> None:
    manager = ServiceManager(systemd.address)
    manager.ready()
    manager.status("two\nlines  of text")
    manager.stopping()
    assert systemd.hear() == ["READY=1", "STATUS=two lines of text", "STOPPING=1"]


def test_alive_is_said_at_most_four_times_in_the_time_allowed(systemd: Systemd) -> None:
    moments_s = iter((0.0, 0.5, 1.9, 2.0, 3.9, 4.1))
    manager = ServiceManager(systemd.address, 8.0, monotonic=lambda: next(moments_s))
    for _ in range(6):
        manager.alive()
    assert systemd.hear() == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    ("environ", "fed"),
    [
        pytest.param({"WATCHDOG_USEC": "1000000"}, 1, id="for everybody"),
        pytest.param(
            {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 1, id="for this process"
        ),
        pytest.param({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, 0, id="for another process"),
        pytest.param({"WATCHDOG_USEC": "soon"}, 0, id="no number"),
        pytest.param({}, 0, id="no watchdog"),
    ],
)
def test_the_watchdog_is_fed_where_the_unit_has_one(
    systemd: Systemd, environ: dict[str, str], fed: int
) -> None:
    ServiceManager.from_environment({"NOTIFY_SOCKET": systemd.address, **environ}).alive()
    assert len(systemd.hear()) == fed


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_systemd_nothing_happens(environ: dict[str, str]) -> None:
    ServiceManager.from_environment(environ).ready()


def test_a_socket_that_is_gone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager(str(tmp_path / "nobody")).ready()
    assert "READY" in caplog.text


def test_the_agent_feeds_the_watchdog_with_frames_and_not_while_its_pipeline_hangs(
    systemd: Systemd, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    hangs, is_held, analyse = threading.Event(), threading.Event(), RoomAnalysis.process

    def process(self: RoomAnalysis, *arguments: Any) -> object:
        while hangs.is_set():
            is_held.set()
            time.sleep(0.01)
        return analyse(self, *arguments)

    monkeypatch.setattr(RoomAnalysis, "process", process)
    config = Config.model_validate(
        {
            "camera": {"source": ENDLESS, "realtime": True},
            "inference": {"bundle": tiny_bundle},
            "room": {"window_s": 1.0, "min_group": 1},
            "stats": {"interval_s": 1.0},
        }
    )
    with Agent(config) as agent:
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            assert until(lambda: systemd.hear().count("WATCHDOG=1") >= 3)
            assert until(lambda: any(line.startswith("STATUS=ok") for line in systemd.hear()))
            hangs.set()
            assert is_held.wait(20)
            fed = systemd.hear().count("WATCHDOG=1")
            time.sleep(0.6)
            assert systemd.hear().count("WATCHDOG=1") == fed
            hangs.clear()
            assert until(lambda: systemd.hear().count("WATCHDOG=1") > fed)
        finally:
            hangs.clear()
            agent.stop()
            thread.join(20)
    assert systemd.hear()[0] == "READY=1"
    assert "STOPPING=1" in systemd.told


def test_a_group_is_ready_when_all_are_and_alive_when_each_has_got_on(systemd: Systemd) -> None:
    group = ServiceGroup(ServiceManager(systemd.address, 1e-9), ["a", "b"])
    a, b = group.member("a"), group.member("b")
    a.ready()
    assert systemd.hear() == []
    b.ready()
    a.alive()
    a.alive()  # `b` hangs: nobody says that the service is alive
    assert systemd.hear() == ["READY=1"]
    b.alive()
    assert systemd.hear() == ["READY=1", "WATCHDOG=1"]


def test_a_group_waits_for_no_member_that_has_ended_until_it_is_ready_again(systemd: Systemd) -> None:
    group = ServiceGroup(ServiceManager(systemd.address, 1e-9), ["a", "b"])
    a, b = group.member("a"), group.member("b")
    for member in (a, b):
        member.ready()
    b.stopping()
    a.alive()
    assert systemd.hear() == ["READY=1", "WATCHDOG=1"]  # and not that the service is stopping
    b.ready()
    a.alive()
    assert systemd.hear() == ["READY=1", "WATCHDOG=1"]
    b.alive()
    assert systemd.hear().count("WATCHDOG=1") == 2


def test_the_lines_of_a_group_are_one(systemd: Systemd) -> None:
    group = ServiceGroup(ServiceManager(systemd.address), ["a", "b"])
    group.member("a").status("ok")
    assert systemd.hear() == ["STATUS=a: ok; b: starting"]
