"""A candidate in a running device: beside the current bundle, in its place, and then for good or back."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from agents import working
from brokers import Listener, Mosquitto, until
from update_parts import Keys, StartServer, Versions, pack

from edge_runtime.agent import Agent
from edge_runtime.bundle import open_bundle
from edge_runtime.bundle_signing import sign_bundle
from edge_runtime.config import Config
from edge_runtime.errors import EngineError
from edge_runtime.faces.landmark_pupils import LandmarkPupils
from edge_runtime.inference.engine import EngineReport
from edge_runtime.inference.tuning import open_tuned_engine
from edge_runtime.publishing.request_payloads import Response
from edge_runtime.resources import Resources
from edge_runtime.updates import starting
from edge_runtime.updates.activation import activate
from edge_runtime.updates.installing import install
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.starting import open_slots

BASE = "roomtone/trial/room/camera-1"
ROOM = "simulated://students=8,seed=3,width=960,height=540"
QUICK = {
    "shadow_s": 0.0,
    "shadow_faces": 20,
    "health_window_s": 1.0,
    "min_fps_ratio": 0.0,
    "max_face_ms": 1e4,
}
Make = Callable[..., Config]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A configuration without a bundle of its own, and with quick trials."""

    def configuration(url: str | None = None, **sections: dict[str, Any]) -> Config:
        document: dict[str, dict[str, Any]] = {
            "camera": {"source": ROOM, "realtime": True},
            "inference": {"classify_rate_hz": 10.0},
            "room": {"window_s": 1.0, "min_group": 1, "min_track_s": 0.0},
            "stats": {"interval_s": 1.0},
            "outbox": {"path": tmp_path / "outbox.sqlite3"},
            "updates": QUICK | {"directory": tmp_path / "state" / "bundles"},
        }
        if url is not None:
            document["mqtt"] = {"url": url}
        for name, keys in sections.items():
            document[name] = document.get(name, {}) | keys
        return Config.model_validate(document)

    return configuration


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.updates.trial._TICK_S", 0.1)


@pytest.fixture(autouse=True)
def tiny_is_current(slots: Slots, versions: Versions, keys: Keys) -> str:
    """Digest of the current bundle, which is signed."""
    folder = versions("0.2.0")
    sign_bundle(folder, keys.private)
    candidate = install(slots, str(folder), Config().updates)
    slots.mark(candidate.digest, "checked")
    return slots.commit().digest


def settled(slots: Slots, digest: str, timeout_s: float = 30) -> bool:
    """Waits until a bundle is current and none is on trial."""
    return until(
        lambda: (table := slots.table()).candidate is None and table.current.digest == digest, timeout_s
    )


def begin(slots: Slots, folder: Path, config: Config) -> str:
    candidate = install(slots, str(folder), config.updates)
    activate(slots, config).require(str(candidate))
    return candidate.digest


def other_mind(versions: Versions, seal_bundle, tiny_network) -> Path:
    """A bundle whose network names the label that the current one thinks least likely."""
    folder = versions("0.3.0")
    network = type(tiny_network)(tiny_network.kernels, -tiny_network.weight, -tiny_network.bias)
    onnx.save(network.onnx(), folder / "model.fp32.onnx")
    with np.load(folder / "golden.npz") as archive:
        arrays = dict(archive)
    np.savez(folder / "golden.npz", **(arrays | {"logits": network(arrays["crops"])}))
    return seal_bundle(folder, version="0.3.0")


def test_a_candidate_that_agrees_is_tried_and_committed_and_no_window_is_lost(
    slots: Slots, versions: Versions, make: Make
) -> None:
    events = []
    config = make()
    with working(config, on_event=events.append) as agent:
        assert until(lambda: len(events) >= 1)
        digest = begin(slots, versions("0.3.0"), config)
        assert settled(slots, digest)
        assert agent.info().bundle_version == "0.3.0"
        assert slots.table().previous.version == "0.2.0"
        assert slots.table().floors == {"tiny": "0.3.0"}
        seen = len(events)
        assert until(lambda: len(events) > seen)
    # The change cuts one window short, and the end another; none if it was just closed.
    assert sum(event.partial for event in events) <= 2
    assert [event.seq for event in events] == sorted({event.seq for event in events})


