"""A small file in which a running agent says how it is, for `roomtone health`, watchdogs and update tools.

It needs no broker. It is replaced at each `stats`, not at each frame, and lies in `$RUNTIME_DIRECTORY` (systemd's, in
RAM) where there is one, else beside the outbox. It holds no more than `stats` does.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_runtime import __version__
from edge_runtime.config import Config
from edge_runtime.file_writing import write_whole
from edge_runtime.outlet import device_name, outbox_path
from edge_runtime.publishing.payloads import DegradedReason, Health, Stats
from edge_runtime.state_directory import state_directory

_log = logging.getLogger(__name__)

SCHEMA_ID: Final = "roomtone-status/1"
SUFFIX: Final = ".status.json"
RETRY_LATER: Final = 21  # Mender's word for "ask again"; 0 goes on, 1 rolls back
_STARTING_S: Final = 180.0  # an agent that is not at its first stats after this time hangs
_LATE_FACTOR: Final = 2.5  # stats come each interval; a busy board may miss one

_FROM_STATS: Final = {"health", "degraded_reason", "fps", "frames", "outbox_rows", "broker_connected"}
_WHY_DEGRADED: Final[Mapping[DegradedReason, str]] = {
    "heat": "the processor is hot",
    "overload": "the board is too slow for its rates",
    "frames_dropped": "more than half of the frames find no time",
}

Phase = Literal["starting", "running", "stopped"]


class Status(BaseModel):
    """What the file says.

    Attributes:
        site, room, device: which device.
        phase: of its process.
        pid: of its process.
        started_ticks: when the kernel started that process; with `pid` it names no other one, of a later boot either.
        told_s: when it was written, on the clock that runs since the boot and never steps, s.
        interval_s: between two of them.
        health, degraded_reason, fps, frames, outbox_rows, broker_connected: as in `stats`.
        windows: closed so far.
        bundle: digest of the network that runs; empty while starting.
        version: of roomtone.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_id: str = SCHEMA_ID
    site: str
    room: str
    device: str
    phase: Phase
    pid: int
    started_ticks: int
    told_s: float
    interval_s: float
    health: Health | None = None
    degraded_reason: DegradedReason | None = None
    fps: float = 0.0
    frames: int = 0
    windows: int = 0
    outbox_rows: int = 0
    broker_connected: int = 0
    bundle: str = ""
    version: str = __version__

    @property
    def place(self) -> str:
        """site.room.device."""
        return f"{self.site}.{self.room}.{self.device}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `roomtone health` says.

    Attributes:
        exit_code: 0 healthy, 1 not, 21 ask again later.
        word: in one word; `stats.health` where the agent runs.
        why: in a sentence.
        status: the file that it was read from, if any.
    """

    exit_code: int
    word: str
    why: str
    status: Status | None = None


def status_folders(config: Config | None = None) -> list[Path]:
    """Where an agent may have written, as seen by a reader outside of its unit; its own places first."""
    folders = [Path("/run/roomtone"), state_directory(), Path("/var/lib/roomtone")]
    if config is not None:
        folders.insert(0, outbox_path(config).parent)
    if given := os.environ.get("RUNTIME_DIRECTORY"):
        folders.insert(0, Path(given.split(":")[0]))
    return list(dict.fromkeys(folders))


class StatusFile:
    """Written by the agent. A folder that takes no file costs a warning, never a window.

    A trial without broker and without systemd writes none: nobody asks after its health.

    Args:
        config: in force.
        environ: the environment; the process's own when None.

    Attributes:
        path: of the file; None where none is written.
    """

    def __init__(self, config: Config, environ: Mapping[str, str] | None = None) -> None:
        runtime = (os.environ if environ is None else environ).get("RUNTIME_DIRECTORY", "").split(":")[0]
        self.bundle = ""
        self._config, self._has_failed = config, False
        self._makes_folder = not runtime and config.outbox.path is None
        folder = Path(runtime) if runtime else outbox_path(config).parent
        self.path = folder / _file_name(config) if runtime or config.mqtt.url is not None else None

    def write(self, phase: Phase, stats: Stats | None = None, *, windows: int = 0) -> None:
        """Replaces the file; `bundle`, once set, is told with it."""
        if self.path is None or (phase == "starting" and self._is_told_by_another()):
            return
        told = {} if stats is None else stats.model_dump(include=_FROM_STATS)
        device = self._config.device
        status = Status(
            site=device.site,
            room=device.room,
            device=device.device,
            phase=phase,
            pid=os.getpid(),
            started_ticks=started_ticks(os.getpid()) or 0,
            told_s=round(_since_boot_s(), 3),
            interval_s=self._config.stats.interval_s,
            windows=windows,
            bundle=self.bundle,
            **told,
        )
        try:
            if self._makes_folder:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, status.model_dump_json().encode() + b"\n", durable=False)
        except OSError as exc:
            if not self._has_failed:
                _log.warning(
                    "%s cannot be written, `roomtone health` will not know: %s", self.path, exc.strerror
                )
            self._has_failed = True

    def _is_told_by_another(self) -> bool:
        """Whether an agent of this name runs already: this one will be refused its outbox."""
        other = read_status([self.path.parent], self._config) if self.path is not None else None
        return other is not None and other.pid != os.getpid() and judge(other).exit_code != 1


def read_status(folders: Iterable[Path], config: Config | None = None) -> Status | None:
    """The newest status file in these folders; of one device when its configuration is given."""
    return max(_read_all(folders, config), key=_newness, default=None)


def read_statuses(folders: Iterable[Path]) -> list[Status]:
    """Of all devices of the newest process that told one: a board may have several cameras."""
    found = sorted(_read_all(folders, None), key=_newness)
    if not found:
        return []
    process = found[-1].pid, found[-1].started_ticks
    of_it = {status.place: status for status in found if (status.pid, status.started_ticks) == process}
    return [of_it[place] for place in sorted(of_it)]


def _newness(status: Status) -> tuple[bool, float]:
    return _is_alive(status), status.told_s


def _read_all(folders: Iterable[Path], config: Config | None) -> list[Status]:
    pattern = f"*{SUFFIX}" if config is None else _file_name(config)
    found = []
    for folder in folders:
        for path in folder.glob(pattern):
            try:
                found.append(Status.model_validate_json(path.read_bytes()))
            except OSError as exc:
                _log.warning("%s cannot be read: %s", path, exc.strerror)
            except ValidationError:
                _log.warning("%s is not a status of this version of roomtone", path)
    return found


def judge(status: Status | None) -> Verdict:
    """Healthy, not, or ask again later.

    A broker that is away is no fault of the device, which keeps its events: ask again. A closed shutter is what
    somebody wanted: healthy.
    """
    if status is None:
        return Verdict(1, "absent", "no roomtone has said anything here; is it running?")
    if status.phase == "stopped":
        return Verdict(1, "stopped", "it ended as it was told to", status)
    age_s = _since_boot_s() - status.told_s
    if not _is_alive(status):
        return Verdict(1, "dead", "its process ended without a goodbye", status)
    if status.phase == "starting":
        if age_s > _STARTING_S + status.interval_s:
            return Verdict(1, "hung", f"it has been starting for {age_s:.0f} s", status)
        return Verdict(RETRY_LATER, "starting", f"it has been starting for {age_s:.0f} s", status)
    if age_s > _LATE_FACTOR * status.interval_s + 5:
        why = f"it said nothing for {age_s:.0f} s, it should each {status.interval_s:.0f} s"
        return Verdict(1, "hung", why, status)
    told = f"{status.fps:g} frames/s, {status.windows} windows, {status.outbox_rows} events waiting"
    match status.health:
        case "broker_lost":
            return Verdict(
                RETRY_LATER, "broker_lost", f"the broker is away; events are kept ({told})", status
            )
        case "camera_lost":
            return Verdict(1, "camera_lost", f"no frames come ({told})", status)
        case "outbox_full":
            return Verdict(
                1, "outbox_full", f"the disk takes no more events, or some were dropped ({told})", status
            )
        case "disabled":
            return Verdict(0, "disabled", "the privacy shutter is closed", status)
        case "degraded" if status.degraded_reason is not None:
            return Verdict(0, "degraded", f"{_WHY_DEGRADED[status.degraded_reason]} ({told})", status)
        case word:
            return Verdict(0, word or "ok", told, status)


def _file_name(config: Config) -> str:
    return f"{device_name(config.device)}{SUFFIX}"


def started_ticks(pid: int, proc: Path = Path("/proc")) -> int | None:
    """When a process was started, in clock ticks since the boot (proc(5), stat, field 22); None where there is none."""
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])  # a program's name may hold spaces and brackets


def _is_alive(status: Status) -> bool:
    return started_ticks(status.pid) == status.started_ticks


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
