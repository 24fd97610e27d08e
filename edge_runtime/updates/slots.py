"""The slots of a device: which bundle runs, which ran before, which is on trial.

    bundles/slots.json      the table (`slot_table.py`): all three slots and the version floors, replaced whole
    bundles/<digest>/       a bundle, never changed after it took its name
    bundles/.partial-…      one that is being written; swept away by the next change

One small file says everything, and it is replaced by one rename: there is no instant at which two slots
disagree. A bundle's folder is on the disk before the table names it, and is removed only after the table has
stopped to. So a power cut leaves the table before a step or the table after it, and both run.

What runs at a start is always `current`, which has been committed; a candidate runs only within a trial
(`edge_runtime.updates.trial`), and a trial does not outlive the process. No `current` means the bundle that ships.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from edge_runtime.bundle import Bundle, default_bundle_path, open_bundle
from edge_runtime.errors import (
    AlreadyCurrentError,
    BundleError,
    CandidateRefusedError,
    MissingExtraError,
    UpdateError,
)
from edge_runtime.file_writing import sync_folder, write_whole
from edge_runtime.folder_locks import held, is_abandoned, try_lock
from edge_runtime.updates.durable import adopt, sync_tree, worded
from edge_runtime.updates.slot_table import Candidate, Phase, Rejected, Slot, SlotTable, Waiver, version_key

_log = logging.getLogger(__name__)

TABLE: Final = "slots.json"
MAX_ATTEMPTS: Final = 3  # trials that a restart may interrupt before the candidate is taken for the cause
_FOLDER: Final = re.compile(r"[0-9a-f]{32}")
_PARTIAL: Final = ".partial-"


@dataclass(frozen=True, slots=True)
class Running:
    """The bundle to run.

    Attributes:
        bundle: opened, digests hold, signed where that is required.
        slot: where it comes from.
        problem: why it is not the one that it should be; empty when it is.
    """

    bundle: Bundle
    slot: Literal["current", "previous", "shipped"]
    problem: str = ""


class Slots:
    """See the module. Safe against other processes: each change holds a lock on the folder.

    Args:
        folder: `bundles/` of the state directory; made at the first change.
        check_trust: called with the folder of each bundle that is to run; raises `BundleSignatureError`.
    """

    def __init__(self, folder: Path, check_trust: Callable[[Path], object] = lambda folder: None) -> None:
        self.folder, self._check_trust = folder, check_trust

    def table(self) -> SlotTable:
        """The present table; an empty one where nothing was ever installed.

        Raises:
            UpdateError: it cannot be read, or is none of ours.
        """
        try:
            text = (self.folder / TABLE).read_bytes()
        except FileNotFoundError:
            return SlotTable()
        except OSError as exc:
            raise UpdateError(f"{self.folder / TABLE} cannot be read: {exc.strerror}") from exc
        try:
            return SlotTable.model_validate_json(text)
        except ValidationError as exc:
            raise UpdateError(
                f"{self.folder / TABLE} is no table of slots that this roomtone knows",
                hint="the bundle that ships runs meanwhile; remove the file and install your bundle again",
            ) from exc

    def stamp(self) -> tuple[int, int]:
        """Changes whenever the table does; costs one look at the folder."""
        try:
            found = (self.folder / TABLE).stat()
        except OSError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns

    def open(self, slot: Slot) -> Bundle:
        """Opens the bundle of a slot, and holds it to the digest that the table has.

        Raises:
            BundleError: it is not there, not whole, not the one of the table, or not signed as required.
        """
        folder = self.folder / slot.folder
        bundle = open_bundle(folder)
        if bundle.digest != slot.digest:
            raise BundleError(
                folder, "is not the bundle that the table of slots names", hint="install it again"
            )
        self._check_trust(folder)
        return bundle

    def in_order(self) -> Iterator[Running]:
        """The bundles that a start may run, best first: current, previous, the one that ships. Changes nothing."""
        problems: list[str] = []
        try:
            table = self.table()
        except UpdateError as exc:
            problems.append(str(exc))
            table = SlotTable()
        for name in ("current", "previous"):
            slot: Slot | None = getattr(table, name)
            if slot is None:
                break  # before the first update there was the one that ships
            try:
                yield Running(self.open(slot), name, "; ".join(problems))
            except (BundleError, MissingExtraError) as exc:
                problems.append(f"{name}: {exc}")
        yield Running(open_bundle(default_bundle_path()), "shipped", "; ".join(problems))

    def running(self) -> Running:
        """The first of them."""
        return next(self.in_order())

    def check_version(self, name: str, version: str, waivers: tuple[Waiver, ...] = ()) -> None:
        """Refuses what is older than the version floor.

        Raises:
            CandidateRefusedError: it is, and that is not waived.
        """
        floor = self.table().floors.get(name)
        if floor is not None and version_key(version) < version_key(floor) and "version" not in waivers:
            raise CandidateRefusedError(
                f"{name} {version}",
                [f"it is older than {floor}, the oldest that this device takes"],
                hint="--allow-downgrade takes it all the same",
            )

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """A hidden folder for a bundle that comes; gone again unless `install` took it.

        Raises:
            UpdateError: the disk does not take it.
        """
        with worded(f"{self.folder} cannot be made"):
            self.folder.mkdir(parents=True, exist_ok=True)
            adopt(self.folder)
            partial = self.folder / f"{_PARTIAL}{secrets.token_hex(4)}"
            partial.mkdir()
        try:
            with held(partial):  # so that nobody sweeps it away while it is being filled
                yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def install(self, partial: Path, waivers: tuple[Waiver, ...] = ()) -> Candidate:
        """Makes a whole bundle the candidate, in place of one that was there.

        Args:
            partial: from `new_folder`.
            waivers: what the operator allows.

        Raises:
            BundleError: it does not open, or is not signed as required.
            CandidateRefusedError: it is older than the floor, or is the current one already.
            UpdateError: the disk does not take it.
        """
        bundle = open_bundle(partial)
        self._check_trust(partial)
        slot = Slot.holding(bundle)
        with self._changing() as table:
            self.check_version(slot.name, slot.version, waivers)
            if table.current is not None and table.current.digest == slot.digest:
                raise AlreadyCurrentError(str(slot), ["it is the current bundle already"])
            if table.candidate is not None and table.candidate.phase == "trial":
                raise UpdateError(
                    f"{table.candidate} is on trial", hint="wait for its end, or roomtone bundle rollback"
                )
            candidate = Candidate(**slot.model_dump(), waivers=waivers)
            with worded(f"{self.folder} cannot take {slot}"):
                sync_tree(partial)
                self._take_name(partial, slot)
                self._write(table.with_(candidate=candidate))
        return candidate

    def _take_name(self, partial: Path, slot: Slot) -> None:
        target = self.folder / slot.folder
        if target.exists():
            with suppress(BundleError, MissingExtraError):
                self.open(slot)
                return  # whole, and perhaps the previous one: never taken away, not even for an instant
            target.rename(self.folder / f"{_PARTIAL}{secrets.token_hex(4)}")
        partial.rename(target)
        sync_folder(self.folder)

    def mark(self, digest: str, phase: Phase, *, attempts: int | None = None) -> Candidate:
        """Moves the candidate to another phase.

        Raises:
            UpdateError: another one is the candidate meanwhile, or the disk does not take it.
        """
        with self._changing() as table:
            candidate = self._candidate(table, digest)
            moved = candidate.model_copy(
                update={"phase": phase, "attempts": candidate.attempts if attempts is None else attempts}
            )
            self._write(table.with_(candidate=moved))
        return moved

    def commit(self, digest: str | None = None) -> Slot:
        """The candidate becomes the current bundle, and its version the floor.

        Raises:
            UpdateError: there is none, another one is it meanwhile, or it has not passed its checks.
        """
        with self._changing() as table:
            candidate = self._candidate(table, digest)
            if candidate.phase == "installed":
                raise UpdateError(
                    f"{candidate} has not been checked on this device",
                    hint="roomtone bundle activate does it",
                )
            after = table.committed(candidate)
            self._write(after)
        assert after.current is not None  # noqa: S101 - it was just committed
        return after.current

    def reject(self, reason: str, digest: str | None = None) -> Rejected:
        """Sends the candidate back; what runs stays.

        Raises:
            UpdateError: there is none, or another one is it meanwhile.
        """
        with self._changing() as table:
            candidate = self._candidate(table, digest)
            rejected = Rejected.now(candidate, reason)
            self._write(table.with_(candidate=None, rejected=rejected))
        return rejected

    def refuse(self, reason: str, digest: str | None = None) -> Rejected:
        """Notes why the candidate must not run; it stays installed, for another look with other limits.

        Raises:
            UpdateError: there is none, or another one is it meanwhile.
        """
        with self._changing() as table:
            candidate = self._candidate(table, digest)
            rejected = Rejected.now(candidate, reason)
            kept = candidate.model_copy(update={"phase": "installed"})
            self._write(table.with_(candidate=kept, rejected=rejected))
        return rejected

    def rollback(self, reason: str) -> Rejected:
        """Sends back the candidate that was activated, else the current bundle: the previous one is current again.

        Before the first update that is the bundle that ships. A second rollback goes one further back; nothing
        comes forward again but by an install. The version floors stay.

        Raises:
            UpdateError: the bundle that ships runs, and there is no candidate.
        """
        with self._changing() as table:
            if table.candidate is not None and table.candidate.phase != "installed":
                rejected = Rejected.now(table.candidate, reason)
                self._write(table.with_(candidate=None, rejected=rejected))
            elif table.current is not None:
                rejected = Rejected.now(table.current, reason)
                self._write(table.with_(current=table.previous, previous=None, rejected=rejected))
            else:
                raise UpdateError(
                    "there is nothing to roll back: the bundle that ships runs", hint="roomtone bundle list"
                )
        return rejected

    def begin_run(self) -> None:
        """A start of the agent: a trial that the last process did not live to end is begun again, or given up.

        Raises:
            UpdateError: the disk does not take it.
        """
        candidate = self.table().candidate
        if candidate is None or candidate.phase == "installed":
            return
        if candidate.attempts >= MAX_ATTEMPTS:
            self.reject(f"the device restarted in each of {candidate.attempts} trials", candidate.digest)
        elif candidate.phase == "trial":
            self.mark(candidate.digest, "checked")

    def lock_as_agent(self) -> int | None:
        """Claims the trials of these slots for this process, until it closes the handle or ends.

        Returns:
            The handle; None where another agent has them, or the folder is not there or not writable.
        """
        path = self.folder / ".agent"
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
            adopt(path)
        except OSError:
            return None
        if try_lock(handle):
            return handle
        os.close(handle)
        return None

    def has_agent(self) -> bool:
        """Whether an agent is at work on these slots."""
        with suppress(OSError):
            handle = os.open(self.folder / ".agent", os.O_RDONLY)
            try:
                return not try_lock(handle)
            finally:
                os.close(handle)
        return False

    def _candidate(self, table: SlotTable, digest: str | None) -> Candidate:
        if table.candidate is None:
            raise UpdateError("there is no candidate", hint="roomtone bundle install SOURCE brings one")
        if digest is not None and table.candidate.digest != digest:
            raise UpdateError(f"the candidate is {table.candidate} meanwhile", hint="roomtone bundle list")
        return table.candidate

    @contextmanager
    def _changing(self) -> Iterator[SlotTable]:
        """The table, under the lock; afterwards everything that no slot names is swept away."""
        with worded(f"{self.folder} cannot be changed"):
            self.folder.mkdir(parents=True, exist_ok=True)
            adopt(self.folder)
            handle = os.open(self.folder / ".lock", os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self.table()
            self._sweep()
        finally:
            os.close(handle)

    def _write(self, table: SlotTable) -> None:
        document = table.model_dump(mode="json", by_alias=True, exclude_none=True)
        with worded(f"{self.folder / TABLE} cannot be written"):
            write_whole(self.folder / TABLE, (json.dumps(document, indent=2) + "\n").encode())
            adopt(self.folder / TABLE)

    def _sweep(self) -> None:
        kept = self.table().in_use()
        for path in self.folder.iterdir():
            is_old = _FOLDER.fullmatch(path.name) is not None and path.name not in kept
            if is_old or (path.name.startswith(_PARTIAL) and is_abandoned(path)):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(f".{TABLE}."):  # of a process that was killed while it wrote
                path.unlink(missing_ok=True)
