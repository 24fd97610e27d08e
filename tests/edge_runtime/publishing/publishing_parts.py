"""What the tests of publishing share: payloads, and a checker for JSON Schema."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator

from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, EventNumber, Info, Stats
from edge_runtime.publishing.topics import Topics
from edge_runtime.room.window import Band, ProtectedWindow, ProtectedZone

TOPICS = Topics("north-school", "r12", "camera-1")


def window(*, suppressed: bool = False, partial: bool = False, end_s: float = 60.0) -> ProtectedWindow:
    """A window as the privacy stage makes it."""
    told = not suppressed
    return ProtectedWindow(
        start_s=end_s - 60.0,
        end_s=end_s,
        is_partial=partial,
        frames=1500,
        suppressed=suppressed,
        seen=Band(5, 9) if suppressed else Band(20, 24),
        readable=Band(5, 9) if suppressed else Band(15, 19),
        shares={"neutral": 0.55, "happy": 0.3, "sad": 0.15} if told else {},
        readings={"interest": 0.85, "anxiety": 0.15} if told else {},
        dominant="neutral" if told else None,
        valence=0.15 if told else None,
        arousal=-0.05 if told else None,
        confidence=0.7 if told else None,
    )


def whole_window() -> ProtectedWindow:
    """A window that tells all that a window may tell, with one zone told and one suppressed."""
    return replace(
        window(),
        context="task",
        context_prior=True,
        positive_activity=0.3,
        negative_activity=0.15,
        classroom_activity=0.45,
        grade="good",
        teacher_activity=0.6,
        intensity=0.4,
        dominance=-0.1,
        zones={
            "front": ProtectedZone(
                suppressed=False,
                readable=Band(10, 14),
                positive_activity=0.35,
                negative_activity=0.1,
                valence=0.2,
                arousal=0.1,
            ),
            "back": ProtectedZone(suppressed=True, readable=Band(1, 9)),
        },
    )


def whole_event(seq: int = 1) -> EmotionEvent:
    """`whole_window` as an event."""
    return EmotionEvent.from_window(
        whole_window(), topics=TOPICS, number=EventNumber(7, seq), ts=1_760_000_060.0, min_group=10
    )


def episode(seq: int = 5, **changes: Any) -> EpisodeEvent:
    """An episode that begins, after its third window."""
    values: dict[str, Any] = {
        "ts": 1_760_000_180.0,
        "site": "north-school",
        "room": "r12",
        "device": "camera-1",
        "event_id": f"camera-1-7-{seq}",
        "boot": 7,
        "seq": seq,
        "episode_id": "camera-1-7-5",
        "phase": "new",
        "kind": "negative_activity",
        "start_ts": 1_760_000_000.0,
        "duration_s": 180.0,
        "windows": 3,
        "share": 0.5,
        "peak_share": 0.55,
        "threshold": 0.5,
    }
    return EpisodeEvent(**(values | changes))


def event(seq: int = 1, *, ts: float = 1_760_000_060.0, boot: int = 7, **changes: Any) -> EmotionEvent:
    number = EventNumber(boot, seq)
    return EmotionEvent.from_window(window(**changes), topics=TOPICS, number=number, ts=ts, min_group=10)


def info() -> Info:
    return Info(
        ts=1_760_000_000.0,
        site="north-school",
        room="r12",
        device="camera-1",
        window_s=60.0,
        detector="haar alt",
        bundle_name="lip-resnet18",
        bundle_version="1.2.0",
        bundle_digest="ab" * 32,
        engine_backend="onnxruntime",
        engine_precision="int8",
        engine_instruction_set="avx512_vnni",
        engine_threads=1,
        engine_reason="int8 is right and 1.9 times as fast here",
        privacy_min_group=10,
        privacy_share_step=0.05,
        privacy_bands="0,1-4,5-9,10-14",
        deployment_jurisdiction="US",
        deployment_setting="education",
        deployment_purpose="simulation",
        versions={"roomtone": "0.1.0", "onnxruntime": "1.20.0"},
        layers={"int8": 41, "fp32": 3},
    )


def stats(**changes: Any) -> Stats:
    values: dict[str, Any] = {
        "ts": 1_760_000_060.0,
        "site": "north-school",
        "room": "r12",
        "device": "camera-1",
        "uptime_s": 60.5,
        "health": "ok",
        "fps": 24.8,
        "frames": 1488,
        "faces_seen_min": 20,
        "faces_seen_max": 24,
        "scans": 120,
        "classified": 2640,
        "dropped_frames": 0,
        "corrupt_frames": 0,
        "stalls": 0,
        "reconnects": 0,
        "outbox_rows": 0,
        "outbox_dropped": 0,
        "outbox_recovered": 0,
        "broker_connected": 1,
        "reconnects_broker": 0,
        "latencies_ms": {"capture_p50_ms": 1.5, "infer_p99_ms": 20.25},
    }
    return Stats(**(values | changes))


def schema_faults(value: Any, schema: Any) -> list[str]:
    """What breaks a JSON Schema."""
    Draft202012Validator.check_schema(schema)
    return [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(value)
    ]
