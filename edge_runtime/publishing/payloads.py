"""What may leave the device: three payload classes, and no other.

`EmotionEvent` is made from a `ProtectedWindow` and from nothing else; `Info` says what runs here under which
policy; `Stats` is the device's health. None has a place for an image, box, landmark, embedding or track.

    number = outbox.next_event_number()
    event = EmotionEvent.from_window(window, topics=topics, number=number, ts=ended, min_group=10)
    encode(event)  # b'{"schema":"roomtone-emotion/1","event_id":"camera-1-1760000000-1",...}'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edge_runtime.config import Identifier
from edge_runtime.publishing.flat import Count, Flag, FlatPayload, KeyFamily, check_tails, encode
from edge_runtime.publishing.topics import Topics
from edge_runtime.room.window import Band, ProtectedWindow

__all__ = [
    "HEALTH_WORDS",
    "PAYLOADS",
    "EmotionEvent",
    "EventNumber",
    "Health",
    "Info",
    "Stats",
    "band_table",
    "encode",
]

Health = Literal["ok", "degraded", "camera_lost", "broker_lost", "disabled", "outbox_full"]
HEALTH_WORDS: tuple[Health, ...] = get_args(Health)
SHARE_STEP = 0.05  # step in which shares, valence, arousal and confidence leave; see `ProtectedWindow`

_NAME = "[A-Za-z][A-Za-z0-9_-]{0,30}"
_TWENTIETHS = [round(step * SHARE_STEP, 2) for step in range(21)]


def _in_steps(value: float) -> float:
    if abs(value / SHARE_STEP - round(value / SHARE_STEP)) > 1e-6:
        raise ValueError(f"{value} is finer than the published step of {SHARE_STEP}")
    return round(value, 2) + 0.0  # + 0.0: no "-0.0" on the wire


def _in_thousands(value: object) -> object:
    return value // 1000 * 1000 if isinstance(value, int) and not isinstance(value, bool) else value


Share = Annotated[float, Field(ge=0, le=1), AfterValidator(_in_steps)]
Balance = Annotated[float, Field(ge=-1, le=1), AfterValidator(_in_steps)]
# A total of classified faces tells, minute against minute, how many people were there; thousands do not.
CoarseCount = Annotated[Count, BeforeValidator(_in_thousands)]
_ShareByName = dict[str, Share]


@dataclass(frozen=True, slots=True)
class EventNumber:
    """A number that no other event of this device has or will have.

    Attributes:
        boot: the run of the device; greater in every later one.
        seq: counts the events, 1 more each time; goes on from one run to the next.
    """

    boot: int
    seq: int

    def event_id(self, device: str) -> str:
        """`<device>-<boot>-<seq>`: by this, receivers recognise an event that was sent twice."""
        return f"{device}-{self.boot}-{self.seq}"


class _PlacedPayload(FlatPayload):
    ts: float = Field(ge=0, lt=253_402_300_800, description="unix time, s; before the year 10000")
    site: Identifier = Field(description="school or building")
    room: Identifier = Field(description="room")
    device: Identifier = Field(description="device")


class EmotionEvent(_PlacedPayload):
    """One window of one room, protected; `ts` is the window's end."""

    SCHEMA_ID: ClassVar[str] = "roomtone-emotion/1"
    FAMILIES: ClassVar[Mapping[str, KeyFamily]] = {
        "shares": KeyFamily("share_", _NAME, {"enum": _TWENTIETHS}),
        "readings": KeyFamily("reading_", _NAME, {"enum": _TWENTIETHS}),
    }

    event_id: str = Field(description="<device>-<boot>-<seq>; the same id is the same event")
    boot: Count = Field(description="run of the device")
    seq: Count = Field(description="counts this device's events")
    window_s: float = Field(gt=0, description="length of this window, s")
    partial: Flag = Field(description="1: cut short")
    suppressed: Flag = Field(description="1: fewer readable people than min_group, hence no shares")
    seen_min: Count = Field(description="people seen, lower end of the band")
    seen_max: Count = Field(description="people seen, upper end of the band")
    readable_min: Count = Field(description="people read, lower end of the band")
    readable_max: Count = Field(description="people read, upper end of the band")
    min_group: int = Field(ge=1, description="smallest group that is published")
    dominant: str | None = Field(None, pattern=f"^{_NAME}$", description="label with the largest share")
    valence: Balance | None = Field(None, description="-1 unpleasant to 1 pleasant")
    arousal: Balance | None = Field(None, description="-1 calm to 1 excited")
    confidence: Share | None = Field(None, description="mean calibrated confidence")
    shares: _ShareByName = Field(default_factory=dict, description="share_<label>, multiples of 0.05, sum 1")
    readings: _ShareByName = Field(default_factory=dict, description="reading_<name>, sums of shares")

    @classmethod
    def from_window(
        cls, window: ProtectedWindow, *, topics: Topics, number: EventNumber, ts: float, min_group: int
    ) -> Self:
        """The event of one protected window.

        Args:
            window: from the privacy stage.
            topics: gives site, room and device.
            number: from `Outbox.next_event_number`.
            ts: unix time of the window's end, s (the window itself runs on the capture clock).
            min_group: of the policy in force.

        Raises:
            TypeError: not a `ProtectedWindow`: an exact window does not leave the device.
            ValueError: the window breaks the policy that it claims (pydantic's `ValidationError`).
        """
        if not isinstance(window, ProtectedWindow):
            raise TypeError(f"only a ProtectedWindow is published, this is a {type(window).__name__}")
        return cls(
            ts=round(ts, 3),
            site=topics.site,
            room=topics.room,
            device=topics.device,
            event_id=number.event_id(topics.device),
            boot=number.boot,
            seq=number.seq,
            window_s=round(window.end_s - window.start_s, 3),
            partial=int(window.is_partial),
            suppressed=int(window.suppressed),
            seen_min=window.seen.low,
            seen_max=window.seen.high,
            readable_min=window.readable.low,
            readable_max=window.readable.high,
            min_group=min_group,
            dominant=window.dominant,
            valence=window.valence,
            arousal=window.arousal,
            confidence=window.confidence,
            shares=dict(window.shares),
            readings=dict(window.readings),
        )

    @model_validator(mode="after")
    def _keeps_its_word(self) -> Self:
        for field, family in self.FAMILIES.items():
            check_tails(family, getattr(self, field))
        if self.event_id != EventNumber(self.boot, self.seq).event_id(self.device):
            raise ValueError(f"event_id {self.event_id} is not device, boot and seq of this event")
        if self.seen_min > self.seen_max or self.readable_min > self.readable_max:
            raise ValueError("a band ends below its beginning")
        told = (self.dominant, self.valence, self.arousal, self.confidence)
        if self.suppressed:
            if self.shares or self.readings or any(value is not None for value in told):
                raise ValueError("a suppressed window tells nothing but its counts")
            return self
        if self.readable_max < self.min_group:
            raise ValueError(
                f"{self.readable_max} people read and not suppressed, min_group is {self.min_group}"
            )
        if not self.shares or any(value is None for value in told):
            raise ValueError(
                "a window that is not suppressed has shares, dominant, valence, arousal and confidence"
            )
        if abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares sum to {sum(self.shares.values()):.2f}, not to 1")
        if self.shares.get(self.dominant or "") != max(self.shares.values()):
            raise ValueError(f"dominant is {self.dominant}, which has not the largest share")
        return self

    @classmethod
    def _schema_conditions(cls) -> dict[str, Any]:
        told = ("dominant", "valence", "arousal", "confidence")
        return {
            "if": {"properties": {"suppressed": {"const": 1}}},
            "then": {
                "properties": dict.fromkeys(told, False),
                "patternProperties": {family.pattern: False for family in cls.FAMILIES.values()},
            },
            "else": {"required": list(told)},
        }


