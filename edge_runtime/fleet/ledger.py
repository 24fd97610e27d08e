"""What happened to whom in a rollout: a file that is written after each change, and that the rollout goes on from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_runtime.errors import UpdateError
from edge_runtime.file_writing import write_whole

State = Literal[
    "pending",  # its turn has not come
    "probed",  # asked how it is
    "asked",  # asked to activate, not answered yet
    "underway",  # it works on it
    "committed",
    "already",  # it ran the bundle before
    "failed",  # it sent the bundle back, refused, or gave no outcome in time
    "skipped",  # offline, or not well before it was asked
    "undoing",  # asked to roll back
    "undone",
    "stuck",  # could not be rolled back
]
ENDED: frozenset[State] = frozenset({"committed", "already", "failed", "skipped", "undone", "stuck"})
AT_WORK: frozenset[State] = frozenset({"probed", "asked", "underway", "undoing"})
Verdict = Literal["running", "paused", "done", "stopped", "aborting", "aborted"]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class Device(_Document):
    """One device.

    Attributes:
        name: `<site>/<room>/<device>`.
        group: that it belongs to.
        state: see `State`.
        phase: what it said last of its work.
        reason: why it failed or was skipped.
        transaction: of the last request.
        since_ts: unix time of the last change of state, s.
        heard_ts: when it last answered.
        tries: requests sent in this state.
        rejected_ts: of its last rejection before it was asked, by its own clock; tells a new one from an old one.
    """

    name: str
    group: str
    state: State = "pending"
    phase: str = ""
    reason: str = ""
    transaction: str = ""
    since_ts: float = 0.0
    heard_ts: float = 0.0
    tries: int = 0
    rejected_ts: float = 0.0


class Ledger(_Document):
    """The file.

    Attributes:
        rollout: names the rollout in its transactions.
        bundle: as it was asked for: NAME@VERSION or a url.
        sha256: digest that its archive must have; None: any.
        identity: NAME@VERSION; of a url, as soon as a device has told it.
        groups: as they were asked for.
        verdict: how it stands.
        why: in a sentence, where it stopped.
        devices: by name.
    """

    schema_id: Literal["roomtone-rollout/1"] = Field("roomtone-rollout/1", alias="schema")
    rollout: str
    bundle: str
    sha256: str | None = None
    identity: str | None = None
    groups: str
    verdict: Verdict = "running"
    why: str = ""
    devices: dict[str, Device] = {}

    def in_group(self, group: str) -> Iterator[Device]:
        """Its devices, by name."""
        return (device for _, device in sorted(self.devices.items()) if device.group == group)

    def count(self, *states: State) -> int:
        """How many devices are in one of these states."""
        return sum(device.state in states for device in self.devices.values())

    def save(self, path: Path) -> None:
        """Writes the file whole.

        Raises:
            UpdateError: it cannot be written.
        """
        try:
            write_whole(path, self.model_dump_json(by_alias=True, indent=1).encode())
        except OSError as exc:
            raise UpdateError(
                f"{path} cannot be written: {exc.strerror}",
                hint="give another --state; the devices go on by themselves",
            ) from exc


def read_ledger(path: Path) -> Ledger:
    """Reads the file of an earlier run.

    Raises:
        UpdateError: there is none, or it is none of ours.
    """
    try:
        return Ledger.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise UpdateError(
            f"{path} cannot be read: {exc.strerror}", hint="give the --state of a rollout"
        ) from exc
    except ValidationError as exc:
        raise UpdateError(f"{path} is no file of a rollout", hint="give another --state") from exc