def test_a_candidate_that_learned_from_landmarks_is_shown_faces_that_are_cut_by_them(
    slots: Slots, versions: Versions, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    find = LandmarkPupils.find

    def noted(self: LandmarkPupils, *args: Any) -> Any:
        looked.append(slots.table().candidate is not None)
        return find(self, *args)

    monkeypatch.setattr(LandmarkPupils, "find", noted)
    # Two ways to cut are two crops: how often they name the same label is not what is tested here.
    config = make(updates=make().updates.model_dump() | {"min_agreement": 0.0})
    with working(config) as agent:
        digest = begin(slots, versions("0.3.0", pupils="landmarks"), config)
        assert settled(slots, digest, 120)
        assert agent.info().bundle_digest == digest
        assert until(lambda: False in looked)  # now it runs
    assert looked[0]  # and in the shadow it was shown them, too


def test_a_candidate_whose_landmark_network_is_not_there_is_sent_back(
    slots: Slots,
    versions: Versions,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    tiny_is_current: str,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(
        "edge_runtime.inference.pupil_search.packaged_landmarks_path", lambda: tmp_path / "gone"
    )
    config = make()
    with working(config) as agent:
        begin(slots, versions("0.3.0", pupils="landmarks"), config)
        assert settled(slots, tiny_is_current)
        assert agent.info().bundle_digest == tiny_is_current
    assert "gone" in slots.table().rejected.reason


def test_a_candidate_that_disagrees_is_sent_back_and_never_runs(
    slots: Slots, versions: Versions, make: Make, seal_bundle, tiny_network, tiny_is_current: str
) -> None:
    config = make()
    with working(config) as agent:
        begin(slots, other_mind(versions, seal_bundle, tiny_network), config)
        assert settled(slots, tiny_is_current)
        assert agent.info().bundle_digest == tiny_is_current
    assert "agrees with the current bundle on" in slots.table().rejected.reason


class FailsLater:
    """A network that is right while it is looked at, and fails when it is on its own: no real one does so on demand."""

    def __init__(self, engine: Any, calls: int) -> None:
        self._engine, self._calls = engine, calls
        self.report: EngineReport = engine.report

    def logits(self, crops: np.ndarray) -> np.ndarray:
        self._calls -= 1
        if self._calls < 0:
            raise EngineError("the network burns")
        return self._engine.logits(crops)


@pytest.mark.parametrize(
    ("calls", "where"),
    [pytest.param(0, "shadow", id="in the shadow"), pytest.param(12, "trial", id="on trial")],
)
def test_a_network_that_fails_is_sent_back_while_the_room_goes_on_being_read(
    slots: Slots,
    versions: Versions,
    make: Make,
    tiny_is_current: str,
    monkeypatch: pytest.MonkeyPatch,
    calls: int,
    where: str,
) -> None:
    def opened(bundle, settings, state):
        choice = open_tuned_engine(bundle, settings, state)
        if bundle.manifest.version != "0.3.0":
            return choice
        return type(choice)(
            FailsLater(choice.engine, calls), choice.variant, choice.reason, choice.golden_difference
        )

    config = make(updates={**make().updates.model_dump(), "health_window_s": 60.0, "shadow_faces": 8})
    events = []
    with working(config, on_event=events.append) as agent:
        monkeypatch.setattr("edge_runtime.updates.starting.open_tuned_engine", opened)
        begin(slots, versions("0.3.0"), config)
        assert settled(slots, tiny_is_current)
        assert until(lambda: agent.info().bundle_digest == tiny_is_current)
        before = len(events)
        assert until(lambda: len(events) >= before + 2 and events[-1].readable_max > 0)
    assert slots.table().rejected.reason == f"{where}: the network burns"


def test_a_candidate_that_slows_the_room_down_is_sent_back(
    slots: Slots, versions: Versions, make: Make, tiny_is_current: str
) -> None:
    config = make(updates=make().updates.model_dump() | {"min_fps_ratio": 1.0, "health_window_s": 1.0})
    with working(config) as agent:
        begin(slots, versions("0.3.0"), config)
        assert until(lambda: agent.info().bundle_version == "0.3.0", 20)
        agent._trials._before.frames *= 10  # as if there had been ten times as many before it
        assert settled(slots, tiny_is_current)
    assert "frames/s" in slots.table().rejected.reason


def test_a_commit_and_a_rollback_at_the_keyboard_are_followed(
    slots: Slots, versions: Versions, make: Make, tiny_is_current: str
) -> None:
    config = make(updates=make().updates.model_dump() | {"shadow_faces": 100_000})
    with working(config) as agent:
        assert until(slots.has_agent)
        digest = begin(slots, versions("0.3.0"), config)
        assert until(lambda: slots.table().candidate.attempts == 1)
        slots.commit()
        assert until(lambda: agent.info().bundle_digest == digest)
        slots.rollback("the operator did not like it")
        assert until(lambda: agent.info().bundle_digest == tiny_is_current)
    assert not slots.has_agent()


def test_of_the_cameras_of_a_board_one_tries_a_candidate_and_all_run_what_it_commits(
    slots: Slots, versions: Versions, make: Make
) -> None:
    rooms = [
        make(device={"room": room}, outbox={"path": tmp}, updates={"health_window_s": 2.0})
        for room, tmp in (("room-12", "a.sqlite3"), ("room-13", "b.sqlite3"))
    ]
    with Resources() as board, ExitStack() as at_work:
        agents = [at_work.enter_context(working(room, resources=board)) for room in rooms]
        digest = begin(slots, versions("0.3.0"), rooms[0])
        assert until(lambda: digest in [agent.info().bundle_digest for agent in agents], 20)
        assert [agent.info().bundle_digest for agent in agents].count(digest) == 1
        assert settled(slots, digest)
        assert until(lambda: {agent.info().bundle_digest for agent in agents} == {digest})
        assert until(lambda: len(board.engines.in_use()) == 1)


def test_a_restart_in_the_middle_of_a_trial_runs_the_committed_bundle_and_tries_again(
    slots: Slots, versions: Versions, make: Make, tiny_is_current: str
) -> None:
    long = make(updates=make().updates.model_dump() | {"health_window_s": 600.0})
    with working(long) as agent:
        digest = begin(slots, versions("0.3.0"), long)
        assert until(lambda: agent.info().bundle_digest == digest, 20)
    # It was told to stop, so that is not the candidate's fault, and its trial begins anew.
    assert (slots.table().candidate.phase, slots.table().candidate.attempts) == ("checked", 0)
    slots.mark(digest, "trial", attempts=1)  # as a power cut leaves it
    with working(make()) as agent:
        assert agent.info().bundle_digest == tiny_is_current
        assert settled(slots, digest)
    assert slots.running().bundle.digest == digest


def test_a_start_passes_over_a_bundle_that_is_not_right_on_this_cpu(
    slots: Slots, versions: Versions, make: Make, seal_bundle, tiny_is_current: str
) -> None:
    folder = versions("0.3.0")
    with np.load(folder / "golden.npz") as archive:
        arrays = dict(archive)
    np.savez(folder / "golden.npz", **(arrays | {"logits": arrays["logits"] + 1}))
    candidate = install(slots, str(seal_bundle(folder, version="0.3.0")), Config().updates)
    slots.mark(candidate.digest, "checked")  # as on another CPU
    slots.commit()
    with Agent(make()) as agent:
        assert agent.info().bundle_digest == tiny_is_current
        assert "golden logits" in agent.info().engine_reason


def test_beside_a_service_a_command_means_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "SERVICE_STATE", tmp_path / "var")
    monkeypatch.setattr(starting, "SERVICE_CONFIGURATION", tmp_path / "etc")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert starting.cli_state_directory() != tmp_path / "var"
    assert starting.cli_configuration() == []
    (tmp_path / "var").mkdir()
    (tmp_path / "etc").mkdir()
    assert starting.cli_state_directory() == tmp_path / "var"
    assert starting.cli_configuration() == [tmp_path / "etc"]
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "mine"))
    assert starting.cli_state_directory() == tmp_path / "mine"
    assert starting.cli_configuration() == []


