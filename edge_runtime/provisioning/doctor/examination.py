"""Doing the checks: groups side by side, the checks of a group one after another, each within its time.

A group is a chain such as name, connection, TLS, broker: what stands behind a failure cannot be looked at, and
the report says so instead of repeating the failure.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from edge_runtime.errors import RoomtoneError
from edge_runtime.provisioning.doctor.check import Check, Finding, Status, fail, skipped
from edge_runtime.provisioning.doctor.report import Line, Report

_log = logging.getLogger(__name__)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Group:
    """Checks that belong together.

    Attributes:
        title: for people.
        checks: in order.
        close: releases what the checks share.
    """

    title: str
    checks: Sequence[Check]
    close: Callable[[], None] = lambda: None


def examine(groups: Sequence[Group], on_done: Progress = lambda title: None) -> Report:
    """Does all checks.

    Args:
        groups: run side by side; their order is the report's.
        on_done: called with the title of each check that is done, from several threads.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(groups)), thread_name_prefix="doctor") as pool:
        lines = list(pool.map(lambda group: _examine_group(group, on_done), groups))
    return Report(tuple(line for of_group in lines for line in of_group))


def _examine_group(group: Group, on_done: Progress) -> list[Line]:
    lines: list[Line] = []
    broken: dict[str, str] = {}  # id → title, of what others may need
    try:
        for check in group.checks:
            missing = next((broken[need] for need in check.needs if need in broken), None)
            findings = [skipped(f"needs: {missing}")] if missing is not None else _within(check)
            if missing is not None or any(finding.status is Status.FAIL for finding in findings):
                broken[check.id] = missing or check.title
            lines += [Line(group.title, check.id, found.title or check.title, found) for found in findings]
            on_done(check.title)
    finally:
        group.close()
    return lines


def _within(check: Check) -> list[Finding]:
    """Runs a check in a thread of its own, which is left behind when it does not end: name lookups can hang."""
    findings: list[Finding] = []

    def run() -> None:
        try:
            found = check.run()
            findings.extend([found] if isinstance(found, Finding) else found)
        except RoomtoneError as error:
            findings.append(fail(str(error), error.hint or "see the documentation, docs/troubleshooting.md"))
        except Exception as exc:  # noqa: BLE001 - one broken check must not cost the others their turn
            _log.debug("check %s stumbled", check.id, exc_info=True)
            findings.append(
                fail(
                    f"the check itself stumbled: {type(exc).__name__}: {exc}",
                    "roomtone --verbose doctor shows where; please report it",
                )
            )

    thread = threading.Thread(target=run, name=f"check-{check.id}", daemon=True)
    thread.start()
    thread.join(check.limit_s)
    if thread.is_alive():
        return [fail(f"no answer within {check.limit_s:g} s", "try again; if it repeats, something hangs")]
    return findings