class Info(_PlacedPayload):
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
    privacy_min_group: int = Field(ge=1, description="smallest group that is published")
    privacy_share_step: float = Field(gt=0, le=1, description="shares are multiples of this")
    privacy_bands: str = Field(description="bands of the counts, e.g. 0,1-4,5-9")
    deployment_jurisdiction: str = Field(description="as declared by the operator")
    deployment_setting: str = Field(description="as declared by the operator")
    deployment_purpose: str = Field(description="as declared by the operator")
    deployment_contact: str | None = Field(
        None, description="who answers questions; absent when not declared"
    )
    versions: dict[str, str] = Field(default_factory=dict, description="version_<package>")
    layers: dict[str, Count] = Field(
        default_factory=dict, description="layers_<precision>: how many run in it"
    )
    schemas: dict[str, str] = Field(
        default_factory=lambda: {"emotion": EmotionEvent.SCHEMA_ID, "stats": Stats.SCHEMA_ID},
        description="schema_<leaf>: schema ids in use",
    )

    @model_validator(mode="after")
    def _families_hold(self) -> Self:
        for field, family in self.FAMILIES.items():
            check_tails(family, getattr(self, field))
        return self


class Stats(_PlacedPayload):
    """The device's own health; totals count since the process started unless they say otherwise."""

    SCHEMA_ID: ClassVar[str] = "roomtone-stats/1"
    FAMILIES: ClassVar[Mapping[str, KeyFamily]] = {
        "latencies_ms": KeyFamily(
            "", "[a-z][a-z0-9_]{0,30}_p(?:50|95|99)_ms", {"type": "number", "minimum": 0}, limit=60
        ),
    }

    uptime_s: float = Field(ge=0, description="since the process started, s")
    health: Health = Field(description="one word")
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
    latencies_ms: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="<stage>_p50_ms, <stage>_p95_ms, <stage>_p99_ms"
    )

    @model_validator(mode="after")
    def _families_hold(self) -> Self:
        for field, family in self.FAMILIES.items():
            check_tails(family, getattr(self, field))
        return self


PAYLOADS: tuple[type[FlatPayload], ...] = (EmotionEvent, Info, Stats)


def band_table(bands: Iterable[Band]) -> str:
    """The bands as `Info.privacy_bands` shows them: `0,1-4,5-9`."""
    return ",".join(str(band.low) if band.low == band.high else f"{band.low}-{band.high}" for band in bands)
