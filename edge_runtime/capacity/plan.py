"""Does a configuration fit on a board, how sure is that, and what to change if it does not.

A board should not be busy for more than `MOST_BUSY` of its time: heat, the system and a lesson with more faces need the
rest. A load is foretold with an interval; a configuration fits when all of that is below the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Literal

from edge_runtime.board import read_board
from edge_runtime.capacity.model import Demand, Load, error_of, in_force, load
from edge_runtime.capacity.perf import Perf, measured_boards, read_perf
from edge_runtime.device_profile import load_profile, profile_names
from edge_runtime.errors import PerfError
from edge_runtime.governor import FLOOR, ORDER

MOST_BUSY: Final = 0.8
THIS: Final = "this"
REFERENCE: Final = "x86-64-2-cores"  # of which `board.core_speed` in a profile is a share
_ESTIMATE_FACTOR: Final = 2.0  # either way: cores differ from each other by kind of work
_SYSTEM_MB: Final = 400.0
_SETTINGS: Final[Mapping[str, str]] = {
    "classify_hz": "inference.classify_rate_hz",
    "scan_hz": "faces.scan_rate_hz",
    "follow_hz": "faces.follow_rate_hz",
}

Verdict = Literal["fits", "may fit", "does not fit"]


@dataclass(frozen=True, slots=True)
class Costs:
    """What is known of a board.

    Attributes:
        perf: its own costs, or those of the reference board.
        title: for people.
        cores, memory_mb: of the board; no memory is told of an estimate.
        factor: how many times as long its cores take as those of `perf`.
        low, high: of a load, as factors of the foretold one.
        basis: where that is from, in a sentence.
        is_measured: on such a board.
    """

    perf: Perf
    title: str
    cores: int
    memory_mb: int | None
    factor: float
    low: float
    high: float
    basis: str
    is_measured: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer.

    Attributes:
        demand: what was asked, with the rates that are in force.
        costs: of the board.
        load: foretold.
        busy: share of all cores, or of the one core that a camera's loop has, whichever is more.
        memory_mb: of all cameras, as processes of their own.
        verdict: in two words.
        limited_by: cores, loop (one camera's thread) or memory.
        advice: what to change so that it fits, best first; empty when it fits.
    """

    demand: Demand
    costs: Costs
    load: Load
    busy: float
    memory_mb: float
    verdict: Verdict
    limited_by: Literal["cores", "loop", "memory"]
    advice: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        costs = self.costs
        return {
            "schema": "roomtone-plan/1",
            "device": costs.title,
            "is_measured": costs.is_measured,
            "basis": costs.basis,
            "demand": asdict(self.demand),
            "cores": costs.cores,
            "load_cores": round(self.load.cores, 3),
            "load_cores_low": round(self.load.cores * costs.low, 3),
            "load_cores_high": round(self.load.cores * costs.high, 3),
            "loop_cores": round(self.load.loop, 3),
            "parts_cores": {name: round(value, 3) for name, value in self.load.parts.items()},
            "busy": round(self.busy, 3),
            "memory_mb": round(self.memory_mb),
            "limited_by": self.limited_by,
            "verdict": self.verdict,
            "advice": list(self.advice),
        }


def costs_of(device: str) -> Costs:
    """What is known of a board.

    Args:
        device: `this`, a `perf.json`, the name of a measured board or of a device profile, or a unique part of one.

    Raises:
        PerfError: nothing is known of it, the name is of several, or the file cannot be used.
    """
    if device.endswith(".json") or "/" in device:
        return _measured(read_perf(Path(device)))
    boards = measured_boards()
    if device == THIS:
        here = read_board()
        for perf in boards:
            if (perf.board.cpu, perf.board.cores) == (here.cpu, here.cores):
                return _measured(perf)
        raise PerfError("this board", f"was not measured yet ({here})")
    named = {perf.name: perf for perf in boards}
    name = _only(device, [*named, *(name for name in profile_names() if name not in named)])
    return _measured(named[name]) if name in named else _estimated(name, named)


def plan(costs: Costs, demand: Demand) -> Plan:
    """Judges a configuration.

    Raises:
        ValueError: its engine was not measured.
    """
    demand = in_force(costs.perf, demand)
    judged = _judged(costs, demand)
    if judged.verdict == "fits":
        return judged
    return replace(judged, advice=_advice(costs, demand))


def cameras_that_fit(perf: Perf, each: Demand) -> int:
    """How many cameras like this one a measured board carries; 64 are as many as are tried."""
    costs = _measured(perf)
    return next(
        (
            cameras - 1
            for cameras in range(1, 65)
            if _judged(costs, replace(each, cameras=cameras)).verdict != "fits"
        ),
        64,
    )


