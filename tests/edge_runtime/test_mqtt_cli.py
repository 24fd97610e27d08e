"""`roomtone mqtt` as an admin types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from brokers import PASSWORD, Listener, Mosquitto, until
from typer.testing import CliRunner, Result

from edge_runtime.commands.mqtt import app
from edge_runtime.errors import (
    AmbiguousDeviceError,
    BrokerRefusedError,
    DeviceOnlineError,
    UnknownDeviceError,
)
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.discovery import Discovery
from edge_runtime.publishing.payloads import PAYLOADS
from edge_runtime.publishing.topics import Topics


def mqtt(*arguments: str, **options: str) -> Result:
    return CliRunner().invoke(app, [*arguments], **options)  # type: ignore[arg-type]


def test_one_schema_is_printed_as_json_and_nothing_else() -> None:
    assert json.loads(mqtt("schema", "stats").stdout)["$id"] == "urn:roomtone:roomtone-stats/1"


def test_without_a_name_all_schemas_are_printed_by_their_ids() -> None:
    assert json.loads(mqtt("schema").stdout).keys() == {payload.SCHEMA_ID for payload in PAYLOADS}


def test_the_contract_is_written_into_a_folder(tmp_path: Path) -> None:
    done = mqtt("schema", "--out", str(tmp_path / "contract"))
    assert done.exit_code == 0
    assert str(tmp_path / "contract" / "asyncapi.device.json") in done.stdout.splitlines()
    assert json.loads((tmp_path / "contract" / "roomtone-info-1.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("view", ["device", "admin"])
def test_an_asyncapi_document_is_printed(view: str) -> None:
    printed = json.loads(mqtt("asyncapi", "--view", view).stdout)
    assert (printed["asyncapi"], printed["id"]) == ("3.0.0", f"urn:roomtone:{view}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["schema", "mood"], "there are emotion", id="a payload that is none"),
        pytest.param(["schema", "emotion", "--out", "x"], "leave NAME away", id="a name and a folder"),
        pytest.param(["schema", "--out", "/dev/null/x"], "cannot be written", id="a folder that cannot be"),
        pytest.param(["asyncapi", "--view", "cat"], "'cat' is not one of", id="a view that is none"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(arguments: list[str], words: str) -> None:
    done = mqtt(*arguments)
    assert done.exit_code == 2
    assert words in " ".join(done.output.replace("│", " ").split())


def remember(
    broker: Mosquitto, topics: Topics, *, availability: bytes = b"offline", user: Credentials | None = None
) -> list[str]:
    """Puts onto the broker what a device leaves there, and returns the topics."""
    described = Discovery.describing(topics, prefix="homeassistant", labels=[], window_s=60, stats_s=60)
    retained = {
        topics.availability: availability,
        topics.state: b"{}",
        topics.enabled_state: b"ON",
        topics.status("infer"): b"online",
        f"{topics.base}/a/leaf/of/a/later/version": b"1",
        described.topic: described.payload,
        f"roomtone/alert/{topics.base.removeprefix('roomtone/')}/offline": b"{}",
    }
    with Listener(broker, user) as publisher:
        for topic, payload in retained.items():
            publisher.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(5)
    return sorted(retained)


def retained(broker: Mosquitto, user: Credentials | None = None) -> set[str]:
    with Listener(broker, user, pattern="#") as late:
        late.client.publish("fence", b"", qos=1)
        assert until(lambda: late.payloads("fence"))
        return {message.topic for message in late.messages if message.retain}


CAMERA, NEIGHBOUR = Topics("north", "r12", "camera-1"), Topics("north", "r13", "camera-1")


@pytest.mark.broker
def test_forgetting_a_device_clears_all_its_topics_and_nobody_elses(mosquitto: Mosquitto) -> None:
    topics = remember(mosquitto, CAMERA)
    kept = remember(mosquitto, NEIGHBOUR)
    done = mqtt("forget", "r12/camera-1", "--broker", mosquitto.mqtt.url or "", input="y\n")
    assert done.exit_code == 0, done.output
    assert all(topic in done.stdout for topic in topics)
    assert "7 topics cleared" in done.stdout
    assert retained(mosquitto) == set(kept)


@pytest.mark.broker
def test_without_a_yes_nothing_is_cleared(mosquitto: Mosquitto) -> None:
    topics = remember(mosquitto, CAMERA)
    assert mqtt("forget", "camera-1", "--broker", mosquitto.mqtt.url or "", input="n\n").exit_code == 1
    assert retained(mosquitto) == set(topics)


@pytest.mark.broker
def test_a_device_that_is_online_is_forgotten_by_force_only(mosquitto: Mosquitto) -> None:
    topics = remember(mosquitto, CAMERA, availability=b"online")
    refused = mqtt("forget", "camera-1", "--broker", mosquitto.mqtt.url or "", "--yes")
    assert isinstance(refused.exception, DeviceOnlineError)
    assert "stop it first" in refused.exception.hint
    assert retained(mosquitto) == set(topics)
    done = mqtt("forget", "camera-1", "--broker", mosquitto.mqtt.url or "", "--yes", "--force", "--json")
    told = {"device": "roomtone/north/r12/camera-1", "cleared": topics, "left": []}
    assert json.loads(done.stdout) == told
    assert retained(mosquitto) == set()


@pytest.mark.broker
def test_a_name_that_two_devices_have_is_answered_with_both(mosquitto: Mosquitto) -> None:
    remember(mosquitto, CAMERA)
    remember(mosquitto, NEIGHBOUR)
    done = mqtt("forget", "camera-1", "--broker", mosquitto.mqtt.url or "", "--yes")
    assert isinstance(done.exception, AmbiguousDeviceError)
    assert done.exception.candidates == ("north/r12/camera-1", "north/r13/camera-1")


@pytest.mark.broker
@pytest.mark.parametrize("name", ["camera-9", "north/r12/camera-1"])
def test_a_device_of_which_nothing_is_kept_is_unknown(mosquitto: Mosquitto, name: str) -> None:
    done = mqtt("forget", name, "--broker", mosquitto.mqtt.url or "", "--yes")
    assert isinstance(done.exception, UnknownDeviceError)


@pytest.mark.broker
def test_a_description_without_a_device_can_be_forgotten_by_the_whole_name(mosquitto: Mosquitto) -> None:
    described = Discovery.describing(CAMERA, prefix="ha", labels=[], window_s=60, stats_s=60)
    with Listener(mosquitto) as publisher:
        publisher.client.publish(described.topic, described.payload, qos=1, retain=True).wait_for_publish(5)
    where = ("--broker", mosquitto.mqtt.url or "", "--prefix", "ha", "--yes")
    assert mqtt("forget", "north/r12/camera-1", *where).exit_code == 0
    assert retained(mosquitto) == set()


@pytest.mark.broker
def test_who_may_read_but_not_clear_is_told_so(stopped_mosquitto: Mosquitto) -> None:
    rights = stopped_mosquitto.folder / "rights"
    rights.write_text("topic read #\nuser admin\ntopic readwrite #\n")
    stopped_mosquitto.settings += f"acl_file {rights}\nuser root\n"
    stopped_mosquitto.start()
    topics = remember(stopped_mosquitto, CAMERA, user=Credentials("admin", PASSWORD))
    done = mqtt("forget", "camera-1", "--broker", stopped_mosquitto.mqtt.url or "", "--yes")
    assert isinstance(done.exception, BrokerRefusedError)
    assert "does not let clients without a user name clear roomtone/north/r12" in str(done.exception)
    assert retained(stopped_mosquitto, Credentials("admin", PASSWORD)) == set(topics)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["a/b/c/d", "--yes"], "is not site/room/device", id="four levels"),
        pytest.param(["Room 12", "--yes"], "a topic level is", id="no identifier"),
        pytest.param(["r12/+", "--yes"], "a topic level is", id="a wildcard"),
        pytest.param(["camera-1", "--json"], "add --yes", id="JSON that would have to ask"),
    ],
)
@pytest.mark.broker
def test_a_name_that_is_none_is_a_usage_error(mosquitto: Mosquitto, arguments: list[str], words: str) -> None:
    done = mqtt("forget", *arguments, "--broker", mosquitto.mqtt.url or "")
    assert done.exit_code == 2
    assert words in " ".join(done.output.replace("│", " ").split())
