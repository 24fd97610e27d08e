"""One device under the rules: what begins an alert, what ends it, and what does neither."""

from __future__ import annotations

from typing import Any

import pytest
from history_parts import HOUR_TS, PLACE, event, stats

from edge_runtime.alerts.alert import Alert, AlertEvent
from edge_runtime.alerts.rules import _WATCHED, Rule
from edge_runtime.alerts.watching import DeviceWatch

NOW = HOUR_TS


def rule(**changes: Any) -> Rule:
    return Rule.model_validate(
        {"name": "happy", "kind": "share", "key": "share_happy", "above": 0.4} | changes
    )


def watch(*rules: Rule) -> DeviceWatch:
    return DeviceWatch.under(rules, *PLACE, NOW)


def phases(alerts: list[Alert]) -> list[str]:
    return [alert.phase for alert in alerts]


def run(device: DeviceWatch, shares: list[float | None], *, first: int = 1) -> list[str]:
    """One window a minute; None is suppressed, and `.` stands for nothing that was told."""
    told = []
    for number, share in enumerate(shares, start=first):
        now = NOW + 60 * number
        window = event(number, ts=now, suppressed=share is None, happy=share or 0.0)
        told.append((phases(device.window(window, now)) or ["."])[0])
    return told


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        pytest.param([0.4, 0.45, 0.4], [".", ".", "new"], id="three in a row"),
        pytest.param([0.4, 0.4, 0.35, 0.4, 0.4], ["."] * 5, id="a run that is broken"),
        pytest.param([0.4] * 5, [".", ".", "new", ".", "."], id="told once"),
        pytest.param([0.4] * 3 + [0.35, 0.35], [".", ".", "new", ".", "end"], id="two past the way out"),
        pytest.param([0.4] * 3 + [0.35, 0.4, 0.35, 0.4], [".", ".", "new"] + ["."] * 4, id="flickering"),
        pytest.param([0.4, 0.4, None, 0.4, 0.4], ["."] * 5, id="suppressed breaks a run"),
        pytest.param([None] * 5, ["."] * 5, id="suppressed never alerts"),
        pytest.param([0.4] * 3 + [None, None], [".", ".", "new", ".", "end"], id="suppressed ends it"),
        pytest.param([0.4] * 3 + [0.2] * 2 + [0.6] * 3, [".", ".", "new", ".", "end", ".", ".", "new"], id="again"),
    ],
)  # fmt: skip
def test_a_share_alerts_after_some_windows_and_is_over_after_some_past_it(
    shares: list[float | None], told: list[str]
) -> None:
    assert run(watch(rule()), shares) == told


def test_an_alert_says_what_where_since_when() -> None:
    device = watch(rule())
    run(device, [0.4, 0.4])
    (alert,) = device.window(event(3, ts=NOW + 180, happy=0.45), NOW + 181)
    assert alert.text == "north-school/r12 camera-1: share_happy is 0.45 after 3 windows from 0.4"
    assert (alert.value, alert.threshold, alert.since_ts, alert.ts) == (0.45, 0.4, NOW, NOW + 181)
    assert alert.topic == "roomtone/alert/north-school/r12/camera-1/happy"


def test_below_is_the_same_the_other_way_round() -> None:
    low = rule(above=None, below=0.2, leave=0.4)
    told = run(watch(low), [0.2, 0.15, 0.2, 0.3, 0.35, 0.4, 0.45])
    assert told == [".", ".", "new", ".", ".", ".", "end"]


def test_a_key_that_a_window_does_not_tell_is_like_suppressed() -> None:
    assert run(watch(rule(key="teacher_activity")), [0.5] * 5) == ["."] * 5


@pytest.mark.parametrize(
    ("number", "ts", "partial"),
    [(9, NOW - 3600, False), (2, NOW + 60, False), (9, NOW + 600, True)],
    ids=["an hour old", "out of order", "partial"],
)
def test_windows_that_are_old_out_of_order_or_partial_count_for_nothing(
    number: int, ts: float, partial: bool
) -> None:
    device = watch(rule(windows=3))
    run(device, [0.4, 0.4])
    window = event(number, ts=ts, happy=0.5).model_copy(update={"partial": int(partial)})
    assert device.window(window, NOW + 600) == []
    assert phases(device.window(event(10, ts=NOW + 660, happy=0.5), NOW + 660)) == ["new"]


def test_a_device_whose_clock_is_an_hour_behind_still_alerts() -> None:
    device = watch(rule(windows=1))
    device.stats(stats(NOW - 3600), NOW)
    assert phases(device.window(event(1, ts=NOW - 3540, happy=0.5), NOW + 60)) == ["new"]


