"""The one word of `stats`, and what `degraded` is due to."""

from __future__ import annotations

from typing import Any

import pytest

from edge_runtime.health import health_word

WELL: dict[str, Any] = {
    "is_enabled": True,
    "camera_online": True,
    "outbox_troubled": False,
    "broker_connected": True,
    "dropped_share": 0.0,
    "is_overloaded": False,
    "temperature": 50.0,
    "hot_c": 85.0,
}


@pytest.mark.parametrize(
    ("changes", "word", "reason"),
    [
        pytest.param({}, "ok", None, id="well"),
        pytest.param({"broker_connected": None, "temperature": None}, "ok", None, id="no broker, no sensor"),
        pytest.param({"dropped_share": 0.6}, "degraded", "frames_dropped", id="frames dropped"),
        pytest.param({"dropped_share": 0.5}, "ok", None, id="half of them is still enough"),
        pytest.param({"is_overloaded": True}, "degraded", "overload", id="rates lowered"),
        pytest.param({"temperature": 85.0, "is_overloaded": True}, "degraded", "heat", id="hot, hence slow"),
        pytest.param({"broker_connected": False, "is_overloaded": True}, "broker_lost", None, id="broker"),
        pytest.param({"outbox_troubled": True, "broker_connected": False}, "outbox_full", None, id="disk"),
        pytest.param({"camera_online": False, "outbox_troubled": True}, "camera_lost", None, id="camera"),
        pytest.param({"is_enabled": False, "camera_online": False}, "disabled", None, id="shutter"),
    ],
)
def test_the_worst_is_told(changes: dict[str, Any], word: str, reason: str | None) -> None:
    assert health_word(**(WELL | changes)) == (word, reason)
