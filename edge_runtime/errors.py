"""The one exception tree, and the exit code that each branch ends the process with.

    RoomtoneError                     1
    ├── ConfigurationError            2   every fault of a configuration at once
    ├── UnlawfulUseError              3   a declared use that the law prohibits
    ├── SourceError                   4   camera, stream, film or image folder
    │   ├── SourceUnavailableError        missing, busy, refused, unreachable
    │   └── FrameError                    a frame or an image that cannot be used
    ├── BundleError                   5   a model bundle that cannot be opened
    │   ├── BundleTamperedError       6   a digest does not hold
    │   ├── BundleInaccurateError     7   the golden outputs do not reproduce on this CPU
    │   └── BundleSignatureError     22   not signed, not by the pinned key, or a key that is none
    ├── EngineError                   8   an inference engine that cannot do what was asked
    ├── BrokerError                   9   the MQTT broker
    │   ├── BrokerUnreachableError        no connection, or TLS failed
    │   ├── BrokerRefusedError            connected, but credentials or ACL were refused
    │   ├── UnknownDeviceError            it keeps nothing of a device of this name
    │   ├── AmbiguousDeviceError          it knows several devices of this name
    │   └── DeviceOnlineError             a device that is to be forgotten is still there
    ├── OutboxError                  10   the disk queue between a window and the broker
    ├── MissingExtraError            11   an optional part is not installed
    ├── HistoryError                 17   the database of what was published
    ├── DashboardError               18   the web server of the dashboard
    ├── ProvisioningError            19   a device that cannot be provisioned, or not to the end
    ├── UpdateError                  20   bundle slots, downloads, fleet roll-outs
    │   └── CandidateRefusedError         a new bundle that must not replace the present one
    │       └── AlreadyCurrentError       it is the present one
    ├── BaselineError                     a profile that the present one cannot be compared with
    ├── SlowerError                  24   it can, and the present one is slower
    ├── PerfError                         a board's measured costs that cannot be used, or were never measured
    ├── TooMuchError                 25   cameras that a board cannot carry, or not surely
    └── of the workstation, in their own modules:
        ├── CheckpointError          12   export.checkpoints
        ├── DivergedError            13   export.training.run
        ├── ParityError              14   export.parity
        ├── AdoptionError            15   export.foreign: somebody else's network that cannot be had
        ├── NetworkError             15   export.deploy: likewise, of a factory
        ├── GraphError               15   export.onnx_graph: a network without an ONNX form
        ├── TemperatureError         16   calibration.temperature
        └── QuantizationGuardError   23   calibration.guard

An exception takes the facts, words its own message and keeps the facts as attributes; `hint` says what to do
next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final


class RoomtoneError(Exception):
    """Anything that roomtone says went wrong; `str()` is a sentence, `hint` the next step."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a configuration: the dotted key, what is wrong, its line (1-based) and file where known."""

    key: str
    problem: str
    line: int | None = None
    file: str | None = None

    def __str__(self) -> str:
        places = [self.file or "", f"line {self.line}" if self.line is not None else ""]
        where = " ".join(filter(None, places))
        where = f"{where}: " if where else ""
        return f"{where}{self.key}: {self.problem}" if self.key else f"{where}{self.problem}"


UNREADABLE_HINT: Final = "is the path right, and may this user read the file?"


class ConfigurationError(RoomtoneError):
    """All faults of one configuration at once."""

    exit_code = 2

    def __init__(self, origin: str, faults: Sequence[Fault], *, hint: str = "") -> None:
        self.origin = origin
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(
            f"{origin} has {count}:{lines}",
            hint=hint or "roomtone config schema lists every key with its range",
        )


class UnlawfulUseError(RoomtoneError):
    """The declared deployment is prohibited where it is declared to be."""

    exit_code = 3

    def __init__(self, *, jurisdiction: str, setting: str, purpose: str, article: str) -> None:
        self.jurisdiction, self.setting, self.purpose, self.article = jurisdiction, setting, purpose, article
        super().__init__(
            f"emotion inference in {setting} for the purpose “{purpose}” is prohibited in {jurisdiction}: "
            f"{article}",
            hint="only the purposes medical, safety and simulation are open here; "
            "declare the true one under [deployment], and ask your data protection officer",
        )


class SourceError(RoomtoneError):
    """A camera, stream, film or image folder."""

    exit_code = 4

    def __init__(self, source: str, problem: str, *, hint: str = "") -> None:
        self.source, self.problem = source, problem
        super().__init__(f"source {source}: {problem}", hint=hint)


class SourceUnavailableError(SourceError):
    """The source is missing, busy, refused or unreachable."""


class FrameError(SourceError):
    """A frame or an image that cannot be used."""


class BundleError(RoomtoneError):
    """A bundle directory that cannot be opened as it is."""

    exit_code = 5

    def __init__(self, path: Path | str, problem: str, *, hint: str = "") -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(f"bundle {path}: {problem}", hint=hint)


class BundleTamperedError(BundleError):
    """A file of the bundle is not the file whose digest the bundle records."""

    exit_code = 6


class BundleInaccurateError(BundleError):
    """The network runs, but does not give its golden outputs on this CPU."""

    exit_code = 7


