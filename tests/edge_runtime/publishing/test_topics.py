"""Topics and their delivery, against the table of the design."""

import pytest
from publishing_parts import TOPICS

from edge_runtime.publishing.topics import (
    COMMANDS,
    DELIVERY,
    ROLES,
    Address,
    Command,
    Leaf,
    Topics,
    watch_pattern,
)

HAVE_MORE_BEHIND = (Leaf.STATUS, Leaf.REQUEST, Leaf.RESPONSE)
BASE = "roomtone/north-school/r12/camera-1"


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (TOPICS.availability, f"{BASE}/availability"),
        (TOPICS.info, f"{BASE}/info"),
        (TOPICS.emotion, f"{BASE}/emotion"),
        (TOPICS.episode, f"{BASE}/episode"),
        (TOPICS.state, f"{BASE}/state"),
        (TOPICS.stats, f"{BASE}/stats"),
        (TOPICS.status("capture"), f"{BASE}/status/capture"),
        (TOPICS.status("infer"), f"{BASE}/status/infer"),
        (TOPICS.status("outbox"), f"{BASE}/status/outbox"),
        (TOPICS.enabled_set, f"{BASE}/enabled/set"),
        (TOPICS.enabled_state, f"{BASE}/enabled/state"),
        (TOPICS.context_set, f"{BASE}/context/set"),
        (TOPICS.context_state, f"{BASE}/context/state"),
    ],
)
def test_a_topic_is_root_site_room_device_and_leaf(topic: str, expected: str) -> None:
    assert topic == expected


@pytest.mark.parametrize(
    ("leaf", "qos", "retain"),
    [
        ("availability", 1, True),
        ("info", 1, True),
        ("emotion", 1, False),
        ("episode", 1, False),
        ("state", 1, True),
        ("stats", 0, False),
        ("status", 1, True),
        ("enabled/set", 1, False),
        ("enabled/state", 1, True),
        ("context/set", 1, False),
        ("context/state", 1, True),
        ("request", 1, False),
        ("response", 1, False),
    ],
)
def test_each_leaf_travels_as_the_design_says(leaf: str, qos: int, retain: bool) -> None:
    assert (DELIVERY[Leaf(leaf)].qos, DELIVERY[Leaf(leaf)].retain) == (qos, retain)


@pytest.mark.parametrize("leaf", [leaf for leaf in Leaf if leaf not in HAVE_MORE_BEHIND])
@pytest.mark.parametrize("root", ["roomtone", "district/roomtone"])
def test_a_topic_that_was_made_is_parsed_back(leaf: Leaf, root: str) -> None:
    topics = Topics("a", "b-1", "c", root)
    assert Topics.parse(f"{topics.base}/{leaf}", root) == Address(topics, leaf)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_request_and_its_response_are_parsed_with_their_command(command: Command) -> None:
    assert Topics.parse(TOPICS.request(command)) == Address(TOPICS, Leaf.REQUEST, command=command)
    assert Topics.parse(TOPICS.response(command)) == Address(TOPICS, Leaf.RESPONSE, command=command)
    assert TOPICS.request(command) == f"{BASE}/request/{command}"


@pytest.mark.parametrize("role", ROLES)
def test_a_status_is_parsed_with_its_role(role: str) -> None:
    assert Topics.parse(f"{BASE}/status/{role}") == Address(TOPICS, Leaf.STATUS, role)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "roomtone",
        "roomtone/a/b/c",
        "roomtone/a/b/c/",
        "roomtone/a/b/c/status",
        "roomtone/a/b/c/status/",
        "roomtone/a/b/c/status/kitchen",
        "roomtone/a/b/c/request",
        "roomtone/a/b/c/request/",
        "roomtone/a/b/c/request/bundle",
        "roomtone/a/b/c/request/bundle/burn",
        "roomtone/a/b/c/response/stats/more",
        "roomtone/a/b/c/emotion/more",
        "roomtone/A/b/c/emotion",
        "roomtone//b/c/emotion",
        "roomtone/+/b/c/emotion",
        "roomtone/-a/b/c/emotion",
        f"roomtone/{'a' * 65}/b/c/emotion",
        "otherroom/a/b/c/emotion",
        "roomtonea/b/c/d/emotion",
        "roomtone/a/b/c/emotion\n",
    ],
)
def test_a_foreign_topic_is_nobodys(topic: str) -> None:
    assert Topics.parse(topic) is None


@pytest.mark.parametrize("level", ["", "a/b", "+", "#", "Ä", "A", "a-", "a\n"])
def test_an_identifier_that_would_break_the_topic_is_refused(level: str) -> None:
    with pytest.raises(ValueError, match="topic level"):
        Topics("site", level, "device")


def test_a_watcher_subscribes_to_one_leaf_of_every_device() -> None:
    assert watch_pattern(Leaf.EMOTION) == "roomtone/+/+/+/emotion"
    assert watch_pattern(Leaf.STATUS, site="north-school") == "roomtone/north-school/+/+/status/+"
