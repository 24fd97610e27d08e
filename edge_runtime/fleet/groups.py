"""Who is first: groups of a fleet, chosen by a hash, so that the same fleet always gives the same groups.

groups = parse_groups("canary=5%,school-a=20,rest")
assign(groups, ["north/r1/camera-1", ...])   # {"north/r1/camera-1": "rest", ...}
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge_runtime.errors import UpdateError

REST: Final = "rest"
_GROUP: Final = re.compile(r"([a-z][a-z0-9-]{0,30})=(\d{1,7})(%?)")


@dataclass(frozen=True, slots=True)
class Group:
    """One group.

    Attributes:
        name: shown.
        size: devices, or per cent of all devices (rounded up); None: all that are left.
        is_share: whether it is per cent.
    """

    name: str
    size: int | None
    is_share: bool = False

    def count(self, fleet: int) -> int:
        """How many devices of a fleet of this size."""
        if self.size is None:
            return fleet
        return math.ceil(fleet * self.size / 100) if self.is_share else self.size


def parse_groups(text: str) -> tuple[Group, ...]:
    """Reads `NAME=N%`, `NAME=N` and a last `rest`, separated by commas, in the order in which they are served.

    Raises:
        UpdateError: it is nothing of the kind; a name stands twice; nothing is left for the last device.
    """
    groups: list[Group] = []
    for part in (part.strip() for part in text.split(",")):
        match = _GROUP.fullmatch(part)
        if part == REST:
            groups.append(Group(REST, None))
        elif match is not None and int(match[2]) > 0 and not (match[3] and int(match[2]) > 100):
            groups.append(Group(match[1], int(match[2]), bool(match[3])))
        else:
            raise UpdateError(f"--groups: {part!r} is no group", hint="such as canary=5%,second=20,rest")
    names = [group.name for group in groups]
    if len(set(names)) != len(names):
        raise UpdateError("--groups: a name stands twice")
    if names[-1] != REST or REST in names[:-1]:
        raise UpdateError("--groups: the last group is `rest`", hint="such as canary=5%,rest")
    return tuple(groups)


def assign(groups: Sequence[Group], devices: Iterable[str]) -> dict[str, str]:
    """Device → name of its group; devices in the order of their hash, the first ones in the first group.

    The hash has nothing to do with names of sites and rooms, so a small group is drawn from the whole fleet. A device
    that comes later shifts at most the borders.
    """
    ordered = sorted(devices, key=lambda device: (hashlib.sha256(device.encode()).digest(), device))
    assigned: dict[str, str] = {}
    start = 0
    for group in groups:
        end = min(len(ordered), start + group.count(len(ordered)))
        assigned |= dict.fromkeys(ordered[start:end], group.name)
        start = end
    return assigned
