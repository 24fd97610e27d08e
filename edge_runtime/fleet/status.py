"""How all devices are, now."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Final

from edge_runtime.fleet.link import FleetLink
from edge_runtime.publishing.flat import Scalar
from edge_runtime.publishing.payloads import Request

_SETTLE_S: Final = 0.5  # what is retained comes at once


def ask_all(link: FleetLink, seconds: float) -> dict[str, Mapping[str, Scalar]]:
    """Asks each device that is there how it is, and waits until all have answered or the time is over.

    Args:
        link: entered.
        seconds: in all.

    Returns:
        Device → what it said; those that are away or too old to answer are missing.
    """
    deadline_s = time.monotonic() + seconds
    transaction = f"status-{secrets.token_hex(4)}"
    link.discover(min(_SETTLE_S, seconds))
    asked: set[str] = set()
    told: dict[str, Mapping[str, Scalar]] = {}
    while (left_s := deadline_s - time.monotonic()) > 0:
        for name, presence in link.devices.items():
            if presence.is_online and name not in asked:
                asked.add(name)
                link.ask(name, "health_check", Request(transaction=transaction))
        if asked and asked <= told.keys():
            break
        for name, response in link.responses(min(left_s, _SETTLE_S)):
            if response.transaction == transaction and response.status == "ok":
                told[name] = response.data
    return told
