"""The rules, from a TOML file that is checked whole; all faults at once.

    [quiet_hours]
    from = "18:00"
    to = "07:00"

    [[rule]]
    name = "confused"
    kind = "share"
    key = "reading_frustration"
    above = 0.4
    windows = 3
    actions = ["webhook:chat"]

    [webhook.chat]
    url_env = "ROOMTONE_CHAT_URL"

Secrets do not stand in it: a webhook's token and a mail server's password, and a url that is itself a secret,
come from the environment or from files of `$CREDENTIALS_DIRECTORY`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_runtime.alerts.quiet import QuietHours, parse_minute
from edge_runtime.config_faults import faults_of, lines_of_keys
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.publishing.payloads import HEALTH_WORDS, EmotionEvent
from edge_runtime.publishing.topics import Leaf

Kind = Literal["offline", "share", "latency", "health"]

# The keys of a window that a rule may watch; families by their prefix.
_WATCHED: Final = (
    "valence",
    "arousal",
    "confidence",
    "positive_activity",
    "negative_activity",
    "classroom_activity",
    "teacher_activity",
    "intensity",
    "dominance",
)
_FAMILIES: Final = tuple(EmotionEvent.FAMILIES[name].prefix for name in ("shares", "readings"))
# Last levels of the contract's topics; an alert of such a name would be read as one of them.
_TAKEN: Final = frozenset(level for leaf in Leaf for level in leaf.split("/"))
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


def _rule_name(name: str) -> str:
    if name in _TAKEN:
        raise ValueError(f"{name!r} is the name of a topic of devices; call it otherwise")
    return name


def _minute(text: str) -> str:
    parse_minute(text)
    return text


class QuietSection(_Section):
    """When webhooks and e-mail wait. MQTT always tells."""

    from_: Annotated[str, AfterValidator(_minute)] = Field(
        "", alias="from", description="local time, `18:00`"
    )
    to: Annotated[str, AfterValidator(_minute)] = Field("", description="may be on the next day")
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        (), description="days that are quiet from midnight to midnight"
    )
    timezone: str = Field("", description="such as `Europe/Berlin`; that of this machine when absent")

    @model_validator(mode="after")
    def _is_whole(self) -> QuietSection:
        if bool(self.from_) != bool(self.to):
            raise ValueError("from and to go together")
        if self.from_ and self.from_ == self.to:
            raise ValueError("from and to are the same time; for whole days there is days")
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError) as exc:
                raise ValueError(f"timezone {self.timezone!r} is not known") from exc
        return self

    def hours(self) -> QuietHours:
        """As the service uses it."""
        return QuietHours(
            from_min=parse_minute(self.from_) if self.from_ else None,
            to_min=parse_minute(self.to) if self.to else None,
            days=frozenset(_DAYS.index(day) for day in self.days),
            zone=ZoneInfo(self.timezone) if self.timezone else None,
        )


class Rule(_Section):
    """One rule. Each device is watched for itself."""

    name: Annotated[str, AfterValidator(_rule_name)] = Field(
        pattern="^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$", description="last level of its MQTT topic"
    )
    kind: Kind = Field(description="what is watched")
    rooms: tuple[str, ...] = Field(
        ("*",), min_length=1, description="`site/room` with `*` as in file names; all when absent"
    )
    minutes: float = Field(
        5.0, gt=0, le=10_080, description="offline, latency, health: so long before it alerts"
    )
    key: str = Field("", description="share: key of a window, such as `share_sad` or `negative_activity`")
    above: float | None = Field(None, ge=-1, le=1, description="share: alerts from here on")
    below: float | None = Field(
        None, ge=-1, le=1, description="share: alerts from here down, instead of above"
    )
    leave: float | None = Field(
        None, ge=-1, le=1, description="share: is over past this; 0.05 back from above or below when absent"
    )
    windows: int = Field(3, ge=1, le=1000, description="share: so many windows in a row before it alerts")
    leave_windows: int = Field(2, ge=1, le=1000, description="share: so many in a row before it is over")
    stage: str = Field("frame", description="latency: stage of `stats`; `frame` is all of them together")
    budget_ms: float | None = Field(None, gt=0, description="latency: p95 above it alerts")
    words: tuple[str, ...] = Field((), description="health: words that alert; all but `ok` when absent")
    actions: tuple[str, ...] = Field((), description="`webhook:<name>`, `email:<name>`; MQTT always")
    during_quiet_hours: bool = Field(False, description="act in quiet hours, too")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Rule:
        if self.kind == "share":
            self._check_share()
        elif self.kind == "latency" and self.budget_ms is None:
            raise ValueError("a latency rule needs budget_ms")
        unknown = [word for word in self.words if word not in HEALTH_WORDS]
        if unknown:
            raise ValueError(f"words: {unknown[0]!r} is none of {', '.join(HEALTH_WORDS)}")
        return self

    def _check_share(self) -> None:
        if self.key not in _WATCHED and not any(
            re.fullmatch(f"{prefix}[A-Za-z][A-Za-z0-9_-]{{0,30}}", self.key) for prefix in _FAMILIES
        ):
            known = ", ".join((*(f"{prefix}<name>" for prefix in _FAMILIES), *_WATCHED))
            raise ValueError(f"key {self.key!r} is none of {known}")
        if (self.above is None) == (self.below is None):
            raise ValueError("a share rule needs above or below, and not both")
        if self.above is not None and self.leave is not None and self.leave > self.above:
            raise ValueError("leave is beyond above: it would be over before it begins")
        if self.below is not None and self.leave is not None and self.leave < self.below:
            raise ValueError("leave is beyond below: it would be over before it begins")

    def watches(self, site: str, room: str) -> bool:
        """Whether the room is one of this rule's."""
        return any(fnmatchcase(f"{site}/{room}", pattern) for pattern in self.rooms)


