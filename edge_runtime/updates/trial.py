"""The trial of a candidate in the running agent: beside the current bundle, then in its place, then for good or back.

    checked ──shadow on live faces──▶ trial, in place of the current one ──health window──▶ committed
       └────────────── agreement too low ──▶ sent back ◀── an error, or too slow ──┘

A thread of its own watches the table of slots (so that `roomtone bundle …` needs no channel to the agent), loads
networks and writes to the disk. Of several agents on one board one conducts the trials; the others follow what it
commits. The agent's loop looks into two mailboxes and never waits: `shadow`, which it shows its
faces to, and `take_order`, which says that another bundle is to run from now on.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.errors import RoomtoneError
from edge_runtime.inference.opening import Choice, Opener
from edge_runtime.updates.shadow import Shadow, ShadowReport
from edge_runtime.updates.slot_table import Candidate, Slot
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.starting import open_here, start

_log = logging.getLogger(__name__)

_TICK_S: Final = 1.0
_PAUSE_S: Final = 10.0  # after something that went wrong
_JOIN_S: Final = 30.0  # for a network that is just being loaded


@dataclass(frozen=True, slots=True)
class Order:
    """Another bundle is to run from now on."""

    bundle: Bundle
    choice: Choice


@dataclass(slots=True)
class _Window:
    """Time at work, and frames in it: seconds without any (shutter closed, camera away) do not count."""

    working_s: float = 0.0
    frames: int = 0

    def add(self, seconds: float, frames: int) -> None:
        if frames:
            self.working_s += seconds
            self.frames += frames

    @property
    def fps(self) -> float:
        return self.frames / self.working_s if self.working_s else 0.0


class Trials:
    """See the module. Context manager: owns the thread.

    Args:
        slots: of this device.
        active: the bundle that the agent started with.
        config: checked.
        frames: how many were analysed so far, in all.
        opens: engines.

    Attributes:
        shadow: a candidate to be shown the live faces; None: there is none.
    """

    def __init__(
        self,
        slots: Slots,
        active: Bundle,
        config: Config,
        frames: Callable[[], int],
        opens: Opener = open_here,
    ) -> None:
        self._slots, self._config, self._frames, self._opens = slots, config, frames, opens
        self._active = active  # what the loop has been told to run
        self._in_loop = active.digest  # what the loop has taken
        self._tried = ""  # digest of what runs, or ran, on trial and was not committed
        self.shadow: Shadow | None = None
        self._order: Order | None = None
        self._candidate: Candidate | None = None
        self._loaded: Order | None = None
        self._stage_began_s = 0.0
        self._before, self._on_trial = _Window(), _Window()
        self._failure = ""
        self._last_report: ShadowReport | None = None
        self._seen_frames, self._seen_s = 0, time.monotonic()
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._lock: int | None = None  # held by the agent that conducts the trials
        self._thread = threading.Thread(target=self._run, name="roomtone-updates", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._wake.set()
        self._thread.join(_JOIN_S)
        if self._lock is not None:
            self._give_the_attempt_back()
            os.close(self._lock)

    def _give_the_attempt_back(self) -> None:
        """A stop that was asked for speaks against no candidate; only a crash or a power cut does."""
        if (candidate := self._candidate) is not None:
            with suppress(RoomtoneError):
                self._slots.mark(candidate.digest, "checked", attempts=candidate.attempts - 1)

    # What the agent's loop calls.

    def take_order(self) -> Order | None:
        """Another bundle to run from now on; told once."""
        order, self._order = self._order, None
        if order is not None:
            self._in_loop = order.bundle.digest
        return order

    def failed(self, problem: Exception) -> bool:
        """The network that runs failed. True: it was on trial, and the one before it comes back."""
        if self._in_loop != self._tried:
            return False
        self._failure = self._failure or str(problem)
        self._wake.set()
        return True

    # What requests call.

    def report(self) -> dict[str, str | float | int]:
        """How an update stands, as flat keys, for `health_check`."""
        table = self._slots.table()
        told: dict[str, str | float | int] = {
            "bundle": f"{self._active.manifest.name}@{self._active.manifest.version}",
            "bundle_digest": self._active.digest,
            "phase": "idle" if table.candidate is None else table.candidate.phase,
        }
        if table.candidate is not None:
            told |= {
                "candidate": table.candidate.identity,
                "candidate_digest": table.candidate.digest,
            }
        if table.rejected is not None:
            told |= {
                "rejected": table.rejected.identity,
                "rejected_digest": table.rejected.digest,
                "rejected_reason": table.rejected.reason,
                "rejected_ts": table.rejected.ts,
            }
        if (shown := self._last_report) is not None:
            told |= {
                # In hundreds: an exact count would tell how many people there are.
                "shadow_faces": shown.faces // 100 * 100,
                "shadow_agreement": shown.agreement,
                "shadow_distance": shown.distance,
                "shadow_p50_ms": shown.candidate_p50_ms,
            }
        return told

    # The thread.

    def _run(self) -> None:
        stamp = None
        while not self._closing.is_set():
            pause_s = _TICK_S
            try:
                self._count_frames()
                if self._claim_trials() or self._slots.stamp() != stamp:
                    stamp = self._slots.stamp()  # before reading, so that a change meanwhile is seen
                    self._follow_table()
                self._conduct()
            except RoomtoneError as exc:
                _log.error("the update cannot go on: %s (%s)", exc, exc.hint)
                stamp, pause_s = None, _PAUSE_S
            except Exception:  # noqa: BLE001 - the room goes on being read, whatever an update does
                _log.exception("the update stumbled")
                stamp, pause_s = None, _PAUSE_S
            self._wake.wait(pause_s)
            self._wake.clear()

    def _claim_trials(self) -> bool:
        """Whether this agent has become the one that conducts trials just now."""
        if self._lock is not None or (handle := self._slots.lock_as_agent()) is None:
            return False
        self._lock = handle
        self._slots.begin_run()
        return True

    def _count_frames(self) -> None:
        now_s, frames = time.monotonic(), self._frames()
        seconds, new = now_s - self._seen_s, frames - self._seen_frames
        self._seen_s, self._seen_frames = now_s, frames
        if self.shadow is not None:
            self._before.add(seconds, new)
        elif self._is_on_trial and self._order is None:
            self._on_trial.add(seconds, new)

    @property
    def _is_on_trial(self) -> bool:
        return self._candidate is not None and self._candidate.phase == "trial"

    def _follow_table(self) -> None:
        """The table changed: by us, by `roomtone bundle`, or by a request."""
        table = self._slots.table()
        mine = self._candidate
        if mine is not None and (table.candidate is None or table.candidate.digest != mine.digest):
            _log.info("the trial of %s is over", mine)
            if table.current is not None and table.current.digest == mine.digest:
                self._tried = ""
            self._forget()
        if self._candidate is None:
            self._go_back()
        is_free = self._candidate is None and self._lock is not None
        if is_free and table.candidate is not None and table.candidate.phase == "checked":
            self._begin_shadow(table.candidate)

    def _begin_shadow(self, candidate: Candidate) -> None:
        """Loads the candidate; the attempt is on the disk before, in case that its network ends the process."""
        self._candidate = candidate = self._slots.mark(
            candidate.digest, "checked", attempts=candidate.attempts + 1
        )
        try:
            bundle = self._slots.open(candidate)
            choice = self._opens(bundle, self._config.inference)
        except RoomtoneError as exc:
            self._send_back(str(exc))
            return
        self._loaded = Order(bundle, choice)
        self._before, self._on_trial, self._failure = _Window(), _Window(), ""
        self._stage_began_s = time.monotonic()
        self.shadow = Shadow(bundle, choice, self._active, self._config)
        _log.info("%s runs beside %s on live faces", candidate, Slot.holding(self._active))

    def _conduct(self) -> None:
        if self._candidate is None or self._loaded is None:
            return
        if self.shadow is not None:
            self._judge_shadow(self.shadow, self._candidate)
        elif self._is_on_trial:
            self._judge_trial(self._candidate)

    def _judge_shadow(self, shadow: Shadow, candidate: Candidate) -> None:
        limits = self._config.updates
        self._last_report = report = shadow.report()
        lasted_s = time.monotonic() - self._stage_began_s
        if shadow.problem:
            self._send_back(f"shadow: {shadow.problem}")
        elif lasted_s >= limits.shadow_s and report.faces >= limits.shadow_faces:
            if report.agreement < limits.min_agreement:
                self._send_back(
                    f"shadow: it agrees with the current bundle on {report.agreement:.0%} of the readings, "
                    f"{limits.min_agreement:.0%} are needed"
                )
                return
            self.shadow = None
            self._candidate = self._slots.mark(candidate.digest, "trial")
            assert self._loaded is not None  # noqa: S101 - loaded with the shadow
            self._tried = candidate.digest
            self._switch_to(self._loaded)
            _log.info(
                "%s is on trial for %g s (agreement %.0f %%)",
                candidate,
                limits.health_window_s,
                100 * report.agreement,
            )
        elif lasted_s > limits.patience_h * 3600:
            self._send_back(
                f"shadow: fewer than {limits.shadow_faces} readings of faces in {limits.patience_h:g} h"
            )

    def _judge_trial(self, candidate: Candidate) -> None:
        limits = self._config.updates
        if self._failure:
            self._send_back(f"trial: {self._failure}")
        elif self._on_trial.working_s >= limits.health_window_s and self._on_trial.frames:
            slowest = limits.min_fps_ratio * self._before.fps
            if self._on_trial.fps < slowest:
                self._send_back(f"trial: {self._on_trial.fps:.1f} frames/s, {self._before.fps:.1f} before it")
                return
            slot = self._slots.commit(candidate.digest)
            self._tried = ""
            _log.info("%s is committed", slot)
            self._forget()

    def _send_back(self, reason: str) -> None:
        candidate = self._candidate
        assert candidate is not None  # noqa: S101 - only a candidate is sent back
        _log.warning("%s is sent back: %s", candidate, reason)
        self._slots.reject(reason, candidate.digest)
        self._forget()
        self._go_back()

    def _go_back(self) -> None:
        """To what a start would run, if that is not what runs."""
        if self._slots.running().bundle.digest != self._active.digest:
            running, choice = start(self._slots, self._config.inference, self._opens)
            if running.bundle.digest != self._active.digest:
                self._switch_to(Order(running.bundle, choice))

    def _switch_to(self, order: Order) -> None:
        self._active, self._order = order.bundle, order

    def _forget(self) -> None:
        self._candidate, self._loaded, self.shadow = None, None, None
