"""How a rollout and a fleet look in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from rich.table import Table
from rich.text import Text

from edge_runtime.fleet.groups import parse_groups
from edge_runtime.fleet.ledger import AT_WORK, Device, Ledger
from edge_runtime.fleet.link import Presence
from edge_runtime.publishing.flat import Scalar

SHOWN: Final = 25  # devices below the groups: those at work, then those with a problem
_BAR: Final = 20
_STYLES: Final = {
    "committed": "green",
    "already": "green",
    "failed": "red",
    "stuck": "red",
    "skipped": "yellow",
    "undone": "yellow",
}


def rollout_table(ledger: Ledger, *, note: str = "") -> Table:
    """Groups with their progress, then the devices that somebody should look at."""
    table = Table(
        title=f"{ledger.identity or ledger.bundle}: {ledger.verdict}",
        caption="\n".join(filter(None, (ledger.why, note))) or None,
        expand=True,
    )
    for heading in ("group / device", "state", "detail"):
        table.add_column(heading)
    for group in parse_groups(ledger.groups):
        members = list(ledger.in_group(group.name))
        counts = Counter(device.state for device in members)
        good, total = counts["committed"] + counts["already"], len(members)
        filled = round(_BAR * good / total) if total else 0
        told = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        table.add_row(
            Text(group.name, style="bold"),
            Text("█" * filled + "░" * (_BAR - filled)),
            Text(f"{good} of {total}: {told}"),
        )
    notable = sorted(ledger.devices.values(), key=_importance)
    shown = [device for device in notable if _importance(device)[0] < 3][:SHOWN]
    for device in shown:
        detail = device.reason or device.phase
        table.add_row(
            Text(f"  {device.name}"), Text(device.state, style=_STYLES.get(device.state, "")), Text(detail)
        )
    return table


def _importance(device: Device) -> tuple[int, str]:
    if device.state in ("failed", "stuck"):
        return 0, device.name
    if device.state in AT_WORK:
        return 1, device.name
    return (2 if device.reason else 3), device.name


def fleet_table(devices: Mapping[str, Presence], health: Mapping[str, Mapping[str, Scalar]]) -> Table:
    """Every device: whether it is there, how it is, what it runs, and what it has before it."""
    table = Table(title=f"{len(devices)} devices", expand=True)
    for heading in ("device", "state", "health", "bundle", "update"):
        table.add_column(heading)
    for name, presence in sorted(devices.items()):
        told = health.get(name, {})
        update = str(told.get("phase", "")) if told.get("phase") not in (None, "idle") else ""
        if update:
            update = f"{told.get('candidate', '')} {update}"
        elif "rejected" in told:
            update = f"sent back {told['rejected']}: {told.get('rejected_reason', '')}"
        table.add_row(
            Text(name),
            Text("● online", style="green") if presence.is_online else Text("○ offline", style="red"),
            Text(str(told.get("health", "–"))),
            Text(str(told.get("bundle", presence.bundle or "–"))),
            Text(update),
        )
    return table