def _judged(costs: Costs, demand: Demand) -> Plan:
    needed = load(costs.perf, demand).times(costs.factor)
    memory_mb = demand.cameras * costs.perf.process_mb
    shares: dict[Literal["cores", "loop", "memory"], float] = {
        "cores": needed.cores / costs.cores,
        "loop": needed.loop,
    }
    limited_by = max(shares, key=lambda name: shares[name])
    busy = shares[limited_by]
    low, high = busy * costs.low, busy * costs.high
    verdict: Verdict = "fits" if high <= MOST_BUSY else "may fit" if low <= MOST_BUSY else "does not fit"
    if costs.memory_mb is not None and memory_mb + _SYSTEM_MB > costs.memory_mb:
        verdict, limited_by = "does not fit", "memory"
    return Plan(demand, costs, needed, busy, memory_mb, verdict, limited_by, ())


def _advice(costs: Costs, demand: Demand) -> list[str]:
    """Lower rates in the governor's order, then fewer cameras, then smaller frames."""
    found = []
    if _judged(costs, demand).limited_by == "memory" and demand.cameras > 1:
        found.append("one agent for all cameras takes less memory than one for each: roomtone run --camera")
    for slower in _slower(demand, keeps_stride=costs.perf.bundle.stride_s is not None):
        if _judged(costs, slower).verdict == "fits":
            found.append(f"it fits with {_changed_rates(demand, slower)}")
            break
    for cameras in range(demand.cameras - 1, 0, -1):
        if _judged(costs, replace(demand, cameras=cameras)).verdict == "fits":
            word = "camera fits" if cameras == 1 else "cameras fit"
            found.append(f"{cameras} {word} at the rates as they are")
            break
    for height in (1080, 720):
        smaller = replace(demand, height_px=height)
        if height < demand.height_px and _judged(costs, smaller).verdict == "fits":
            found.append(f"it fits at {height}p; roomtone survey tells which seats that still reads")
            break
    if not costs.is_measured:
        found.append(
            "measure a board of this kind: roomtone profile device --out perf.json, and --device perf.json"
        )
    return found or ["a board with more or faster cores, or fewer cameras on this one"]


def _slower(demand: Demand, *, keeps_stride: bool) -> Iterator[Demand]:
    """As the governor would lower them when the board is too slow: each rate halved twice, one after the other.

    Args:
        demand: to begin with.
        keeps_stride: the bundle's sequences have a rate of their own.
    """

    def lowered(now: Demand, name: str) -> Demand:
        key = name.replace("_hz", "_rate_hz")
        rate = getattr(now, key)
        return replace(now, **{key: min(rate, max(rate / 2, getattr(FLOOR, name)))})

    steps = (name for name in ORDER if not (keeps_stride and name == "classify_hz") for _ in range(2))
    chain: Iterable[Any] = [demand, *steps]
    return iter(list(accumulate(chain, lowered))[1:])


def _changed_rates(before: Demand, after: Demand) -> str:
    changed = []
    for name, key in _SETTINGS.items():
        field = name.replace("_hz", "_rate_hz")
        if getattr(before, field) != getattr(after, field):
            changed.append(f"{key} = {getattr(after, field):g}")
    return ", ".join(changed)


def _only(device: str, names: Sequence[str]) -> str:
    if device in names:
        return device
    fitting = [name for name in names if device.lower() in name]
    if len(fitting) == 1:
        return fitting[0]
    several = f"is part of {', '.join(fitting)}" if fitting else f"is none of {', '.join(names)}"
    raise PerfError(f"the device “{device}”", several)


def _measured(perf: Perf) -> Costs:
    error = error_of(perf)
    board = perf.board
    return Costs(
        perf=perf,
        title=f"{perf.name} ({board.cpu}, {board.cores} cores)",
        cores=board.cores,
        memory_mb=board.memory_mb or None,
        factor=1.0,
        low=max(0.0, 1 - error),
        high=1 + error,
        basis=f"measured on {perf.measured_on}; nine of ten of its {len(perf.checks)} checks were within "
        f"{error:.0%} of what was foretold",
        is_measured=True,
    )


def _estimated(name: str, named: Mapping[str, Perf]) -> Costs:
    profile = load_profile(name)
    if profile.core_speed is None or profile.cores is None or REFERENCE not in named:
        raise PerfError(f"the board {name}", "was never measured, and its speed is not known")
    reference = named[REFERENCE]
    # INT8 and BF16 units differ most between processors: an estimate takes FP32's cost.
    perf = reference.model_copy(update={"engine": "onnxruntime fp32"})
    error = error_of(reference)
    return Costs(
        perf=perf,
        title=f"{profile.title} ({profile.cores} cores)",
        cores=profile.cores,
        memory_mb=None,
        factor=1 / profile.core_speed,
        low=(1 - error) / _ESTIMATE_FACTOR,
        high=(1 + error) * _ESTIMATE_FACTOR,
        basis=f"AN ESTIMATE, no such board was measured: one of its cores is taken for {profile.core_speed:g} of one "
        f"of {REFERENCE}, half or double of that is possible ({profile.core_speed_origin.removeprefix('estimated: ')})",
        is_measured=False,
    )
