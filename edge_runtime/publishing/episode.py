"""The payload of an episode: something that lasted, told when it begins, while it lasts, and when it ends."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from edge_runtime.publishing.flat import Count
from edge_runtime.publishing.placed import NAME, EventNumber, PlacedPayload, Share, UnixTime

EpisodePhase = Literal["new", "update", "end"]


class EpisodeEvent(PlacedPayload):
    """One step of an episode of one room; `ts` is the end of the window that it was told after."""

    SCHEMA_ID: ClassVar[str] = "roomtone-episode/1"

    event_id: str = Field(description="<device>-<boot>-<seq>; the same id is the same event")
    boot: Count = Field(description="run of the device")
    seq: Count = Field(description="counts this device's events")
    episode_id: str = Field(
        pattern=r"^[a-z0-9-]{1,64}-\d+-\d+$", description="event_id of its `new`; the same in all its events"
    )
    phase: EpisodePhase = Field(description="new, update or end")
    kind: str = Field(
        pattern=f"^{NAME}$", description="label, reading or activity that is above its threshold"
    )
    start_ts: UnixTime = Field(description="unix time of its beginning, s")
    duration_s: float = Field(ge=0, description="from its beginning to the end of its last window above, s")
    windows: int = Field(ge=1, description="windows above the threshold")
    share: Share = Field(description="in the latest of them, multiple of 0.05")
    peak_share: Share = Field(description="the largest so far")
    threshold: float = Field(gt=0, le=1, description="from which on it counts")

    @model_validator(mode="after")
    def _keeps_its_word(self) -> Self:
        own_id = EventNumber(self.boot, self.seq).event_id(self.device)
        if self.event_id != own_id:
            raise ValueError(f"event_id {self.event_id} is not device, boot and seq of this event")
        if not self.episode_id.startswith(f"{self.device}-"):
            raise ValueError(f"episode_id {self.episode_id} is not of this device")
        if (self.phase == "new") != (self.episode_id == own_id):
            raise ValueError("episode_id is the event_id of the episode's `new`, and of that only")
        if not self.threshold - 1e-6 <= self.share <= self.peak_share:
            raise ValueError(
                f"share {self.share} is not between threshold {self.threshold} and peak {self.peak_share}"
            )
        if self.start_ts > self.ts:
            raise ValueError("it begins after it was told")
        return self
