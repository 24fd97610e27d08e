"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DEFAULT_LIMIT_S: Final = 20.0
Facts = dict[str, str | int | float]


class Status(StrEnum):
    """How a thing is; in the order from good to bad but for `SKIPPED`, which says nothing either way."""

    OK = "ok"
    SKIPPED = "skipped"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        status: how it is.
        what: what was found, a sentence or part of one; holds no secret.
        next_step: what to do about it; never empty for `WARN` and `FAIL`.
        facts: the numbers and names behind it, for programs.
        title: stands in the report instead of the check's own, where a check finds several things.
    """

    status: Status
    what: str
    next_step: str = ""
    facts: Facts = field(default_factory=dict)
    title: str = ""

    def __post_init__(self) -> None:
        if self.status in (Status.WARN, Status.FAIL) and not self.next_step:
            raise ValueError(f"a {self.status} must say what to do next: {self.what}")


def ok(what: str, **facts: str | float) -> Finding:
    """All is well."""
    return Finding(Status.OK, what, facts=facts)


def skipped(what: str, next_step: str = "", **facts: str | float) -> Finding:
    """Could not, or need not, be looked at."""
    return Finding(Status.SKIPPED, what, next_step, facts)


def warn(what: str, next_step: str, **facts: str | float) -> Finding:
    """The device runs, but not as well as it could, or not for long."""
    return Finding(Status.WARN, what, next_step, facts)


def fail(what: str, next_step: str, **facts: str | float) -> Finding:
    """The device does not do its work like this."""
    return Finding(Status.FAIL, what, next_step, facts)


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at.

    Attributes:
        id: for programs, `[a-z_]`.
        title: for people.
        run: looks, and says what it found; may take its time, up to `limit_s`.
        needs: ids of earlier checks of the same group; when one of them failed, or was skipped for that reason,
            this one is skipped.
        limit_s: after so long the check is given up.
    """

    id: str
    title: str
    run: Callable[[], Finding | Iterable[Finding]]
    needs: tuple[str, ...] = ()
    limit_s: float = DEFAULT_LIMIT_S
