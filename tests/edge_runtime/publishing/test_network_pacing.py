"""How fast events go out, how long to wait, and which MQTT to speak: by hand-moved clocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.publishing.connection import Answer
from edge_runtime.publishing.drain import Drain
from edge_runtime.publishing.fallback import ProtocolChoice
from edge_runtime.publishing.outbox import Outbox
from edge_runtime.publishing.pacing import Backoff, TokenBucket
from edge_runtime.publishing.retained import RetainedValues

ACCEPTED, NOBODY, REFUSED = 0, 16, 135


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(("rate_hz", "most_at_once"), [(0.5, 1), (10.0, 1), (50.0, 5), (5000.0, 500)])
def test_in_the_long_run_a_bucket_lets_its_rate_pass(rate_hz: float, most_at_once: int) -> None:
    clock = Clock()
    bucket = TokenBucket(rate_hz, clock)
    passed = bucket.available
    assert passed == most_at_once
    bucket.take(passed)
    for _ in range(1000):
        clock.now_s += 0.01
        count = bucket.available
        bucket.take(count)
        passed += count
    assert passed == pytest.approx(most_at_once + rate_hz * 10, abs=1)


def test_a_bucket_says_when_the_next_may_pass() -> None:
    clock = Clock()
    bucket = TokenBucket(4.0, clock)
    bucket.take(1)
    assert bucket.wait_s == pytest.approx(0.25)
    clock.now_s += 0.25
    assert (bucket.wait_s, bucket.available) == (0.0, 1)


def test_pauses_double_up_to_the_longest_with_jitter() -> None:
    backoff = Backoff(1.0, 8.0)
    for expected in (1, 2, 4, 8, 8):
        assert 0.75 * expected <= backoff.pause_s() <= expected


@pytest.mark.parametrize(
    ("lasted_s", "next_pause_s"), [(0.1, 4.0), (60.0, 1.0)], ids=["flapping", "a real one"]
)
def test_only_a_connection_that_lasted_begins_the_pauses_anew(lasted_s: float, next_pause_s: float) -> None:
    backoff = Backoff(1.0, 8.0)
    backoff.pause_s()
    backoff.pause_s()
    backoff.connection_lasted(lasted_s)
    assert 0.75 * next_pause_s <= backoff.pause_s() <= next_pause_s


def test_a_broker_that_refuses_mqtt_5_is_spoken_to_in_3_1_1_from_then_on() -> None:
    choice = ProtocolChoice("auto")
    assert choice.protocol == "5"
    assert choice.failed("refused")
    assert choice.protocol == "3.1.1"
    choice.connected()
    assert choice.protocol == "3.1.1"


def test_after_a_mere_suspicion_the_next_connection_tries_mqtt_5_again() -> None:
    choice = ProtocolChoice("auto")
    assert choice.failed("unanswered")
    assert choice.protocol == "3.1.1"
    choice.connected()
    assert choice.protocol == "5"


def test_two_versions_that_both_fail_take_turns_with_a_pause() -> None:
    choice = ProtocolChoice("auto")
    assert [choice.failed("unanswered") for _ in range(4)] == [True, False, True, False]


@pytest.mark.parametrize("setting", ["5", "3.1.1"])
def test_a_version_that_was_configured_stays(setting: str) -> None:
    choice = ProtocolChoice(setting)  # type: ignore[arg-type]
    assert not choice.failed("refused")
    assert choice.protocol == setting


@pytest.mark.parametrize(
    ("before", "expected"),
    [(None, "5"), ("unanswered", "5"), ("refused", "3.1.1")],
    ids=["at first", "hung up while restarting", "refused before"],
)
def test_a_broker_that_is_away_is_no_reason_for_another_version(before: str | None, expected: str) -> None:
    choice = ProtocolChoice("auto")
    if before is not None:
        choice.failed(before)  # type: ignore[arg-type]
    assert not choice.failed("no")
    assert choice.protocol == expected


def test_a_retained_value_is_sent_once_on_each_connection() -> None:
    values = RetainedValues()
    values.put("t", b"1")
    assert [value.payload for value in values.take(9)] == [b"1"]
    assert values.take(9) == []
    values.begin()
    assert [value.payload for value in values.take(9)] == [b"1"]


def test_a_newer_retained_value_takes_the_place_of_the_older() -> None:
    values = RetainedValues()
    values.put("t", b"1")
    values.put("t", b"2")
    assert [value.payload for value in values.take(9)] == [b"2"]


def test_no_more_retained_values_are_taken_than_there_is_room_for() -> None:
    values = RetainedValues()
    for name in "abc":
        values.put(name, b"x")
    assert [len(values.take(limit)) for limit in (0, 2, 2)] == [0, 2, 1]


@pytest.mark.parametrize(("after_s", "expiry_s"), [(0.0, 180), (60.5, 120), (180.0, None)])
def test_what_is_left_of_a_values_life_is_told_and_a_dead_one_not_sent(
    after_s: float, expiry_s: int | None
) -> None:
    clock = Clock()
    values = RetainedValues(clock)
    values.put("state", b"window", lifetime_s=180.0)
    clock.now_s += after_s
    assert [value.expiry_s for value in values.take(9)] == ([] if expiry_s is None else [expiry_s])


class Sender:
    """Sends what the drain gives, under ascending message ids."""

    def __init__(self, path: Path, events: int, *, rate_hz: float = 1000.0) -> None:
        self.clock = Clock()
        self.outbox = Outbox(path / "outbox", max_bytes=10**6, max_age_s=1e6)
        self.drain = Drain(self.outbox, rate_hz=rate_hz, refused_retry_s=60.0, monotonic=self.clock)
        self.mid = 0
        for number in range(events):
            self.outbox.append(f"e{number}", "t", b"x", 0.0)

    def send(self, room: int) -> dict[str, int]:
        sent = {}
        for row in self.drain.due(room):
            self.mid += 1
            self.drain.sent(self.mid, row)
            sent[row.event_id] = self.mid
        return sent

    def answer(self, mid: int, reason: int = ACCEPTED) -> None:
        self.drain.answered([Answer(mid, reason, "")])


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path, 5)


def test_events_go_out_in_order_and_leave_on_their_acknowledgement(sender: Sender) -> None:
    assert list(sender.send(2)) == ["e0", "e1"]
    assert list(sender.send(2)) == ["e2", "e3"]
    sender.answer(1)
    sender.answer(2, NOBODY)
    assert (len(sender.outbox), len(sender.drain)) == (3, 2)
    assert (sender.drain.published, sender.drain.nobody_listening) == (2, 1)


def test_a_new_connection_sends_again_what_was_not_acknowledged(sender: Sender) -> None:
    sender.send(3)
    sender.answer(2)
    sender.drain.begin()
    assert list(sender.send(9)) == ["e0", "e2", "e3", "e4"]
    assert sender.drain.resent == 2


def test_after_a_refusal_nothing_goes_out_until_the_pause_is_over_then_one(sender: Sender) -> None:
    sender.send(2)
    sender.answer(1, REFUSED)
    assert sender.send(9) == {}
    sender.answer(2)
    sender.clock.now_s += 59
    assert sender.send(9) == {}
    assert sender.drain.wait_s == pytest.approx(1)
    sender.clock.now_s += 2
    assert list(sender.send(9)) == ["e0"]
    assert sender.send(9) == {}
    sender.answer(3)
    assert list(sender.send(9)) == ["e2", "e3", "e4"]
    assert sender.drain.refused == 1


def test_a_refused_event_stays_until_it_is_accepted(sender: Sender) -> None:
    for _ in range(3):
        (mid,) = sender.send(1).values()
        sender.answer(mid, REFUSED)
        sender.clock.now_s += 61
    assert (len(sender.outbox), sender.drain.refused) == (5, 3)
    assert list(sender.send(1)) == ["e0"]


def test_catching_up_keeps_to_the_rate(tmp_path: Path) -> None:
    sender = Sender(tmp_path, 100, rate_hz=20.0)
    sent = 0
    for _ in range(200):
        sender.clock.now_s += 0.01
        for mid in sender.send(20).values():
            sender.answer(mid)
            sent += 1
    assert sent == pytest.approx(2 + 20 * 2, abs=1)
