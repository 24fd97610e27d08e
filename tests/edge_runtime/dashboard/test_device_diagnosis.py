"""What is wrong with a device, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from dashboard_parts import NOW_S, device, info, stats, window

from edge_runtime.dashboard.device import Device
from edge_runtime.dashboard.diagnosis import diagnose
from edge_runtime.dashboard.words import duration


def said(**changes: Any) -> str:
    return diagnose(device(**changes), NOW_S).text


def reported(**changes: Any) -> dict[str, Any]:
    return {"stats": stats(**changes)}


def measured(**changes: Any) -> dict[str, Any]:
    return {"window": window(**changes)}


@pytest.mark.parametrize(
    ("changes", "level", "sentence"),
    [
        pytest.param({}, "ok", "All is well.", id="well"),
        pytest.param(
            {"is_online": False}, "fault", "Offline: power, network or service are down.", id="offline"
        ),
        pytest.param({"has_rival": True}, "fault", "Two devices speak as camera-1 in this room.", id="rival"),
        pytest.param(
            {"is_enabled": False},
            "note",
            "The privacy shutter is closed; the camera is released.",
            id="shutter",
        ),
        pytest.param(
            reported(health="disabled"),
            "note",
            "The privacy shutter is closed; the camera is released.",
            id="disabled",
        ),
        pytest.param(
            reported(health="camera_lost"), "fault", "The camera gives no frames.", id="camera, by health"
        ),
        pytest.param(
            {"status": {"capture": "offline"}}, "fault", "The camera gives no frames.", id="camera, by status"
        ),
        pytest.param(
            reported(health="outbox_full", outbox_dropped=12),
            "fault",
            "The disk takes no more events; 12 are lost so far.",
            id="outbox",
        ),
        pytest.param(
            reported(health="broker_lost"),
            "warning",
            "It had lost the broker when it last reported.",
            id="broker",
        ),
        pytest.param(
            {"skew_s": 3720.0, **measured(ts=NOW_S + 3700)},
            "warning",
            "Its clock is 1 h 2 min ahead of this server’s.",
            id="ahead",
        ),
        pytest.param({"skew_s": -300.0}, "warning", "Its clock is 5 min behind this server’s.", id="behind"),
        pytest.param(
            measured(ts=NOW_S - 240),
            "fault",
            "Connected, but no window comes although one is due each 60 s.",
            id="silent",
        ),
        pytest.param(
            {"is_online": None, "stats": None, "stats_received_s": None, **measured(ts=NOW_S - 86_400)},
            "warning",
            "Only an old message that the broker keeps is known of it.",
            id="retained ghost",
        ),
        pytest.param(
            {"stats_received_s": NOW_S - 400},
            "warning",
            "Connected, but it has not reported its health for five minutes.",
            id="no stats",
        ),
        pytest.param(
            reported(temperature_c=88.4, health="degraded"),
            "warning",
            "The processor is at 88 °C and slows down.",
            id="hot",
        ),
        pytest.param(
            reported(health="degraded"),
            "warning",
            "More than half of the frames find no time; the slowest stage is scan with 66 ms (p95).",
            id="overloaded",
        ),
        pytest.param(
            reported(
                health="degraded",
                degraded_reason="overload",
                classify_rate_hz=0.5,
                scan_rate_hz=1.0,
                load=0.85,
            ),
            "warning",
            "The board is too slow at times: faces are read 0.5 and searched for 1 times a second now (load 85%).",
            id="slowed",
        ),
        pytest.param(
            reported(outbox_rows=40, outbox_oldest_s=2400.0),
            "warning",
            "40 events wait in its outbox, the oldest for 40 min.",
            id="waiting",
        ),
        pytest.param(
            reported(reconnects=14, uptime_s=7200.0),
            "warning",
            "The camera had to be opened again 14 times in 2 h.",
            id="unsteady camera",
        ),
        pytest.param(
            measured(suppressed=1), "note", "Private: fewer than 10 people can be read.", id="private"
        ),
        pytest.param(
            measured(suppressed=1, seen_min=20, seen_max=24),
            "note",
            "20–24 people are seen, but fewer than 10 can be read: too small, turned away or too dark.",
            id="unreadable",
        ),
        pytest.param(
            measured(suppressed=1, seen_min=0, seen_max=0, readable_min=0, readable_max=0),
            "note",
            "Nobody is in the picture.",
            id="nobody",
        ),
        pytest.param({"window": None}, "note", "Its first window is not complete yet.", id="no window yet"),
        pytest.param(
            reported(outbox_dropped=3),
            "note",
            "All is well now; 3 events were lost earlier.",
            id="lost before",
        ),
    ],
)
def test_each_fault_has_its_sentence(changes: dict[str, Any], level: str, sentence: str) -> None:
    verdict = diagnose(device(**changes), NOW_S)
    assert (verdict.text, verdict.level) == (sentence, level)
    assert bool(verdict.hint) or level in ("ok", "note")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {"is_online": False, **reported(health="camera_lost"), "skew_s": 9999.0},
            "Offline",
            id="offline explains the rest",
        ),
        pytest.param(
            {"is_enabled": False, "status": {"capture": "offline"}},
            "shutter",
            id="a closed camera gives no frames",
        ),
        pytest.param(
            {"status": {"capture": "offline"}, **measured(ts=NOW_S - 900)},
            "camera",
            id="no frames, no windows",
        ),
        pytest.param(
            {**measured(suppressed=1), **reported(temperature_c=90.0)}, "90 °C", id="a fault before a note"
        ),
    ],
)
def test_of_several_faults_the_one_that_explains_the_others_is_told(
    changes: dict[str, Any], sentence: str
) -> None:
    assert sentence in said(**changes)


def test_a_device_of_which_only_the_name_is_known_is_no_fault() -> None:
    assert diagnose(Device("north", "r12", "camera-1"), NOW_S).text == "Nothing but its name is known yet."


def test_a_window_of_ten_seconds_is_missed_sooner_than_one_of_a_minute() -> None:
    quick = device(info=info(window_s=10.0), window=window(ts=NOW_S - 60, window_s=10.0))
    assert diagnose(quick, NOW_S).code == "silent"
    assert diagnose(device(window=window(ts=NOW_S - 60)), NOW_S).code == "ok"


def test_a_short_partial_window_does_not_make_the_next_one_overdue() -> None:
    cut = device(info=info(), window=window(ts=NOW_S - 90, window_s=3.0, partial=1))
    assert diagnose(cut, NOW_S).code == "ok"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3600, "1 h"),
        (-3720, "1 h 2 min"),
        (200_000, "2 days"),
    ],
)
def test_a_time_span_is_told_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
