"""The payload of a window: what a room may say of one minute."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from pydantic import Field, model_validator

from edge_runtime.publishing.flat import Count, Flag, KeyFamily
from edge_runtime.publishing.placed import NAME, TWENTIETHS, Balance, EventNumber, PlacedPayload, Share
from edge_runtime.publishing.topics import Topics
from edge_runtime.room.index import Grade, grade_of
from edge_runtime.room.window import ProtectedWindow, ProtectedZone
from edge_runtime.timetable import Activity
from edge_runtime.zones import ZONE_NAME

# Keys that a window has always told when it is not suppressed, and keys that came later and may be absent.
_TOLD: Final = ("dominant", "valence", "arousal", "confidence")
_INDEX: Final = ("positive_activity", "negative_activity", "classroom_activity", "grade")
_MAY_BE_TOLD: Final = ("context", "context_prior", *_INDEX, "teacher_activity", "intensity", "dominance")
# Keys that are told together or not at all.
_NEEDS: Final = MappingProxyType(
    {
        "context": ("context_prior",),
        "context_prior": ("context",),
        **{key: tuple(other for other in _INDEX if other != key) for key in _INDEX},
        "teacher_activity": _INDEX,
    }
)
_ZONE_SHARES: Final = ("positive_activity", "negative_activity")
_ZONE_BALANCES: Final = ("valence", "arousal")


class EmotionEvent(PlacedPayload):
    """One window of one room, protected; `ts` is the window's end."""

    SCHEMA_ID: ClassVar[str] = "roomtone-emotion/1"
    FAMILIES: ClassVar[Mapping[str, KeyFamily]] = {
        "shares": KeyFamily("share_", NAME, {"enum": TWENTIETHS}),
        "readings": KeyFamily("reading_", NAME, {"enum": TWENTIETHS}),
        "zone_flags": KeyFamily("zone_", f"{ZONE_NAME}_suppressed", {"enum": [0, 1]}),
        "zone_counts": KeyFamily(
            "zone_", f"{ZONE_NAME}_readable_(?:min|max)", {"type": "integer", "minimum": 0}, limit=64
        ),
        "zone_shares": KeyFamily(
            "zone_", f"{ZONE_NAME}_(?:{'|'.join(_ZONE_SHARES)})", {"enum": TWENTIETHS}, 64
        ),
        "zone_balances": KeyFamily(
            "zone_",
            f"{ZONE_NAME}_(?:{'|'.join(_ZONE_BALANCES)})",
            {"type": "number", "minimum": -1, "maximum": 1},
            limit=64,
        ),
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
    dominant: str | None = Field(None, pattern=f"^{NAME}$", description="label with the largest share")
    valence: Balance | None = Field(None, description="-1 unpleasant to 1 pleasant")
    arousal: Balance | None = Field(None, description="-1 calm to 1 excited")
    confidence: Share | None = Field(None, description="mean calibrated confidence")
    context: Activity | None = Field(None, description="activity in force")
    context_prior: Flag | None = Field(None, description="1: that activity's prior re-weighted the shares")
    positive_activity: Share | None = Field(None, description="sum of shares of positive labels")
    negative_activity: Share | None = Field(None, description="sum of shares of negative labels")
    classroom_activity: Share | None = Field(None, description="0 none to 1 lively; see docs/room.md")
    grade: Grade | None = Field(None, description="of classroom_activity")
    teacher_activity: Share | None = Field(
        None, description="only with a written teacher agreement, or in simulation"
    )
    intensity: Share | None = Field(None, description="0 neutral to 1 intense")
    dominance: Balance | None = Field(None, description="-1 submissive to 1 dominant, if the bundle gives it")
    shares: dict[str, Share] = Field(
        default_factory=dict, description="share_<label>, multiples of 0.05, sum 1"
    )
    readings: dict[str, Share] = Field(default_factory=dict, description="reading_<name>, sums of shares")
    zone_flags: dict[str, Flag] = Field(
        default_factory=dict, description="zone_<zone>_suppressed: 1: fewer people in it than min_group"
    )
    zone_counts: dict[str, Count] = Field(
        default_factory=dict, description="zone_<zone>_readable_min, _max: people read in it"
    )
    zone_shares: dict[str, Share] = Field(
        default_factory=dict, description="zone_<zone>_positive_activity, zone_<zone>_negative_activity"
    )
    zone_balances: dict[str, Balance] = Field(
        default_factory=dict, description="zone_<zone>_valence, zone_<zone>_arousal"
    )

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
            context=window.context,
            context_prior=None if window.context_prior is None else int(window.context_prior),
            positive_activity=window.positive_activity,
            negative_activity=window.negative_activity,
            classroom_activity=window.classroom_activity,
            grade=window.grade,
            teacher_activity=window.teacher_activity,
            intensity=window.intensity,
            dominance=window.dominance,
            zone_flags={f"{name}_suppressed": int(zone.suppressed) for name, zone in window.zones.items()},
            zone_counts={
                f"{name}_readable_{end}": count
                for name, zone in window.zones.items()
                for end, count in (("min", zone.readable.low), ("max", zone.readable.high))
            },
            zone_shares=_of_zones(window.zones, _ZONE_SHARES),
            zone_balances=_of_zones(window.zones, _ZONE_BALANCES),
        )

    @model_validator(mode="after")
    def _keeps_its_word(self) -> Self:
        if self.event_id != EventNumber(self.boot, self.seq).event_id(self.device):
            raise ValueError(f"event_id {self.event_id} is not device, boot and seq of this event")
        if self.seen_min > self.seen_max or self.readable_min > self.readable_max:
            raise ValueError("a band ends below its beginning")
        if self.suppressed:
            if any(getattr(self, key) is not None for key in (*_TOLD, *_MAY_BE_TOLD)) or any(
                getattr(self, field) for field in self.FAMILIES
            ):
                raise ValueError("a suppressed window tells nothing but its counts")
            return self
        if self.readable_max < self.min_group:
            raise ValueError(
                f"{self.readable_max} people read and not suppressed, min_group is {self.min_group}"
            )
        self._tells_shares()
        self._tells_an_index()
        self._keeps_zones_apart()
        return self

    def _tells_shares(self) -> None:
        if not self.shares or any(getattr(self, key) is None for key in _TOLD):
            raise ValueError(
                "a window that is not suppressed has shares, dominant, valence, arousal and confidence"
            )
        if abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares sum to {sum(self.shares.values()):.2f}, not to 1")
        if self.shares.get(self.dominant or "") != max(self.shares.values()):
            raise ValueError(f"dominant is {self.dominant}, which has not the largest share")

    def _tells_an_index(self) -> None:
        for key, others in _NEEDS.items():
            if getattr(self, key) is not None and any(getattr(self, other) is None for other in others):
                raise ValueError(f"{key} is told without {' and '.join(others)}")
        if (self.positive_activity or 0) + (self.negative_activity or 0) > 1 + 1e-6:
            raise ValueError("positive and negative activity are more than 1 together")
        if self.classroom_activity is not None and self.grade != grade_of(self.classroom_activity):
            raise ValueError(f"grade is {self.grade}, classroom_activity is {self.classroom_activity}")

    def _keeps_zones_apart(self) -> None:
        zones = {key.removesuffix("_suppressed"): bool(flag) for key, flag in self.zone_flags.items()}
        counts = {f"{name}_readable_{end}" for name in zones for end in ("min", "max")}
        told = {name for name, is_suppressed in zones.items() if not is_suppressed}
        shares = {f"{name}_{key}" for name in told for key in _ZONE_SHARES}
        balances = {f"{name}_{key}" for name in told for key in _ZONE_BALANCES}
        if (set(self.zone_counts), set(self.zone_shares), set(self.zone_balances)) != (
            counts,
            shares,
            balances,
        ):
            raise ValueError("a zone tells its counts, and the rest when it is not suppressed")
        for name in told:
            if self.zone_counts[f"{name}_readable_max"] < self.min_group:
                raise ValueError(f"zone {name} has fewer people than {self.min_group} and is not suppressed")

    @classmethod
    def _schema_conditions(cls) -> dict[str, Any]:
        return {
            "if": {"properties": {"suppressed": {"const": 1}}},
            "then": {
                "properties": dict.fromkeys((*_TOLD, *_MAY_BE_TOLD), False),
                "patternProperties": {family.pattern: False for family in cls.FAMILIES.values()},
            },
            "else": {"required": list(_TOLD)},
            # `dependentRequired` says the same, but not in the draft 07 of AsyncAPI.
            "allOf": [
                {"if": {"required": [key]}, "then": {"required": list(others)}}
                for key, others in _NEEDS.items()
            ],
        }


def _of_zones(zones: Mapping[str, ProtectedZone], keys: tuple[str, ...]) -> dict[str, float]:
    return {
        f"{name}_{key}": value
        for name, zone in zones.items()
        for key in keys
        if (value := getattr(zone, key)) is not None
    }