def offline_watch(minutes: float = 5) -> DeviceWatch:
    return watch(Rule(name="away", kind="offline", minutes=minutes))


def test_offline_alerts_after_its_minutes_and_is_over_when_it_is_back() -> None:
    device = offline_watch()
    device.availability("offline", NOW, is_retained=False)
    assert device.tick(NOW + 299) == []
    (alert,) = device.tick(NOW + 300)
    assert (alert.phase, alert.since_ts) == ("new", NOW)
    assert "offline for 5 min" in alert.text
    assert device.tick(NOW + 900) == []
    assert phases(device.availability("online", NOW + 1000, is_retained=False)) == ["end"]


def test_a_short_absence_is_no_alert() -> None:
    device = offline_watch()
    device.availability("offline", NOW, is_retained=False)
    device.availability("online", NOW + 200, is_retained=False)
    assert device.tick(NOW + 301) == []


def test_a_device_that_is_silent_alerts_though_the_broker_thinks_it_is_online() -> None:
    device = offline_watch()
    device.availability("online", NOW, is_retained=True)  # a ghost
    assert device.tick(NOW + 299) == []
    (alert,) = device.tick(NOW + 300)
    assert "silent" in alert.text
    assert phases(device.stats(stats(NOW + 310), NOW + 310) + device.tick(NOW + 310)) == ["end"]


def test_silence_is_not_shorter_than_three_stats() -> None:
    device = offline_watch(minutes=0.5)
    device.stats(stats(NOW), NOW)
    assert device.tick(NOW + 100) == []


def test_a_p95_over_its_budget_alerts_after_its_minutes_and_leaves_well_below_it() -> None:
    device = watch(Rule(name="slow", kind="latency", stage="infer", budget_ms=20, minutes=2))
    p95s = [25, 25, 25, 19, 19, 25, 17, 17]
    told = [
        phases(device.stats(stats(NOW + 60 * n, latencies_ms={"infer_p95_ms": float(ms)}), NOW + 60 * n))
        for n, ms in enumerate(p95s)
    ]
    assert told == [[], [], ["new"], [], [], [], [], ["end"]]


def test_health_alerts_on_its_words_only_and_ends_with_the_device_offline() -> None:
    device = watch(Rule(name="ill", kind="health", words=("camera_lost",), minutes=1))
    for n, word in enumerate(["degraded", "degraded", "camera_lost"]):
        assert device.stats(stats(NOW + 60 * n, health=word), NOW + 60 * n) == []
    assert phases(device.stats(stats(NOW + 180, health="camera_lost"), NOW + 180)) == ["new"]
    (over,) = device.availability("offline", NOW + 200, is_retained=False)
    assert (over.phase, "offline" in over.text) == ("end", True)


def test_a_share_alert_is_over_when_its_device_is_offline() -> None:
    device = watch(rule())
    run(device, [0.5] * 3)
    assert phases(device.availability("offline", NOW + 200, is_retained=False)) == ["end"]


def test_a_share_alert_is_over_when_no_windows_come_any_more() -> None:
    device = watch(rule())
    run(device, [0.5] * 3)  # the last of them at NOW + 180
    assert device.tick(NOW + 180 + 240) == []
    (over,) = device.tick(NOW + 180 + 241)
    assert (over.phase, "no windows come" in over.text) == ("end", True)


def test_an_alert_that_was_told_before_a_restart_is_not_told_again_and_ends_as_ever() -> None:
    before = watch(rule())
    run(before, [0.5, 0.5])
    (alert,) = before.window(event(3, ts=NOW + 180, happy=0.5), NOW + 180)
    after = watch(rule())
    assert after.restore(AlertEvent.of(alert, is_quiet=False))
    assert run(after, [0.5, 0.5, 0.5, 0.2, 0.2], first=4) == [".", ".", ".", ".", "end"]
    assert not watch(rule(name="other")).restore(AlertEvent.of(alert, is_quiet=False))
    silent = watch(rule())
    silent.restore(AlertEvent.of(alert, is_quiet=False))
    assert phases(silent.tick(NOW + 899) + silent.tick(NOW + 901)) == ["end"]


def test_a_rule_for_other_rooms_does_not_watch() -> None:
    assert watch(rule(rooms=["lake-school/*"])).conditions == {}


@pytest.mark.parametrize("key", _WATCHED)
def test_every_key_that_a_rule_may_watch_is_one_of_a_window(key: str) -> None:
    always = rule(key=key, above=-1, windows=1)
    window = event(1, ts=NOW, happy=0.4)
    assert bool(watch(always).window(window, NOW)) is (getattr(window, key) is not None)