def _web_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not http(s)://host…")
    if parts.username or parts.password:
        raise ValueError(
            "holds a user or password; use token_env, or url_env for a url that is itself a secret"
        )
    return url


class Webhook(_Section):
    """Where a POST with the alert as JSON goes."""

    url: Annotated[str, AfterValidator(_web_url)] | None = Field(None, description="http(s)://…")
    url_env: str | None = Field(
        None, description="name of the secret that holds the url, for services whose url is the password"
    )
    token_env: str | None = Field(None, description="name of the secret sent as `Authorization: Bearer`")
    timeout_s: float = Field(10.0, gt=0, le=60, description="for the whole request")

    @model_validator(mode="after")
    def _has_one_url(self) -> Webhook:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("needs url or url_env, and not both")
        return self


class Email(_Section):
    """Which server sends a mail to whom."""

    host: str = Field(min_length=1, description="mail server")
    port: int = Field(
        587, ge=1, le=65_535, description="587 submission, 465 TLS from the first byte, 25 relay"
    )
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="none only for a relay on this machine or a trusted network"
    )
    user: str | None = Field(None, description="of the mail server")
    password_env: str | None = Field(None, description="name of the secret that holds the password")
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", description="From")
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(min_length=1)
    timeout_s: float = Field(10.0, gt=0, le=60, description="for each step")

    @model_validator(mode="after")
    def _login_is_whole(self) -> Email:
        if (self.user is None) != (self.password_env is None):
            raise ValueError("user and password_env go together")
        if self.user is not None and self.security == "none":
            raise ValueError("a password is not sent without TLS; choose starttls or tls")
        return self


class AlertRules(_Section):
    """The whole file."""

    quiet_hours: QuietSection = QuietSection.model_validate({})
    rule: tuple[Rule, ...] = Field((), description="the rules")
    webhook: dict[str, Webhook] = Field({}, description="webhooks by name")
    email: dict[str, Email] = Field({}, description="mails by name")

    @model_validator(mode="after")
    def _names_agree(self) -> AlertRules:
        names = [rule.name for rule in self.rule]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rules are called {twice[0]}")
        known = {f"webhook:{name}" for name in self.webhook} | {f"email:{name}" for name in self.email}
        for rule in self.rule:
            for action in rule.actions:
                if action not in known:
                    there = ", ".join(sorted(known)) or "none"
                    raise ValueError(f"rule {rule.name}: action {action!r} is not there; there is {there}")
        return self

    def secrets(self) -> set[str]:
        """Names of all secrets that it wants."""
        named = {hook.url_env for hook in self.webhook.values()}
        named |= {hook.token_env for hook in self.webhook.values()}
        named |= {mail.password_env for mail in self.email.values()}
        return {name for name in named if name is not None}


def load_rules(path: Path) -> AlertRules:
    """Reads a file.

    Raises:
        ConfigurationError: it cannot be read, is no TOML, or breaks a rule; all faults at once.
    """
    hint = "docs/alerts.md shows a whole file"
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as exc:
        raise ConfigurationError(
            str(path), [Fault("", f"cannot be read: {exc.strerror}")], hint=hint
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(str(path), [Fault("", f"is no TOML: {exc}")], hint=hint) from exc
    try:
        return AlertRules.model_validate(document)
    except ValidationError as exc:
        lines = lines_of_keys(text)
        faults = [replace(fault, line=lines.get(fault.key)) for fault in faults_of(exc)]
        raise ConfigurationError(str(path), faults, hint=hint) from exc


def find_secrets(rules: AlertRules, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The secrets that the rules name: environment first, then `$CREDENTIALS_DIRECTORY`, by the name in small letters.

    Raises:
        ConfigurationError: some are missing; all are named.
    """
    environ = os.environ if environ is None else environ
    folder = environ.get("CREDENTIALS_DIRECTORY")
    found, faults = {}, []
    for name in sorted(rules.secrets()):
        value = environ.get(name)
        if not value and folder:
            try:
                value = (Path(folder) / name.lower()).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError):
                value = None
        if value:
            found[name] = value
        else:
            faults.append(Fault(name, f"is not set, and $CREDENTIALS_DIRECTORY has no file {name.lower()}"))
    if faults:
        raise ConfigurationError("the secrets of the alerts", faults, hint="set them for this process only")
    return found
