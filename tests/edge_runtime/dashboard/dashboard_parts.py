"""What the tests of the dashboard share: payloads of any room, and devices as the dashboard knows them."""

from __future__ import annotations

from typing import Any

from edge_runtime.alerts.alert import AlertEvent
from edge_runtime.dashboard.device import Device
from edge_runtime.publishing.connection import Message
from edge_runtime.publishing.flat import FlatPayload
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Stats, encode
from edge_runtime.publishing.topics import Topics

NOW_S = 1_760_000_100.0
R12 = Topics("north", "r12", "camera-1")


def window(
    topics: Topics = R12, seq: int = 1, *, ts: float = NOW_S - 20, boot: int = 7, **changes: Any
) -> EmotionEvent:
    """A window of a lively room; `suppressed=1` makes it a private one."""
    values: dict[str, Any] = {
        "ts": ts,
        "site": topics.site,
        "room": topics.room,
        "device": topics.device,
        "event_id": f"{topics.device}-{boot}-{seq}",
        "boot": boot,
        "seq": seq,
        "window_s": 60.0,
        "partial": 0,
        "suppressed": 0,
        "seen_min": 20,
        "seen_max": 24,
        "readable_min": 15,
        "readable_max": 19,
        "min_group": 10,
    }
    if changes.get("suppressed"):
        values |= {"seen_min": 1, "seen_max": 9, "readable_min": 1, "readable_max": 9}
    else:
        values |= {
            "dominant": "happy",
            "valence": 0.3,
            "arousal": 0.1,
            "confidence": 0.7,
            "context": "task",
            "context_prior": 0,
            "positive_activity": 0.55,
            "negative_activity": 0.1,
            "classroom_activity": 0.7,
            "grade": "excellent",
            "shares": {"happy": 0.5, "neutral": 0.35, "sad": 0.1, "surprise": 0.05},
        }
    return EmotionEvent(**(values | changes))


def stats(topics: Topics = R12, *, ts: float = NOW_S, **changes: Any) -> Stats:
    """The report of a healthy device."""
    values: dict[str, Any] = {
        "ts": ts,
        "site": topics.site,
        "room": topics.room,
        "device": topics.device,
        "uptime_s": 7200.0,
        "health": "ok",
        "fps": 12.5,
        "frames": 90_000,
        "faces_seen_min": 20,
        "faces_seen_max": 24,
        "scans": 14_000,
        "classified": 40_000,
        "dropped_frames": 3,
        "corrupt_frames": 0,
        "stalls": 0,
        "reconnects": 0,
        "outbox_rows": 0,
        "outbox_dropped": 0,
        "outbox_recovered": 0,
        "broker_connected": 1,
        "reconnects_broker": 0,
        "temperature_c": 55.0,
        "latencies_ms": {"scan_p50_ms": 40.0, "scan_p95_ms": 66.0, "scan_p99_ms": 80.0, "infer_p95_ms": 12.0},
    }
    return Stats(**(values | changes))


def info(topics: Topics = R12, **changes: Any) -> Info:
    """What a device says of itself."""
    values: dict[str, Any] = {
        "ts": NOW_S,
        "site": topics.site,
        "room": topics.room,
        "device": topics.device,
        "window_s": 60.0,
        "detector": "haar",
        "bundle_name": "hafnet_half",
        "bundle_version": "1.0.0",
        "bundle_digest": "ab" * 32,
        "engine_backend": "openvino",
        "engine_precision": "int8",
        "engine_instruction_set": "avx512_vnni",
        "engine_threads": 1,
        "engine_reason": "int8 is right and 1.9 times as fast here",
        "privacy_min_group": 10,
        "privacy_share_step": 0.05,
        "privacy_bands": "0,1-9,10-14,15-19",
        "deployment_jurisdiction": "US",
        "deployment_setting": "education",
        "deployment_purpose": "simulation",
        "versions": {"roomtone": "0.1.0"},
    }
    return Info(**(values | changes))


def episode(
    topics: Topics = R12, seq: int = 5, *, phase: str = "new", first: int = 5, boot: int = 7
) -> EpisodeEvent:
    """A step of an episode that began with event number `first`."""
    return EpisodeEvent(
        ts=NOW_S - 20,
        site=topics.site,
        room=topics.room,
        device=topics.device,
        event_id=f"{topics.device}-{boot}-{seq}",
        boot=boot,
        seq=seq,
        episode_id=f"{topics.device}-{boot}-{first}",
        phase=phase,
        kind="sad",
        start_ts=NOW_S - 200,
        duration_s=180.0,
        windows=3,
        share=0.4,
        peak_share=0.45,
        threshold=0.3,
    )


def alert(topics: Topics = R12, **changes: Any) -> AlertEvent:
    """A rule's alert about a device."""
    values: dict[str, Any] = {
        "ts": NOW_S,
        "site": topics.site,
        "room": topics.room,
        "device": topics.device,
        "rule": "confusion",
        "kind": "share",
        "phase": "new",
        "firing": 1,
        "since_ts": NOW_S - 180,
        "text": "sad is above 40 % for 3 windows",
        "quiet": 0,
    }
    return AlertEvent(**(values | changes))


def message(topic: str, payload: bytes | FlatPayload, *, retained: bool = False) -> Message:
    """As the connection hands it over."""
    return Message(topic, payload if isinstance(payload, bytes) else encode(payload), retained)


def device(**changes: Any) -> Device:
    """A device that is well, twenty seconds after its window."""
    made = Device("north", "r12", "camera-1", is_online=True, is_enabled=True)
    made.take_window(window(), now_s=NOW_S - 20)
    made.take_stats(stats(), now_s=NOW_S)
    for name, value in changes.items():
        setattr(made, name, value)
    return made
