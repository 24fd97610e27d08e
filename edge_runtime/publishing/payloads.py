"""What may leave the device: the payload classes of this module and no other.

`EmotionEvent` (in `emotion.py`) is made from a `ProtectedWindow` and from nothing else; `EpisodeEvent` (in
`episode.py`) tells what lasted over such windows; `Info` says what runs here under which policy; `Stats` is the
device's health. None has a place for an image, box, landmark, embedding or track.

    number = outbox.next_event_number()
    event = EmotionEvent.from_window(window, topics=topics, number=number, ts=ended, min_group=10)
    encode(event)  # b'{"schema":"roomtone-emotion/1","event_id":"camera-1-1760000000-1",...}'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field

from edge_runtime.publishing.emotion import EmotionEvent
from edge_runtime.publishing.episode import EpisodeEvent
from edge_runtime.publishing.flat import Count, Flag, FlatPayload, KeyFamily, encode
from edge_runtime.publishing.placed import SHARE_STEP, EventNumber, PlacedPayload
from edge_runtime.publishing.request_payloads import Request, Response
from edge_runtime.room.window import Band

__all__ = [
    "HEALTH_WORDS",
    "PAYLOADS",
    "SHARE_STEP",
    "DegradedReason",
    "EmotionEvent",
    "EpisodeEvent",
    "EventNumber",
    "Health",
    "Info",
    "Request",
    "Response",
    "Stats",
    "band_table",
    "encode",
]

Health = Literal["ok", "degraded", "camera_lost", "broker_lost", "disabled", "outbox_full"]
DegradedReason = Literal["heat", "overload", "frames_dropped"]
HEALTH_WORDS: tuple[Health, ...] = get_args(Health)


def _in_thousands(value: object) -> object:
    return value // 1000 * 1000 if isinstance(value, int) and not isinstance(value, bool) else value


# A total of classified faces tells, minute against minute, how many people were there; thousands do not.
CoarseCount = Annotated[Count, BeforeValidator(_in_thousands)]


class Info(PlacedPayload):
    """What runs on the device, why, and under which privacy policy; `ts` is when this was found out."""

    SCHEMA_ID: ClassVar[str] = "roomtone-info/1"
    FAMILIES: ClassVar[Mapping[str, KeyFamily]] = {
        "versions": KeyFamily("version_", "[a-z][a-z0-9_]{0,30}", {"type": "string"}),
        "layers": KeyFamily("layers_", "[a-z][a-z0-9_]{0,15}", {"type": "integer", "minimum": 0}),
        "schemas": KeyFamily("schema_", "[a-z]{1,20}", {"type": "string"}),
    }

    window_s: float = Field(gt=0, description="length of a full window, s")
    detector: str = Field(description="face detector")
    bundle_name: str = Field(description="model bundle")
    bundle_version: str = Field(description="its version")
    bundle_digest: str = Field(description="sha256 of bundle.json")
    engine_backend: str = Field(description="inference engine that runs")
    engine_precision: str = Field(description="precision that runs")
    engine_instruction_set: str = Field(description="instruction set that runs")
    engine_threads: int = Field(ge=1, description="threads of the engine")
    engine_reason: str = Field(description="why this backend and precision")
    sequence_frames: int | None = Field(
        None, ge=2, description="frames of a face that are read together; absent when each is read alone"
    )
    sequence_stride_s: float | None = Field(None, gt=0, description="between two of them, s")
    sequence_head_precision: str | None = Field(
        None, description="precision that the sequence's head runs in; engine_precision is the frames' own"
    )
    privacy_min_group: int = Field(ge=1, description="smallest group that is published")
    privacy_share_step: float = Field(gt=0, le=1, description="shares are multiples of this")
    privacy_bands: str = Field(description="bands of the counts, e.g. 0,1-4,5-9")
    deployment_jurisdiction: str = Field(description="as declared by the operator")
    deployment_setting: str = Field(description="as declared by the operator")
    deployment_purpose: str = Field(description="as declared by the operator")
    deployment_contact: str | None = Field(
        None, description="who answers questions; absent when not declared"
    )
    deployment_teacher_agreement: str | None = Field(
        None, description="by which the teacher's activity may be told; absent when there is none"
    )
    versions: dict[str, str] = Field(default_factory=dict, description="version_<package>")
    layers: dict[str, Count] = Field(
        default_factory=dict, description="layers_<precision>: how many run in it"
    )
    schemas: dict[str, str] = Field(
        default_factory=lambda: {
            "emotion": EmotionEvent.SCHEMA_ID,
            "episode": EpisodeEvent.SCHEMA_ID,
            "stats": Stats.SCHEMA_ID,
            "request": Request.SCHEMA_ID,
            "response": Response.SCHEMA_ID,
        },
        description="schema_<leaf>: schema ids in use",
    )


class Stats(PlacedPayload):
    """The device's own health; totals count since the process started unless they say otherwise."""

    SCHEMA_ID: ClassVar[str] = "roomtone-stats/1"
    FAMILIES: ClassVar[Mapping[str, KeyFamily]] = {
        "latencies_ms": KeyFamily(
            "", "[a-z][a-z0-9_]{0,30}_p(?:50|95|99)_ms", {"type": "number", "minimum": 0}, limit=60
        ),
    }

    uptime_s: float = Field(ge=0, description="since the process started, s")
    health: Health = Field(description="one word")
    degraded_reason: DegradedReason | None = Field(
        None, description="what `degraded` is due to; absent when `health` is another word"
    )
    fps: float = Field(ge=0, description="frames analysed per second, since the last stats")
    frames: Count = Field(description="frames analysed, total")
    faces_seen_min: Count = Field(description="mean of faces per frame, lower end of its band")
    faces_seen_max: Count = Field(description="mean of faces per frame, upper end of its band")
    scans: Count = Field(description="full-frame face scans, total")
    classified: CoarseCount = Field(description="faces classified, total, rounded down to thousands")
    dropped_frames: Count = Field(description="frames replaced by a newer one before they were read, total")
    corrupt_frames: Count = Field(description="frames that could not be decoded, total")
    stalls: Count = Field(description="times that no frame came, total")
    reconnects: Count = Field(description="camera re-openings, total")
    outbox_rows: Count = Field(description="events waiting for the broker")
    outbox_dropped: Count = Field(description="events lost, total over all runs")
    outbox_recovered: Count = Field(description="times a corrupt outbox was set aside, total over all runs")
    outbox_oldest_s: float | None = Field(None, ge=0, description="age of the oldest waiting event, s")
    broker_connected: Flag = Field(description="1: connected")
    reconnects_broker: Count = Field(description="connections to the broker after the first, total")
    rss_mb: float | None = Field(None, ge=0, description="resident memory, MiB")
    temperature_c: float | None = Field(None, ge=-100, le=200, description="processor temperature, °C")
    load: float | None = Field(
        None, ge=0, description="how busy this camera keeps the board, in twentieths; 1 is all the time"
    )
    classify_rate_hz: float | None = Field(
        None, gt=0, description="classifications of a face per second, in force; falls first under overload"
    )
    scan_rate_hz: float | None = Field(
        None, gt=0, description="scans for new faces per second, in force; falls next"
    )
    follow_rate_hz: float | None = Field(
        None, gt=0, description="frames per second in which faces are followed, in force; falls last"
    )
    warming_up: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of the readable faces that were seen and not read yet, since a network of sequences wants "
        "more of their frames, in twentieths, since the last stats",
    )
    frame_interval_s: float | None = Field(
        None, ge=0, description="between two frames of a sequence, median, s; a network of sequences runs"
    )
    source_too_slow: Flag | None = Field(
        None, description="1: frames come more seldom than the sequences of the network want them"
    )
    latencies_ms: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="<stage>_p50_ms, <stage>_p95_ms, <stage>_p99_ms"
    )


PAYLOADS: tuple[type[FlatPayload], ...] = (EmotionEvent, EpisodeEvent, Info, Stats, Request, Response)


def band_table(bands: Iterable[Band]) -> str:
    """The bands as `Info.privacy_bands` shows them: `0,1-4,5-9`."""
    return ",".join(str(band.low) if band.low == band.high else f"{band.low}-{band.high}" for band in bands)