class BundleSignatureError(BundleError):
    """A bundle without a valid signature by the pinned key, or a key that cannot be used."""

    exit_code = 22


class EngineError(RoomtoneError):
    """An inference engine that cannot load or run what was asked of it."""

    exit_code = 8


class BrokerError(RoomtoneError):
    """The MQTT broker; `url` holds no password."""

    exit_code = 9

    def __init__(self, url: str, problem: str, *, hint: str = "") -> None:
        self.url, self.problem = url, problem
        super().__init__(f"broker {url}: {problem}", hint=hint)


class BrokerUnreachableError(BrokerError):
    """No TCP connection, no TLS session, or no answer."""


class BrokerRefusedError(BrokerError):
    """The broker answered, and refused the credentials or a topic."""


class UnknownDeviceError(BrokerError):
    """The broker keeps nothing of a device of this name."""

    def __init__(self, url: str, device: str) -> None:
        self.device = device
        super().__init__(
            url, f"keeps nothing of a device {device}", hint="roomtone watch lists the devices that it knows"
        )


class AmbiguousDeviceError(BrokerError):
    """Several devices are called so."""

    def __init__(self, url: str, device: str, candidates: Sequence[str]) -> None:
        self.device, self.candidates = device, tuple(candidates)
        shown = ", ".join(self.candidates[:8]) + (", …" if len(self.candidates) > 8 else "")
        super().__init__(
            url, f"knows {len(self.candidates)} devices {device}: {shown}", hint="name it as site/room/device"
        )


class DeviceOnlineError(BrokerError):
    """A device that is to be forgotten is still there."""

    def __init__(self, url: str, device: str) -> None:
        self.device = device
        super().__init__(
            url,
            f"{device} is online",
            hint="stop it first; --force clears its topics all the same, until it connects again",
        )


class OutboxError(RoomtoneError):
    """The disk queue between a window and the broker."""

    exit_code = 10

    def __init__(self, path: Path | str, problem: str, *, hint: str = "") -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(f"outbox {path}: {problem}", hint=hint)


class HistoryError(RoomtoneError):
    """The database of what was published; `store` is its url without a password.

    `is_about_data`: it works, and refuses a value; the same again would be refused again.
    """

    exit_code = 17

    def __init__(self, store: str, problem: str, *, hint: str = "", is_about_data: bool = False) -> None:
        self.store, self.problem, self.is_about_data = store, problem, is_about_data
        super().__init__(f"store {store}: {problem}", hint=hint)


class MissingExtraError(RoomtoneError):
    """An optional part of roomtone is not installed."""

    exit_code = 11

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f"{what} is not installed here", hint=f"pip install 'roomtone[{extra}]'")


class DashboardError(RoomtoneError):
    """The dashboard cannot be served where it was asked to be."""

    exit_code = 18

    def __init__(self, address: str, problem: str) -> None:
        self.address, self.problem = address, problem
        super().__init__(
            f"the dashboard cannot listen on {address}: {problem.lower()}",
            hint="choose another with --port, or end the program that listens there",
        )


class ProvisioningError(RoomtoneError):
    """A device that cannot be provisioned, or not to the end."""

    exit_code = 19


class UpdateError(RoomtoneError):
    """Installing, activating or rolling back a bundle did not work; what ran before still runs."""

    exit_code = 20


class CandidateRefusedError(UpdateError):
    """A new bundle that must not replace the present one."""

    def __init__(self, bundle: str, reasons: Sequence[str], *, hint: str = "") -> None:
        self.bundle, self.reasons = bundle, tuple(reasons)
        super().__init__(
            f"{bundle} is refused: {'; '.join(self.reasons)}", hint=hint or "the present bundle stays"
        )


class AlreadyCurrentError(CandidateRefusedError):
    """The bundle is the current one already."""


class BaselineError(RoomtoneError):
    """A profile that the present one cannot be compared with."""

    def __init__(self, path: Path | str, problem: str, *, hint: str = "") -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(
            f"baseline {path} {problem}",
            hint=hint or "make one here, of the same source: roomtone profile --json > baseline.json",
        )


class SlowerError(RoomtoneError):
    """The loop is slower than its baseline, surely and by more than the tolerance."""

    exit_code = 24

    def __init__(self, ratio: float, low: float, high: float) -> None:
        self.ratio, self.low, self.high = ratio, low, high
        super().__init__(
            f"a frame takes {ratio:.2f} times as long as in the baseline (95 % interval {low:.2f} to {high:.2f})",
            hint="the stages marked slower say where; was another program running?",
        )


class PerfError(RoomtoneError):
    """A `perf.json` that cannot be used, or a board that has none."""

    def __init__(self, path: Path | str, problem: str, *, hint: str = "") -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(
            f"{path} {problem}",
            hint=hint or "measure the board: roomtone profile device --out perf.json, then name that file",
        )


class TooMuchError(RoomtoneError):
    """A configuration that a board cannot carry, or not surely."""

    exit_code = 25

    def __init__(self, verdict: str, *, hint: str) -> None:
        self.verdict = verdict
        super().__init__(verdict, hint=hint)
