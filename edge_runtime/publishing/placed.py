"""What payloads have in common: a place and a time, numbers in published steps, and an event's own number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from edge_runtime.config import Identifier
from edge_runtime.publishing.flat import FlatPayload

SHARE_STEP = (
    0.05  # step in which shares, activities, valence, arousal and confidence leave; see `ProtectedWindow`
)

NAME = "[A-Za-z][A-Za-z0-9_-]{0,30}"  # of a label, a reading, the kind of an episode
TWENTIETHS = [round(step * SHARE_STEP, 2) for step in range(21)]


def _in_steps(value: float) -> float:
    if abs(value / SHARE_STEP - round(value / SHARE_STEP)) > 1e-6:
        raise ValueError(f"{value} is finer than the published step of {SHARE_STEP}")
    return round(value, 2) + 0.0  # + 0.0: no "-0.0" on the wire


Share = Annotated[float, Field(ge=0, le=1), AfterValidator(_in_steps)]
Balance = Annotated[float, Field(ge=-1, le=1), AfterValidator(_in_steps)]
UnixTime = Annotated[float, Field(ge=0, lt=253_402_300_800)]  # before the year 10000


@dataclass(frozen=True, slots=True)
class EventNumber:
    """A number that no other event of this device has or will have.

    Attributes:
        boot: the run of the device; greater in every later one.
        seq: counts the events of all kinds, 1 more each time; goes on from one run to the next.
    """

    boot: int
    seq: int

    def event_id(self, device: str) -> str:
        """`<device>-<boot>-<seq>`: by this, receivers recognise an event that was sent twice."""
        return f"{device}-{self.boot}-{self.seq}"


class PlacedPayload(FlatPayload):
    """Base of all payloads: when and where."""

    ts: UnixTime = Field(description="unix time, s; before the year 10000")
    site: Identifier = Field(description="school or building")
    room: Identifier = Field(description="room")
    device: Identifier = Field(description="device")
