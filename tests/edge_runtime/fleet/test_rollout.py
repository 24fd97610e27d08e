"""A rollout: first to a few, then to all; stopped by failures, taken up again, undone."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from brokers import Mosquitto, until
from thin_device import OLD, Behaviour, ThinDevice

from edge_runtime.errors import UpdateError
from edge_runtime.fleet.ledger import Ledger, read_ledger
from edge_runtime.fleet.link import FleetLink
from edge_runtime.fleet.rollout import Limits, Rollout, add_new_devices, new_ledger
from edge_runtime.fleet.status import ask_all
from edge_runtime.fleet.table import fleet_table, rollout_table
from edge_runtime.publishing.credentials import Credentials

pytestmark = pytest.mark.broker

NEW = "hafnet@1.1.0"
QUICK = Limits(answer_s=0.4, poll_s=0.3, device_s=20.0)
Start = Callable[..., list[ThinDevice]]


@pytest.fixture
def start(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Start]:
    """Starts devices with these behaviours; the first in the list is the first of the hash order."""
    with ExitStack() as running:

        def begin(*behaviours: Behaviour) -> list[ThinDevice]:
            names = [f"school/room-{number}/camera-1" for number in range(len(behaviours))]
            ledger = new_ledger(NEW, ",".join(f"g{n}=1" for n in range(len(names))) + ",rest", names)
            order = sorted(names, key=lambda name: ledger.devices[name].group)
            return [
                running.enter_context(ThinDevice(name, mosquitto, tmp_path, behaviour))
                for name, behaviour in zip(order, behaviours, strict=True)
            ]

        yield begin


@pytest.fixture
def link(mosquitto: Mosquitto) -> Iterator[FleetLink]:
    with FleetLink(mosquitto.mqtt, Credentials()) as opened:
        yield opened


def online(link: FleetLink, count: int) -> list[str]:
    """Waits until so many devices are there."""

    def found() -> bool:
        link.discover(0.1)
        return sum(device.is_online for device in link.devices.values()) == count

    assert until(found)
    return sorted(link.devices)


def roll(link: FleetLink, path: Path, *, groups: str = "canary=1,rest", **arguments: Any) -> Ledger:
    limits = arguments.pop("limits", QUICK)
    undo = arguments.pop("undo_on_failure", True)
    ledger = new_ledger(NEW, groups, sorted(link.devices))
    return Rollout(link, ledger, path, limits, undo_on_failure=undo).run(**arguments)


def states(ledger: Ledger, devices: list[ThinDevice]) -> list[str]:
    return [ledger.devices[device.name].state for device in devices]


def test_all_devices_get_the_bundle_the_canary_first(link: FleetLink, start: Start, tmp_path: Path) -> None:
    devices = start("commits", "commits", "commits", "commits")
    online(link, 4)
    seen: list[list[int]] = []
    ledger = roll(
        link, tmp_path / "r.json", show=lambda: seen.append([len(device.asked) for device in devices])
    )
    assert ledger.verdict == "done"
    assert states(ledger, devices) == ["committed"] * 4
    assert [device.running for device in devices] == [NEW] * 4
    assert [1, 0, 0, 0] in seen
    assert read_ledger(tmp_path / "r.json") == ledger
    assert rollout_table(ledger).row_count == 2


def test_a_canary_that_fails_ends_the_rollout_before_anybody_else_is_asked(
    link: FleetLink, start: Start, tmp_path: Path
) -> None:
    devices = start("sends back", "commits", "commits")
    online(link, 3)
    ledger = roll(link, tmp_path / "r.json")
    assert (ledger.verdict, states(ledger, devices)) == ("aborted", ["failed", "skipped", "skipped"])
    assert "1 of 1 devices of the group canary failed" in ledger.why
    assert "shadow" in ledger.devices[devices[0].name].reason
    assert [device.asked for device in devices[1:]] == [[], []]


@pytest.mark.parametrize(
    ("undo", "verdict", "state", "runs"),
    [
        pytest.param(True, "aborted", "undone", OLD, id="rolled back"),
        pytest.param(False, "stopped", "committed", NEW, id="only stopped"),
    ],
)
def test_too_many_failures_undo_what_was_activated_or_only_stop(
    link: FleetLink, start: Start, tmp_path: Path, undo: bool, verdict: str, state: str, runs: str
) -> None:
    devices = start("commits", "sends back", "refuses", "commits")
    online(link, 4)
    ledger = roll(
        link, tmp_path / "r.json", undo_on_failure=undo, limits=Limits(answer_s=0.4, poll_s=0.3, at_once=2)
    )
    assert ledger.verdict == verdict
    assert ledger.devices[devices[0].name].state == state
    assert devices[0].running == runs
    assert "failed" in states(ledger, devices)[1:3]
    assert NEW not in [device.running for device in devices[1:3]]


def test_failures_within_the_limit_are_counted_and_no_more(
    link: FleetLink, start: Start, tmp_path: Path
) -> None:
    devices = start("commits", "sends back", "commits", "commits")
    online(link, 4)
    limits = Limits(answer_s=0.4, poll_s=0.3, max_failures=0.34, min_success=0.5)
    ledger = roll(link, tmp_path / "r.json", limits=limits)
    assert (ledger.verdict, states(ledger, devices)) == (
        "done",
        ["committed", "failed", "committed", "committed"],
    )


def test_too_few_successes_end_the_rollout(link: FleetLink, start: Start, tmp_path: Path) -> None:
    devices = start("commits", "sends back", "commits", "commits")
    online(link, 4)
    limits = Limits(answer_s=0.4, poll_s=0.3, max_failures=0.5, min_success=0.9)
    ledger = roll(link, tmp_path / "r.json", groups="half=2,rest", limits=limits)
    assert "only 1 of 2 devices of the group half took it" in ledger.why
    assert ledger.verdict == "aborted"
    assert devices[0].running == OLD


@pytest.mark.parametrize(
    ("behaviour", "state", "says"),
    [
        pytest.param("loses the answer", "committed", "", id="the last answer got lost"),
        pytest.param("never ends", "failed", "no outcome", id="no outcome"),
        pytest.param("is silent", "failed", "does not answer", id="no answer"),
        pytest.param("is unwell", "skipped", "camera_lost", id="not well"),
        pytest.param("refuses", "failed", "switched off", id="not allowed"),
    ],
)
def test_a_device_that_goes_its_own_way(
    link: FleetLink, start: Start, tmp_path: Path, behaviour: Behaviour, state: str, says: str
) -> None:
    (device,) = start(behaviour)
    online(link, 1)
    limits = Limits(answer_s=0.3, poll_s=0.3, device_s=3.0, max_failures=1.0, min_success=0.0)
    ledger = roll(link, tmp_path / "r.json", groups="rest", limits=limits)
    assert ledger.devices[device.name].state == state
    assert says in ledger.devices[device.name].reason


def test_a_device_that_runs_it_already_is_not_asked_and_not_undone(
    link: FleetLink, start: Start, tmp_path: Path
) -> None:
    devices = start("commits", "sends back", "sends back")
    devices[0].running = NEW
    online(link, 3)
    ledger = roll(link, tmp_path / "r.json")
    assert states(ledger, devices)[0] == "already"
    assert "failed" in states(ledger, devices)
    assert (devices[0].asked, devices[0].running) == ([], NEW)
    assert "bundle/rollback" not in devices[0].commands


def test_an_offline_device_is_passed_over_and_gets_its_turn_later(
    link: FleetLink, start: Start, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    devices = start("commits", "commits", "commits")
    online(link, 3)
    devices[2].__exit__()
    online(link, 2)
    path = tmp_path / "r.json"
    ledger = roll(link, path)
    assert (ledger.verdict, states(ledger, devices)) == ("done", ["committed", "committed", "skipped"])
    with ThinDevice(devices[2].name, mosquitto, tmp_path) as back:
        online(link, 3)
        ledger = Rollout(link, read_ledger(path), path, QUICK).run()
        assert ledger.devices[back.name].state == "committed"
        assert back.running == NEW
    assert [len(device.asked) for device in devices] == [1, 1, 0]


def test_when_no_canary_is_there_nobody_else_is_asked(link: FleetLink, start: Start, tmp_path: Path) -> None:
    devices = start("commits", "commits")
    online(link, 2)
    devices[0].__exit__()
    online(link, 1)
    ledger = roll(link, tmp_path / "r.json")
    assert ledger.verdict == "stopped"
    assert "no device of the group canary" in ledger.why
    assert devices[1].asked == []


def test_an_interrupted_rollout_goes_on_where_it_was(link: FleetLink, start: Start, tmp_path: Path) -> None:
    devices = start("commits", "commits", "commits")
    online(link, 3)
    path = tmp_path / "r.json"

    def interrupt() -> None:
        if devices[0].running == NEW:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        roll(link, path, show=interrupt)
    ledger = read_ledger(path)
    assert ledger.verdict == "paused"
    ledger = Rollout(link, ledger, path, QUICK).run()
    assert ledger.verdict == "done"
    assert [len(device.asked) for device in devices] == [1, 1, 1]


def test_a_pause_holds_the_next_devices_back_and_a_no_the_next_group(
    link: FleetLink, start: Start, tmp_path: Path
) -> None:
    devices = start("commits", "commits", "commits")
    online(link, 3)
    asked: list[str] = []
    ledger = roll(link, tmp_path / "r.json", may_go_on=lambda group: bool(asked.append(group)))
    assert (ledger.verdict, ledger.why) == ("paused", "before the group rest")
    assert asked == ["rest"]
    turns = iter([True] * 4)
    seen: list[int] = []
    Rollout(link, ledger, tmp_path / "r.json", QUICK).run(
        is_paused=lambda: next(turns, False), show=lambda: seen.append(len(devices[1].asked))
    )
    assert seen[:3] == [0, 0, 0]
    assert devices[2].running == NEW


def test_an_operator_may_undo_a_rollout_that_was_done(link: FleetLink, start: Start, tmp_path: Path) -> None:
    devices = start("commits", "commits")
    online(link, 2)
    path = tmp_path / "r.json"
    roll(link, path)
    ledger = Rollout(link, read_ledger(path), path, QUICK).abort("the principal said so")
    assert (ledger.verdict, states(ledger, devices)) == ("aborted", ["undone", "undone"])
    assert [device.running for device in devices] == [OLD, OLD]


def test_of_a_url_the_first_device_tells_which_bundle_it_is(
    link: FleetLink, start: Start, tmp_path: Path
) -> None:
    devices = start("commits", "loses the answer")
    online(link, 2)
    ledger = new_ledger(
        "https://school.example/b.tar", "canary=1,rest", sorted(link.devices), sha256="0" * 64
    )
    assert Rollout(link, ledger, tmp_path / "r.json", QUICK).run().verdict == "done"
    assert ledger.identity == NEW
    assert devices[0].asked == ["https://school.example/b.tar"]


def test_a_device_that_comes_later_belongs_to_the_last_group() -> None:
    ledger = new_ledger(NEW, "canary=1,rest", ["a/a/a"])
    add_new_devices(ledger, ["a/a/a", "b/b/b"])
    assert {name: device.group for name, device in ledger.devices.items()} == {
        "a/a/a": "canary",
        "b/b/b": "rest",
    }


def test_a_broker_that_goes_away_for_a_while_costs_nothing(
    link: FleetLink, start: Start, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    devices = start("commits", "commits")
    online(link, 2)
    back = threading.Timer(0.5, mosquitto.start)

    def pull_the_plug() -> None:
        if devices[0].running == NEW and back.ident is None:
            mosquitto.stop()
            back.start()

    limits = Limits(answer_s=2.0, poll_s=0.5, device_s=60.0, tries=10)
    ledger = roll(link, tmp_path / "r.json", groups="rest", show=pull_the_plug, limits=limits)
    back.join()  # or the broker would start behind the test's end, and nobody would stop it
    assert states(ledger, devices) == ["committed", "committed"]


def test_the_fleet_is_shown_with_what_each_device_runs(link: FleetLink, start: Start) -> None:
    devices = start("commits", "is unwell")
    online(link, 2)
    health = ask_all(link, 3.0)
    assert {name: told["health"] for name, told in health.items()} == {
        devices[0].name: "ok",
        devices[1].name: "camera_lost",
    }
    assert fleet_table(link.devices, health).row_count == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema":"roomtone-rollout/9"}'])
def test_a_state_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UpdateError, match=r"r\.json"):
        read_ledger(tmp_path / "r.json")


# The command, as an operator types it.


def fleet(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_runtime", "fleet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def test_the_command_rolls_out_tells_json_and_undoes(
    start: Start, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    devices = start("commits", "commits", "commits")
    broker = ["--broker", mosquitto.mqtt.url or "", "--listen", "1"]
    done = fleet("rollout", "--bundle", NEW, "--groups", "canary=1,rest", "--json", *broker, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "done"
    file = tmp_path / "rollout-hafnet-1.1.0.json"
    shown = fleet("status", "--json", *broker, cwd=tmp_path)
    assert {row["bundle"] for row in json.loads(shown.stdout)} == {NEW}
    undone = fleet("abort", "--state", str(file), *broker, cwd=tmp_path)
    assert undone.returncode == 20
    assert "aborted by the operator; 3 devices are rolled back" in undone.stderr
    assert [device.running for device in devices] == [OLD] * 3


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["--bundle", NEW, "--groups", "canary"], 20, "--groups", id="no groups"),
        pytest.param(["--bundle", NEW, "--max-failures", "0.1"], 2, "per cent", id="no per cent"),
        pytest.param(["--bundle", NEW, "--on-failure", "pray"], 2, "rollback or stop", id="no way out"),
        pytest.param(["--bundle", NEW], 20, "no device", id="nobody there"),
    ],
)
def test_a_rollout_that_cannot_begin_says_why(
    mosquitto: Mosquitto, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    done = fleet("rollout", *arguments, "--broker", mosquitto.mqtt.url or "", "--listen", "0.2", cwd=tmp_path)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
