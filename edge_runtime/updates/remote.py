"""An update that was asked for over MQTT: install, activate, follow the trial, and say how it ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from edge_runtime.config import Config
from edge_runtime.errors import AlreadyCurrentError, BundleSignatureError, RoomtoneError, UpdateError
from edge_runtime.publishing.flat import Scalar
from edge_runtime.publishing.requests import Exchange
from edge_runtime.updates.activation import activate, check_slots_are_used
from edge_runtime.updates.slot_table import Candidate, Slot
from edge_runtime.updates.slots import Slots

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.5
_CANCEL_S: Final = 20.0  # for an update to end that is asked to; a check that is under way is not cut short


class RemoteUpdates:
    """One update at a time, in a thread of its own.

    Args:
        slots: of this device.
        config: its configuration.
        report: how an update stands, for the responses.
    """

    def __init__(self, slots: Slots, config: Config, report: Callable[[], Mapping[str, Scalar]]) -> None:
        self._slots, self._config, self._report = slots, config, report
        self._closing, self._cancelled = threading.Event(), threading.Event()
        self._brought = ("", "")  # how the last bundle was asked for, and its digest
        self._thread: threading.Thread | None = None

    def activate(self, exchange: Exchange) -> None:
        """Begins what `bundle/activate` asks for; answers `accepted` at once, and `ok` or `error` at its end.

        Raises:
            UpdateError: another update is under way, or the slots are not in use here.
        """
        check_slots_are_used(self._config)
        if self._thread is not None and self._thread.is_alive():
            raise UpdateError("another update is under way", hint="ask health_check how it does")
        self._cancelled.clear()
        exchange.accepted({"phase": "begun"})
        self._thread = threading.Thread(
            target=self._work, args=(exchange,), name="roomtone-remote-update", daemon=True
        )
        self._thread.start()

    def rollback(self, exchange: Exchange) -> None:
        """Does what `bundle/rollback` asks for; an update that is under way is ended first.

        With a bundle named it makes sure that this one does not run, and leaves any other alone, so that an aborted
        rollout takes back its own bundle only.

        Raises:
            UpdateError: there is nothing to roll back, or the slots are not in use here.
        """
        check_slots_are_used(self._config)
        if self._thread is not None and self._thread.is_alive():
            self._cancelled.set()
            self._thread.join(_CANCEL_S)
        meant, table = exchange.request.bundle, self._slots.table()
        if meant is not None and not any(
            self._is_meant(slot, meant) for slot in (table.current, table.candidate)
        ):
            exchange.ok({**self._report(), "outcome": "it does not run here"})
        elif meant is not None and table.candidate is not None and self._is_meant(table.candidate, meant):
            rejected = self._slots.reject("rolled back over MQTT", table.candidate.digest)
            exchange.ok({**self._report(), "rolled_back": rejected.identity})
        else:
            rejected = self._slots.rollback("rolled back over MQTT")
            exchange.ok({**self._report(), "rolled_back": rejected.identity})

    def _is_meant(self, slot: Slot | None, meant: str) -> bool:
        """By name, or as what came from that url."""
        return slot is not None and (slot.is_called(meant) or (meant, slot.digest) == self._brought)

    def close(self) -> None:
        """Ends the thread; an update that is under way goes on at the next start, from the slots."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self, exchange: Exchange) -> None:
        try:
            wanted = exchange.request.bundle
            if (
                wanted is not None
                and (current := self._slots.table().current) is not None
                and current.is_called(wanted)
            ):
                exchange.ok({**self._report(), "outcome": "already current"})
                return
            self._follow(exchange, self._bring(exchange, wanted))
        except AlreadyCurrentError:
            exchange.ok({**self._report(), "outcome": "already current"})
        except RoomtoneError as exc:
            exchange.error(f"{exc} ({exc.hint})" if exc.hint else str(exc), self._report_quietly())
        except Exception:  # noqa: BLE001 - whoever asked is owed an answer
            _log.exception("the update that was asked for over MQTT stumbled")
            exchange.error("the update stumbled; the device's log has more", self._report_quietly())

    def _bring(self, exchange: Exchange, wanted: str | None) -> Candidate:
        """From wherever it is to a candidate that passed its checks."""
        candidate = self._slots.table().candidate
        if candidate is None or (wanted is not None and not candidate.is_called(wanted)):
            if wanted is None:
                raise UpdateError("there is no candidate on this device", hint="say which bundle is meant")
            if not self._config.updates.require_signature:
                raise BundleSignatureError(
                    wanted,
                    "a bundle that is named over MQTT must be signed, and this device does not check signatures",
                    hint="set [updates] require_signature and public_key on the device",
                )
            from edge_runtime.updates.installing import install, url_of  # needed once in months

            exchange.accepted({"phase": "installing"})
            url = url_of(wanted, self._config.updates)
            candidate = install(
                self._slots,
                url,
                self._config.updates,
                sha256=exchange.request.sha256,
                progress=lambda done, total: self._check_cancelled(),
            )
            self._brought = (wanted, candidate.digest)
            if "://" not in wanted and not candidate.is_called(wanted):
                self._slots.reject(f"it came in the place of {wanted}", candidate.digest)
                raise UpdateError(
                    f"{url} holds {candidate}, not {wanted}", hint="tell whoever runs the repository"
                )
        self._check_cancelled()
        if candidate.phase == "installed":
            told = {"candidate": candidate.identity, "candidate_digest": candidate.digest}
            exchange.accepted({"phase": "checking", **told})
            activate(self._slots, self._config).require(str(candidate))
        return candidate

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set() or self._closing.is_set():
            raise UpdateError("the update was ended before it was done")

    def _follow(self, exchange: Exchange, candidate: Candidate) -> None:
        """Says each change of phase, and the end."""
        phase = ""
        while not self._closing.is_set():
            self._check_cancelled()
            table = self._slots.table()
            if table.candidate is not None and table.candidate.digest == candidate.digest:
                if table.candidate.phase != phase:
                    phase = table.candidate.phase
                    exchange.accepted({"phase": "shadow" if phase == "checked" else phase})
                self._closing.wait(_POLL_S)
                continue
            if table.current is not None and table.current.digest == candidate.digest:
                exchange.ok({**self._report(), "outcome": "committed"})
                return
            reason = "another candidate took its place"
            if table.rejected is not None and table.rejected.digest == candidate.digest:
                reason = table.rejected.reason
            raise UpdateError(f"{candidate} was sent back: {reason}")

    def _report_quietly(self) -> Mapping[str, Scalar]:
        try:
            return self._report()
        except RoomtoneError:
            return {}
