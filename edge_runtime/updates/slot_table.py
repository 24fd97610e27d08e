"""The table of slots as a value: what `slots.json` says, and what can be concluded from it. No file is touched here."""

from __future__ import annotations

import time
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from edge_runtime.bundle import Bundle

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
Waiver = Literal["version", "labels"]
Phase = Literal["installed", "checked", "trial"]
Outcome = Literal["committed", "undecided", "sent back"]


def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers that compare as versions do."""
    return tuple(int(part) for part in version.split("."))


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Slot(_Entry):
    """A bundle on this device."""

    digest: Digest
    name: str
    version: Version

    @classmethod
    def holding(cls, bundle: Bundle) -> Slot:
        """The entry of an opened bundle."""
        return Slot(digest=bundle.digest, name=bundle.manifest.name, version=bundle.manifest.version)

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return self.digest[:32]

    @property
    def identity(self) -> str:
        """NAME@VERSION, as it is asked for and told over MQTT."""
        return f"{self.name}@{self.version}"

    def is_called(self, bundle: str) -> bool:
        """Whether that is its NAME@VERSION or its digest."""
        return bundle in (self.identity, self.digest)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Candidate(Slot):
    """A bundle that may become the current one.

    `installed`: whole and trusted. `checked`: right and fast enough on this CPU, waiting for live frames.
    `trial`: it runs, and may still be sent back.
    """

    phase: Phase = "installed"
    attempts: int = Field(0, ge=0, description="trials begun and not ended by a stop that was asked for")
    waivers: tuple[Waiver, ...] = Field((), description="what the operator allowed it to break")


class Rejected(Slot):
    """The last bundle that was sent back, and why; `ts` is unix time, s."""

    reason: str
    ts: float

    @classmethod
    def now(cls, slot: Slot, reason: str) -> Self:
        """A bundle that is sent back at this moment."""
        return cls(
            digest=slot.digest,
            name=slot.name,
            version=slot.version,
            reason=reason[:500],
            ts=round(time.time(), 3),
        )


class SlotTable(_Entry):
    """`slots.json`. `floors`: name of a bundle → the oldest version that may be installed."""

    schema_id: Literal["roomtone-slots/1"] = Field("roomtone-slots/1", alias="schema")
    current: Slot | None = None
    previous: Slot | None = None
    candidate: Candidate | None = None
    rejected: Rejected | None = None
    floors: dict[str, Version] = {}

    def with_(self, **changes: object) -> SlotTable:
        """The table with some entries replaced."""
        return self.model_copy(update=changes)

    def in_use(self) -> set[str]:
        """Folders that a slot names."""
        return {slot.folder for slot in (self.current, self.previous, self.candidate) if slot is not None}

    def committed(self, candidate: Candidate) -> SlotTable:
        """The table after a commit: the candidate is current, and its version the floor unless that is higher."""
        slot = Slot(digest=candidate.digest, name=candidate.name, version=candidate.version)
        floor = max(self.floors.get(slot.name, slot.version), slot.version, key=version_key)
        floors = {**self.floors, slot.name: floor}
        return self.with_(current=slot, previous=self.current, candidate=None, floors=floors)

    def outcome(self, bundle: str | None = None) -> tuple[Outcome, str]:
        """How an activation ended, and why.

        Args:
            bundle: NAME@VERSION or digest; None: of the candidate if there is one, else of the current bundle.
        """

        def is_meant(slot: Slot | None) -> bool:
            return slot is not None and (bundle is None or slot.is_called(bundle))

        if (candidate := self.candidate) is not None and is_meant(candidate):
            if candidate.phase != "installed":
                return (
                    "undecided",
                    f"{candidate} is {'on trial' if candidate.phase == 'trial' else 'checked'}",
                )
            if self.rejected is not None and self.rejected.digest == candidate.digest:
                return "sent back", self.rejected.reason
            if bundle is not None:
                return "undecided", f"{candidate} is installed and not activated"
        if is_meant(self.current) or (bundle is None and self.current is None):
            return "committed", f"{self.current or 'the bundle that ships'} runs"
        if self.rejected is not None and is_meant(self.rejected):
            return "sent back", self.rejected.reason
        return "sent back", f"{bundle} is not on this device"