# Over MQTT.


class Asker:
    """Sends requests and reads the responses; knows the device by its topics only."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._numbers = listener, itertools.count()

    def ask(self, command: str, payload: bytes | None = None, **keys: str) -> str:
        transaction = keys.get("transaction", f"t{next(self._numbers)}")
        text = json.dumps({"transaction": transaction, **keys}).encode() if payload is None else payload
        self._listener.client.publish(f"{BASE}/request/{command}", text, qos=1)
        return transaction

    def responses(self, command: str) -> list[Response]:
        return [Response.decode(payload) for payload in self._listener.payloads(f"{BASE}/response/{command}")]

    def answer(
        self, command: str, *, timeout_s: float = 20, payload: bytes | None = None, **keys: str
    ) -> Response:
        """The last word on a request, to a device that is there."""
        assert until(lambda: self._listener.last(f"{BASE}/availability") == "online")
        have = len(self.responses(command))
        self.ask(command, payload, **keys)
        assert until(
            lambda: any(response.status != "accepted" for response in self.responses(command)[have:]),
            timeout_s,
        ), self.responses(command)
        return self.responses(command)[-1]


@pytest.fixture
def asker(mosquitto: Mosquitto) -> Iterator[Asker]:
    with Listener(mosquitto) as listener:
        yield Asker(listener)


@pytest.mark.broker
def test_questions_are_answered_and_orders_refused_unless_they_are_allowed(
    make: Make, mosquitto: Mosquitto, asker: Asker, tiny_is_current: str
) -> None:
    with working(make(mosquitto.mqtt.url)):
        health = asker.answer("health_check", transaction="7")
        assert (health.status, health.transaction, health.command) == ("ok", "7", "health_check")
        assert health.data["bundle_digest"] == tiny_is_current
        assert health.data["phase"] == "idle"
        assert until(lambda: asker.answer("health_check").data["health"] == "ok")
        stats = asker.answer("stats", payload=b"")
        assert stats.transaction is None
        assert {"fps", "frames", "scan_p50_ms"} <= stats.data.keys()
        for command in ("reload", "bundle/activate", "bundle/rollback"):
            refused = asker.answer(command)
            assert refused.status == "error"
            assert "allow_remote" in refused.error


@pytest.mark.broker
def test_a_retained_request_is_not_obeyed_and_a_repeated_one_only_once(
    make: Make, mosquitto: Mosquitto, asker: Asker, slots: Slots, versions: Versions
) -> None:
    config = make(mosquitto.mqtt.url, updates=make().updates.model_dump() | {"allow_remote": True})
    asker._listener.client.publish(f"{BASE}/request/bundle/rollback", b"", qos=1)
    asker._listener.client.publish(
        f"{BASE}/request/bundle/rollback", b'{"transaction":"old"}', qos=1, retain=True
    )
    with working(config):
        assert asker.answer("health_check").status == "ok"
        assert asker.responses("bundle/rollback") == []
        first = asker.answer("bundle/rollback", transaction="r1")
        assert first.data["rolled_back"] == "tiny@0.2.0"
        assert asker.answer("bundle/rollback", transaction="r1") == first
        assert "nothing to roll back" in asker.answer("bundle/rollback", transaction="r2").error
        assert until(lambda: asker.answer("health_check").data["bundle"].startswith("default@"))


@pytest.mark.broker
def test_a_signed_bundle_is_fetched_tried_and_committed_on_request(
    make: Make,
    mosquitto: Mosquitto,
    asker: Asker,
    slots: Slots,
    versions: Versions,
    keys: Keys,
    file_server: StartServer,
    certificates,
    tmp_path: Path,
) -> None:
    folder = versions("0.3.0")
    sign_bundle(folder, keys.private)
    server = file_server(pack(folder, tmp_path / "b.tar").read_bytes())
    trust = {"require_signature": True, "public_key": keys.public, "ca_file": certificates / "ca.pem"}
    slow = {"shadow_s": 2.0}  # phases are looked at twice a second
    updates = make().updates.model_dump() | trust | slow | {"allow_remote": True}
    with working(config := make(mosquitto.mqtt.url, updates=updates)):
        done = asker.answer("bundle/activate", bundle=server.url, timeout_s=40)
        assert done.status == "ok", done
        assert (done.data["outcome"], done.data["bundle"]) == ("committed", "tiny@0.3.0")
        phases = [r.data["phase"] for r in asker.responses("bundle/activate") if r.status == "accepted"]
        assert phases == ["begun", "installing", "checking", "shadow", "trial"]
        assert until(lambda: '"bundle_version":"0.3.0"' in (asker._listener.last(f"{BASE}/info") or ""))
        again = asker.answer("bundle/activate", bundle="tiny@0.3.0")
        assert (again.status, again.data["outcome"]) == ("ok", "already current")
        again = asker.answer("bundle/activate", bundle=server.url)
        assert (again.status, again.data["outcome"]) == ("ok", "already current")
        server.etag = '"two"'
        server.data = pack(versions("0.4.0"), tmp_path / "unsigned.tar").read_bytes()
        unsigned = asker.answer("bundle/activate", bundle=server.url)
        assert "bundle.sig" in unsigned.error
    assert slots.running().bundle.manifest.version == "0.3.0"
    assert open_slots(config.updates, tmp_path).running().problem == ""


@pytest.mark.broker
def test_a_device_that_checks_no_signatures_takes_no_bundle_that_is_named_over_mqtt(
    make: Make, mosquitto: Mosquitto, asker: Asker, slots: Slots, versions: Versions
) -> None:
    config = make(mosquitto.mqtt.url, updates=make().updates.model_dump() | {"allow_remote": True})
    with working(config):
        response = asker.answer("bundle/activate", bundle="https://elsewhere.example/b.tar")
        assert "must be signed" in response.error
        assert "no candidate" in asker.answer("bundle/activate").error
        # What an installer put there is trusted as he was.
        install(slots, str(versions("0.3.0")), config.updates)
        done = asker.answer("bundle/activate", bundle="tiny@0.3.0", timeout_s=40)
        assert done.data["outcome"] == "committed"


@pytest.mark.broker
def test_reload_reads_the_configuration_again_and_a_faulty_one_changes_nothing(
    make: Make, mosquitto: Mosquitto, asker: Asker
) -> None:
    from edge_runtime.config_file import parse_config

    allowed = make().updates.model_dump() | {"allow_remote": True}
    texts = ["[room]\nwindw_s = 3", '[deployment]\njurisdiction = "FR"\npurpose = "wellbeing"', ""]
    with Agent(
        make(mosquitto.mqtt.url, updates=allowed), read_config=lambda: parse_config(texts.pop(0))
    ) as agent:
        thread = threading.Thread(target=agent.run)
        thread.start()
        assert "windw_s" in asker.answer("reload").error
        assert "Art. 5(1)(f)" in asker.answer("reload").error
        assert agent.next_config is None
        assert asker.answer("reload").data["outcome"] == "restarting"
        thread.join(20)
        assert not thread.is_alive()
        assert agent.next_config == Config()


@pytest.mark.broker
def test_a_device_whose_configuration_names_its_bundle_says_so(
    make: Make, mosquitto: Mosquitto, asker: Asker, versions: Versions
) -> None:
    folder = versions("0.9.0")
    config = make(
        mosquitto.mqtt.url,
        inference={"bundle": folder},
        updates=make().updates.model_dump() | {"allow_remote": True},
    )
    with working(config):
        assert asker.answer("health_check").data["bundle_digest"] == open_bundle(folder).digest
        for command in ("bundle/activate", "bundle/rollback"):
            assert "names its bundle itself" in asker.answer(command).error
