"""A rollout: group by group, each device asked how it is, told what to activate, and followed to its end.

    pending → probed → asked → underway → committed | failed          (skipped: offline, or not well when asked)
                                              ╰── on abort ──▶ undoing → undone

A device decides for itself whether it keeps a bundle (`edge_runtime.updates.trial`). The rollout only counts: too many
failures in a group, or too few successes at its end, and it goes no further.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_runtime.fleet.groups import Group, assign, parse_groups
from edge_runtime.fleet.ledger import AT_WORK, ENDED, Device, Ledger, State
from edge_runtime.fleet.link import FleetLink
from edge_runtime.publishing.payloads import Request, Response
from edge_runtime.publishing.topics import Command

_TICK_S: Final = 0.5
_FIT: Final = ("ok", "degraded", "starting")  # words of health with which a device can try a bundle


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop, and how long to wait.

    Attributes:
        max_failures: share of a group's devices that may fail; one more ends the rollout.
        min_success: share of a group's devices that were asked which must succeed before the next group begins.
        at_once: devices at work at the same time.
        answer_s: time for an answer; then the device is asked again.
        tries: so many times in all.
        device_s: time for a device to come to an end.
        poll_s: a device at work is asked this often how it is: a final answer may be lost with a connection.
    """

    max_failures: float = 0.1
    min_success: float = 0.9
    at_once: int = 20
    answer_s: float = 30.0
    tries: int = 3
    device_s: float = 4 * 3600.0
    poll_s: float = 30.0


