"""What an alert says, and how it travels: `roomtone/alert/<site>/<room>/<device>/<rule>`, retained.

The retained message is the alert's state: `new` while it lasts, then `end` for a day. Whoever subscribes sees at
once what is wrong now, and the service itself goes on after a restart with what it had told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field

from edge_runtime.alerts.rules import Kind, Rule
from edge_runtime.publishing.flat import Flag
from edge_runtime.publishing.placed import PlacedPayload, UnixTime
from edge_runtime.publishing.topics import ALERT_LEVEL, ROOT

Phase = Literal["new", "end"]
END_LIFETIME_S = 86_400


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule began or ceased to hold for one device.

    Attributes:
        rule: which.
        site, room, device: whose.
        phase: `new` or `end`.
        since_ts: unix time of the beginning, s.
        ts: unix time of this, s.
        text: a sentence.
        value, threshold: what was found, and what the rule says; None where there is no number.
    """

    rule: Rule
    site: str
    room: str
    device: str
    phase: Phase
    since_ts: float
    ts: float
    text: str
    value: float | None = None
    threshold: float | None = None

    @property
    def topic(self) -> str:
        """Where its state is."""
        return f"{ROOT}/{ALERT_LEVEL}/{self.site}/{self.room}/{self.device}/{self.rule.name}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What there is one alert of at a time."""
        return self.site, self.room, self.device, self.rule.name


class AlertEvent(PlacedPayload):
    """An alert's state; `ts` is when it began to be so."""

    SCHEMA_ID: ClassVar[str] = "roomtone-alert/1"

    rule: str = Field(description="name of the rule")
    kind: Kind = Field(description="what is watched")
    phase: Phase = Field(description="new: it lasts; end: it is over")
    firing: Flag = Field(description="1: it lasts")
    since_ts: UnixTime = Field(description="unix time of its beginning, s")
    text: str = Field(description="a sentence")
    quiet: Flag = Field(description="1: it came in quiet hours; webhooks and mail wait")
    value: float | None = Field(None, description="what was found")
    threshold: float | None = Field(None, description="what the rule says")

    @classmethod
    def of(cls, alert: Alert, *, is_quiet: bool) -> Self:
        """The payload of an alert."""
        return cls(
            ts=round(alert.ts, 3),
            site=alert.site,
            room=alert.room,
            device=alert.device,
            rule=alert.rule.name,
            kind=alert.rule.kind,
            phase=alert.phase,
            firing=int(alert.phase == "new"),
            since_ts=round(alert.since_ts, 3),
            text=alert.text,
            quiet=int(is_quiet),
            value=alert.value,
            threshold=alert.threshold,
        )
