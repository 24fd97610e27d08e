"""What was found, for people and for programs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from edge_runtime import __version__
from edge_runtime.provisioning.doctor.check import Finding, Status

SCHEMA_ID: Final = "roomtone-doctor/1"
_STYLE: Final = {
    Status.OK: ("✓ ok", "green"),
    Status.SKIPPED: ("– skipped", "dim"),
    Status.WARN: ("! warn", "yellow"),
    Status.FAIL: ("✗ fail", "bold red"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A finding and where it belongs."""

    group: str
    check: str
    title: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Report:
    """All lines, in the order in which they are shown."""

    lines: tuple[Line, ...]

    def count(self, status: Status) -> int:
        """How many lines have this status."""
        return sum(line.finding.status is status for line in self.lines)

    @property
    def worst(self) -> Status:
        """`FAIL`, `WARN` or `OK`; what was skipped does not count."""
        return next((status for status in (Status.FAIL, Status.WARN) if self.count(status)), Status.OK)

    def exit_code(self, *, strict: bool = False) -> int:
        """0 when nothing failed, else 1; with `strict` a warning is a failure."""
        return int(self.worst is Status.FAIL or (strict and self.worst is Status.WARN))

    def to_json(self) -> dict[str, Any]:
        """The report as plain values, schema `roomtone-doctor/1`."""
        return {
            "schema": SCHEMA_ID,
            "ts": round(time.time(), 3),
            "roomtone": __version__,
            "worst": str(self.worst),
            "counts": {str(status): self.count(status) for status in Status},
            "checks": [
                {
                    "group": line.group,
                    "check": line.check,
                    "title": line.title,
                    "status": str(line.finding.status),
                    "finding": line.finding.what,
                    "next_step": line.finding.next_step,
                    "facts": line.finding.facts,
                }
                for line in self.lines
            ],
        }

    def summary(self) -> str:
        """One sentence."""
        fails, warns = self.count(Status.FAIL), self.count(Status.WARN)
        if not fails and not warns:
            return "All is well."
        said = [f"{fails} to mend"] if fails else []
        said += [f"{warns} to look at"] if warns else []
        return f"{', '.join(said)}; {self.count(Status.OK)} ok."


def table(report: Report) -> Table:
    """The report as a table; next steps stand under what they mend."""
    out = Table(box=None, pad_edge=False, header_style="bold")
    out.add_column("check", no_wrap=True)
    out.add_column("", no_wrap=True)
    out.add_column("finding", overflow="fold", ratio=1)
    group = ""
    for line in report.lines:
        if line.group != group:
            group = line.group
            out.add_row(f"[bold]{group}[/bold]", "", "")
        word, style = _STYLE[line.finding.status]
        out.add_row(f"  {line.title}", f"[{style}]{word}[/{style}]", escape(line.finding.what))
        if line.finding.next_step:
            out.add_row("", "", f"[cyan]→ {escape(line.finding.next_step)}[/cyan]")
    return out