class Rollout:
    """See the module. Everything that it knows is in the ledger, so it can be ended and gone on with at any time.

    Args:
        link: to the broker, entered.
        ledger: new, or of an earlier run.
        path: where it is kept.
        limits: see there.
        undo_on_failure: roll back what was activated when the limits are passed; else only stop.
        wall: unix time, s.
    """

    def __init__(
        self,
        link: FleetLink,
        ledger: Ledger,
        path: Path,
        limits: Limits = Limits(),
        *,
        undo_on_failure: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.ledger, self._link, self._path, self._limits = ledger, link, path, limits
        self._undo_on_failure, self._wall = undo_on_failure, wall
        self._groups = parse_groups(ledger.groups)
        self._polled_ts: dict[str, float] = {}
        self._saved = ""

    def run(
        self,
        *,
        show: Callable[[], None] = lambda: None,
        is_paused: Callable[[], bool] = lambda: False,
        may_go_on: Callable[[str], bool] = lambda group: True,
    ) -> Ledger:
        """Works until the rollout is done, stopped or undone.

        Args:
            show: called after each step.
            is_paused: while True, no other device begins.
            may_go_on: asked before each group but the first; False pauses the rollout.

        Raises:
            UpdateError: the ledger cannot be written.
            KeyboardInterrupt: passed on, with the ledger saved as paused; devices at work go on by themselves.
        """
        ledger = self.ledger
        try:
            if ledger.verdict in ("paused", "stopped", "done"):
                ledger.verdict, ledger.why = "running", ""
                self.retry("skipped")
            for number, group in enumerate(self._groups):
                if ledger.verdict != "running":
                    break
                is_new = any(device.state == "pending" for device in ledger.in_group(group.name))
                if number and is_new and not may_go_on(group.name):
                    ledger.verdict, ledger.why = "paused", f"before the group {group.name}"
                    break
                self._serve(group, show, is_paused)
            if ledger.verdict == "running":
                ledger.verdict = "done"
            if ledger.verdict == "aborting":
                self._undo(show)
        except KeyboardInterrupt:
            if ledger.verdict == "running":
                ledger.verdict, ledger.why = "paused", "interrupted"
            raise
        finally:
            self._save()
        show()
        return ledger

    def abort(self, why: str, *, show: Callable[[], None] = lambda: None) -> Ledger:
        """Rolls back every device on which this rollout activated the bundle, or is about to."""
        self.ledger.verdict, self.ledger.why = "aborting", why
        return self.run(show=show)

    # One group.

    def _serve(self, group: Group, show: Callable[[], None], is_paused: Callable[[], bool]) -> None:
        while self.ledger.verdict == "running":
            members = list(self.ledger.in_group(group.name))
            busy = sum(device.state in AT_WORK for device in members)
            if not is_paused():
                for device in members:
                    if device.state == "pending" and busy < self._limits.at_once:
                        busy += self._begin(device)
            self._listen()
            for device in members:
                self._look_after(device)
            self._judge(group, members)
            self._save()
            show()
            if all(device.state in ENDED for device in members):
                break
        if self.ledger.verdict == "running":
            self._judge_end(group)

    def _begin(self, device: Device) -> bool:
        """Asks a device how it is; one that is not there is passed over for now."""
        presence = self._link.devices.get(device.name)
        if presence is None or not presence.is_online:
            self._to(device, "skipped", reason="offline")
            return False
        self._to(device, "probed")
        self._ask(device, "health_check", Request(transaction=self._new_transaction()))
        return True

    def _judge(self, group: Group, members: list[Device]) -> None:
        failed = sum(device.state == "failed" for device in members)
        if failed > self._limits.max_failures * len(members):
            self._give_up(f"{failed} of {len(members)} devices of the group {group.name} failed")

    def _judge_end(self, group: Group) -> None:
        members = list(self.ledger.in_group(group.name))
        tried = [device for device in members if device.state != "skipped"]
        good = sum(device.state in ("committed", "already") for device in tried)
        if members and not tried and group is not self._groups[-1]:
            self.ledger.verdict = "stopped"
            self.ledger.why = f"no device of the group {group.name} is there to try it"
        elif tried and good < self._limits.min_success * len(tried):
            self._give_up(f"only {good} of {len(tried)} devices of the group {group.name} took it")

    def _give_up(self, why: str) -> None:
        self.ledger.verdict = "aborting" if self._undo_on_failure else "stopped"
        self.ledger.why = why

    # One device.

    def _listen(self) -> None:
        for name, response in self._link.responses(_TICK_S):
            device = self.ledger.devices.get(name)
            if device is None or not (response.transaction or "").startswith(f"{self.ledger.rollout}-"):
                continue
            device.heard_ts = self._wall()
            if response.command == "health_check":
                self._take_health(device, response)
            elif response.command == "bundle/activate" and device.state in ("asked", "underway"):
                self._take_activation(device, response)
            elif response.command == "bundle/rollback" and device.state == "undoing":
                is_undone = response.status == "ok"
                self._to(device, "undone" if is_undone else "stuck", reason=response.error or device.reason)

    def _take_health(self, device: Device, response: Response) -> None:
        data = response.data
        if response.status != "ok":
            return
        if device.state == "probed":
            device.rejected_ts = float(data.get("rejected_ts", 0.0))
            health = str(data.get("health", ""))
            if data.get("bundle") == self.ledger.identity:
                self._to(device, "already")
            elif health not in _FIT:
                self._to(device, "skipped", reason=f"not well: {health}")
            else:
                self._activate(device)
        elif device.state in ("asked", "underway"):
            self._follow(device, response)

    def _follow(self, device: Device, response: Response) -> None:
        """What its health says of its work: a final answer may have been lost, or the device has started anew."""
        data, identity = response.data, self.ledger.identity
        if identity is None:
            return
        if data.get("bundle") == identity and data.get("phase") != "trial":
            self._to(device, "committed")
        elif data.get("rejected") == identity and float(data.get("rejected_ts", 0.0)) != device.rejected_ts:
            self._to(device, "failed", reason=str(data.get("rejected_reason", "")))
        elif data.get("candidate") == identity and data.get("phase") in ("checked", "trial"):
            self._to(device, "underway", phase="shadow" if data["phase"] == "checked" else "trial")

    def _take_activation(self, device: Device, response: Response) -> None:
        if self.ledger.identity is None and "candidate" in response.data:
            self.ledger.identity = str(response.data["candidate"])
        if response.status == "accepted":
            self._to(device, "underway", phase=str(response.data.get("phase", "")))
        elif response.status == "error":
            self._to(device, "failed", reason=response.error or "")
        else:
            is_new = response.data.get("outcome") != "already current"
            self.ledger.identity = self.ledger.identity or str(response.data.get("bundle", "")) or None
            self._to(device, "committed" if is_new else "already")

    def _activate(self, device: Device) -> None:
        self._to(device, "asked")
        request = Request(
            transaction=self._new_transaction(), bundle=self.ledger.bundle, sha256=self.ledger.sha256
        )
        self._ask(device, "bundle/activate", request)

    def _look_after(self, device: Device) -> None:
        """Asks again, polls, and gives up."""
        now_ts, limits = self._wall(), self._limits
        if device.state in ("asked", "underway") and now_ts - device.since_ts > limits.device_s:
            self._to(device, "failed", reason=f"no outcome in {limits.device_s / 3600:g} h")
        elif (
            device.state in ("probed", "asked", "undoing")
            and now_ts - device.since_ts > limits.answer_s * device.tries
        ):
            if device.tries >= limits.tries:
                ended: State = "stuck" if device.state == "undoing" else "failed"
                self._to(device, ended, reason="it does not answer; does it know requests?")
            elif device.state == "probed":
                self._ask(device, "health_check", Request(transaction=device.transaction))
            elif device.state == "asked":
                # Under the same transaction: a device that has the request already only repeats its answer.
                request = Request(
                    transaction=device.transaction, bundle=self.ledger.bundle, sha256=self.ledger.sha256
                )
                self._ask(device, "bundle/activate", request)
            else:
                self._ask(device, "bundle/rollback", self._undo_request(device))
        elif device.state == "underway" and now_ts - self._polled_ts.get(device.name, 0.0) > limits.poll_s:
            self._polled_ts[device.name] = now_ts
            poll = Request(transaction=f"{self.ledger.rollout}-poll-{secrets.token_hex(3)}")
            self._link.ask(device.name, "health_check", poll)

    # Back.

    def _undo(self, show: Callable[[], None]) -> None:
        for device in self.ledger.devices.values():
            if device.state in ("pending", "probed"):
                self._to(device, "skipped", reason="the rollout was aborted")
            elif device.state in ("committed", "asked", "underway"):
                self._to(device, "undoing")
                device.transaction = self._new_transaction()
                self._ask(device, "bundle/rollback", self._undo_request(device))
        while any(device.state == "undoing" for device in self.ledger.devices.values()):
            self._listen()
            for device in self.ledger.devices.values():
                self._look_after(device)
            self._save()
            show()
        self.ledger.verdict = "aborted"

    def _undo_request(self, device: Device) -> Request:
        """Names the bundle, so that a device that runs another one rolls nothing back."""
        return Request(transaction=device.transaction, bundle=self.ledger.identity or self.ledger.bundle)

    def retry(self, state: State) -> None:
        """Gives devices in this state another turn."""
        for device in self.ledger.devices.values():
            if device.state == state:
                self._to(device, "pending")

    def _ask(self, device: Device, command: Command, request: Request) -> None:
        device.transaction = request.transaction or ""
        if self._link.ask(device.name, command, request):
            device.tries += 1

    def _save(self) -> None:
        """Writes the ledger if it has changed."""
        if (told := self.ledger.model_dump_json()) != self._saved:
            self.ledger.save(self._path)
            self._saved = told

    def _new_transaction(self) -> str:
        return f"{self.ledger.rollout}-{secrets.token_hex(4)}"

    def _to(self, device: Device, state: State, *, phase: str = "", reason: str = "") -> None:
        if device.state != state:
            device.state, device.since_ts, device.tries = state, self._wall(), 0
        device.phase, device.reason = phase, reason[:500]


def new_ledger(bundle: str, groups: str, devices: list[str], *, sha256: str | None = None) -> Ledger:
    """The ledger of a rollout that begins.

    Raises:
        UpdateError: the groups are none.
    """
    assigned = assign(parse_groups(groups), devices)
    is_named = "://" not in bundle
    return Ledger(
        rollout=f"rollout-{secrets.token_hex(4)}",
        bundle=bundle,
        sha256=sha256,
        identity=bundle if is_named else None,
        groups=groups,
        devices={name: Device(name=name, group=group) for name, group in sorted(assigned.items())},
    )


def add_new_devices(ledger: Ledger, devices: list[str]) -> None:
    """Puts devices that came since into the last group."""
    last = parse_groups(ledger.groups)[-1].name
    for name in devices:
        if name not in ledger.devices:
            ledger.devices[name] = Device(name=name, group=last)
