"""What the tests of the history share: payloads of any device, and the records that the collector makes of them."""

from __future__ import annotations

from typing import Any

from edge_runtime.history.records import Clock, EventRecord, Place, StatsRecord, WordRecord
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, EventNumber, Info, Stats
from edge_runtime.publishing.topics import Topics
from edge_runtime.room.window import Band, ProtectedWindow

HOUR_TS = 1_760_004_000.0  # a whole hour: 488890 × 3600
PLACE = Place("north-school", "r12", "camera-1")


def topics(place: Place = PLACE) -> Topics:
    return Topics(*place)


def event(
    seq: int = 1,
    *,
    ts: float = HOUR_TS + 60,
    place: Place = PLACE,
    boot: int = 7,
    happy: float = 0.3,
    suppressed: bool = False,
    window_s: float = 60.0,
    **more: Any,
) -> EmotionEvent:
    """A window with `happy` of its shares happy, and the rest neutral."""
    told = not suppressed
    neutral = round(1 - happy, 2)
    window = ProtectedWindow(
        start_s=0.0,
        end_s=window_s,
        is_partial=False,
        frames=1500,
        suppressed=suppressed,
        seen=Band(5, 9) if suppressed else Band(20, 24),
        readable=Band(5, 9) if suppressed else Band(15, 19),
        shares={"neutral": neutral, "happy": happy} if told else {},
        readings={"calm": neutral, "interest": happy} if told else {},
        dominant=("happy" if happy > neutral else "neutral") if told else None,
        valence=happy if told else None,
        arousal=-0.05 if told else None,
        confidence=0.7 if told else None,
        **(more if told else {}),
    )
    return EmotionEvent.from_window(
        window, topics=topics(place), number=EventNumber(boot, seq), ts=ts, min_group=10
    )


def phase(
    seq: int, phase: str, *, first: int, ts: float, start_ts: float, place: Place = PLACE, share: float = 0.5
) -> EpisodeEvent:
    """One event of the episode whose `new` had the number `first`."""
    return EpisodeEvent.model_validate(
        {
            "ts": ts,
            **place._asdict(),
            "event_id": f"{place.device}-7-{seq}",
            "boot": 7,
            "seq": seq,
            "episode_id": f"{place.device}-7-{first}",
            "phase": phase,
            "kind": "confusion",
            "start_ts": start_ts,
            "duration_s": ts - start_ts,
            "windows": 3,
            "share": share,
            "peak_share": share,
            "threshold": 0.4,
        }
    )


def stats(ts: float = HOUR_TS, *, place: Place = PLACE, **changes: Any) -> Stats:
    values: dict[str, Any] = {
        "ts": ts,
        **place._asdict(),
        "uptime_s": 60.5,
        "health": "ok",
        "fps": 12.5,
        "frames": 750,
        "faces_seen_min": 20,
        "faces_seen_max": 24,
        "scans": 120,
        "classified": 2000,
        "dropped_frames": 3,
        "corrupt_frames": 0,
        "stalls": 0,
        "reconnects": 0,
        "outbox_rows": 0,
        "outbox_dropped": 0,
        "outbox_recovered": 0,
        "broker_connected": 1,
        "reconnects_broker": 0,
        "temperature_c": 61.5,
        "latencies_ms": {"capture_p50_ms": 1.5, "infer_p95_ms": 20.25},
    }
    return Stats(**(values | changes))


def info(place: Place = PLACE) -> Info:
    return Info(
        ts=HOUR_TS,
        **place._asdict(),
        window_s=60.0,
        detector="haar",
        bundle_name="default",
        bundle_version="1.0.0",
        bundle_digest="ab" * 32,
        engine_backend="onnxruntime",
        engine_precision="fp32",
        engine_instruction_set="avx2",
        engine_threads=1,
        engine_reason="the only one here",
        privacy_min_group=10,
        privacy_share_step=0.05,
        privacy_bands="0,1-9,10-14",
        deployment_jurisdiction="US",
        deployment_setting="education",
        deployment_purpose="simulation",
    )


def record(
    payload: EmotionEvent | EpisodeEvent, *, received_ts: float | None = None, clock: Clock = "ok"
) -> EventRecord:
    """As the collector makes it; received a second after its time unless told otherwise."""
    return EventRecord(payload, payload.ts + 1 if received_ts is None else received_ts, clock)


def said(word: str, *, leaf: str = "availability", ts: float = HOUR_TS, place: Place = PLACE) -> WordRecord:
    return WordRecord(place, leaf, word, ts, is_retained=False)


def health(payload: Stats) -> StatsRecord:
    return StatsRecord(payload, payload.ts + 1)
