"""A live camera, USB or network: always the newest frame, and survives what cameras do."""

from __future__ import annotations

import logging
import math
import random
import time
from typing import Self

from edge_runtime.config import CameraSection
from edge_runtime.errors import SourceUnavailableError
from edge_runtime.frames.address import masked
from edge_runtime.frames.diagnosis import Problem
from edge_runtime.frames.frame import Frame, SourceCounters
from edge_runtime.frames.grabber import Phase
from edge_runtime.frames.grabber_process import GrabberProcess, Report
from edge_runtime.frames.handover import Captured

logger = logging.getLogger(__name__)

_START_PATIENCE_S = 30.0  # for Python and OpenCV to load, on a slow card
_REPLACED_WITHIN_S = 0.05
_EXPLAIN_PATIENCE_S = 5.0  # for the child to find out why the camera did not open


class LiveCamera:
    """A camera read by a child process, which is restarted when the camera or the process fails.

    A missing camera is no error: the constructor starts the first attempt, `last_problem` says what is wrong,
    and `read` returns None and goes on trying. All supervision happens inside `read` and `wait_until_open`,
    so one of them must be called regularly, and all calls come from one thread.

    Rules:
        * No frame for `read_timeout_s`: `online` becomes false; one stall is counted.
        * No frame for `restart_after_s`, not open after `open_timeout_s`, or the child has ended: it is
          killed, and started again after a pause that doubles from `restart_backoff_s` to
          `restart_backoff_max_s`, each shortened by up to a half at random, so that the cameras of a school
          do not come back all at once.
        * One line is logged when the camera goes, and one when it returns.

    Args:
        source: camera index, device file or url.
        settings: time-outs, pauses and what is asked of a USB camera.
        camera_id: what the frames are labelled with.
        grey: frames need no colour; where the decoder can leave it out, they have none.
        jitter: shortens the pauses.

    Attributes:
        last_problem: why the camera is not there at present, in words that hold no password; else empty.
        last_hint: what to do about it.
    """

    is_live = True
    has_monotonic_clock = True

    def __init__(
        self,
        source: str,
        settings: CameraSection,
        *,
        camera_id: str = "camera",
        grey: bool = False,
        jitter: random.Random | None = None,
    ) -> None:
        self.camera_id = camera_id
        self.counters = SourceCounters()
        self.last_problem = ""
        self.last_hint = ""
        self._source = source
        self._settings, self._grey = settings, grey
        self._backoff = Backoff(
            settings.restart_backoff_s,
            settings.restart_backoff_max_s,
            jitter or random.Random(),  # noqa: S311 - spreads restarts, keeps no secret
        )
        self._grabber: GrabberProcess | None = None
        self._closed = False
        self._online = False
        self._lost_s: float | None = None  # when it was logged that the camera is gone
        self._restarted = False  # since the last frame
        self._timestamp_s = 0.0
        self._sequence = 0
        self._corrupt = 0
        self._restart_s = 0.0
        self._phase: Phase | None = None
        self._phase_s = 0.0
        self._sign_of_life_s: float | None = None  # of the running child: opened, or a frame
        self._reported: Problem | None = None  # by the running child
        self._start(time.monotonic())

    @property
    def online(self) -> bool:
        """Whether frames are coming, as of the last `read` or `wait_until_open`."""
        return self._online

    @property
    def has_failed(self) -> bool:
        """Whether the last attempt has failed and the next has not begun; `last_problem` knows why."""
        return self._grabber is None and bool(self.last_problem)

    @property
    def child_pid(self) -> int | None:
        """The process that holds the camera; None between two attempts."""
        return None if self._grabber is None else self._grabber.pid

    def read(self, timeout_s: float = 1.0) -> Frame | None:
        """Takes the newest frame that was not taken yet, waiting for one if need be.

        Raises:
            SourceUnavailableError: the source was closed.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            captured = self._take()
            if captured is not None:
                return self._frame(captured)
            if not self._supervise(deadline_s):
                return None

    def wait_until_open(self, timeout_s: float) -> bool:
        """Waits until the camera is open; takes no frame.

        Returns:
            Whether it is; if not, `last_problem` may know why.

        Raises:
            SourceUnavailableError: the source was closed.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._is_open():
            if not self._supervise(deadline_s):
                return False
        return True

    def close(self) -> None:
        """Ends the child within 2 s, even one that hangs in native code."""
        self._closed = True
        self._online = False
        self._phase = None
        if self._grabber is not None:
            self._grabber.stop()
            self._grabber = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _is_open(self) -> bool:
        return self._phase is Phase.READING or (self._grabber is not None and self._grabber.has_frame())

    def _take(self) -> Captured | None:
        return None if self._grabber is None else self._grabber.take()

    def _frame(self, captured: Captured) -> Frame:
        """Keeps the books of a frame that came."""
        self.counters.dropped += captured.sequence - self._sequence - 1
        self.counters.corrupt += captured.corrupt - self._corrupt
        self._sequence, self._corrupt = captured.sequence, captured.corrupt
        if self._restarted and self.counters.frames:
            self.counters.reconnects += 1
        self._restarted = False
        self.counters.frames += 1
        self._backoff.reset()
        self._online = True
        self.last_problem = self.last_hint = ""
        if self._lost_s is not None:
            away_s = time.monotonic() - self._lost_s
            logger.info("camera %s (%s) is back after %.1f s", self.camera_id, masked(self._source), away_s)
            self._lost_s = None
        self._timestamp_s = max(self._timestamp_s, captured.timestamp_s)
        # Not the present time: after a pause of the reader's the newest frame may be an old one.
        self._sign_of_life_s = captured.timestamp_s
        return Frame(captured.image, self._timestamp_s, self.camera_id)

    def _supervise(self, deadline_s: float) -> bool:
        """Does what is due, then sleeps until something happens; False: the deadline has passed."""
        if self._closed:
            raise SourceUnavailableError(masked(self._source), "was closed")
        now_s = time.monotonic()
        if self._grabber is None:
            if now_s >= self._restart_s:
                self._start(now_s)
        else:
            for report in self._grabber.reports():
                self._note(report, now_s)
            # A frame that came meanwhile settles the matter. It may be late for a moment, see `is_ready`.
            if not self._grabber.has_frame(within_s=_REPLACED_WITHIN_S if self._is_silent(now_s) else 0.0):
                self._judge(self._grabber, now_s)
        if now_s >= deadline_s:
            return False
        if self._grabber is None:
            time.sleep(max(0.0, min(deadline_s, self._restart_s) - now_s))
        else:
            self._grabber.wait(min(deadline_s, self._next_judgement_s(now_s)) - now_s)
        return True

    def _start(self, now_s: float) -> None:
        try:
            self._grabber = GrabberProcess(self._source, self._settings, grey=self._grey)
        except OSError as exc:
            problem = Problem(f"no process could be started: {exc.strerror}", "is the memory full?")
            self._lose(problem)
            self._restart_s = now_s + self._backoff.next_pause_s()
            return
        self._phase, self._phase_s, self._sign_of_life_s = None, now_s, None
        self._reported = None
        self._sequence = self._corrupt = 0

    def _note(self, report: Report, now_s: float) -> None:
        self._phase, self._phase_s = report.phase, now_s
        if report.phase is Phase.READING:
            self._sign_of_life_s = now_s
        self._reported = report.problem or self._reported

    def _judge(self, grabber: GrabberProcess, now_s: float) -> None:
        """Counts a stall, gives the child up, or lets it go on."""
        if self._sign_of_life_s is None:
            problem = Problem(f"did not open within {self._settings.open_timeout_s:g} s")
        else:
            problem = Problem(f"no frame for {now_s - self._sign_of_life_s:.1f} s")
        if self._is_silent(now_s) and self._lost_s is None:
            self.counters.stalls += 1
            self._lose(problem)
        if grabber.has_ended:
            self._give_up(grabber, now_s, self._reported or Problem("its process ended unexpectedly"))
        elif now_s >= self._given_up_s():
            self._give_up(grabber, now_s, self._reported or problem)

    def _is_silent(self, now_s: float) -> bool:
        return now_s >= self._stalled_s()

    def _stalled_s(self) -> float:
        """When the running child is stalled, if no frame comes from it until then."""
        if self._sign_of_life_s is None:
            return math.inf
        return self._sign_of_life_s + self._settings.read_timeout_s

    def _given_up_s(self) -> float:
        """When the running child is given up, if nothing comes from it until then."""
        if self._sign_of_life_s is not None:
            return self._sign_of_life_s + self._settings.restart_after_s
        if self._phase is None:
            return self._phase_s + _START_PATIENCE_S
        return self._phase_s + self._settings.open_timeout_s + _EXPLAIN_PATIENCE_S

    def _next_judgement_s(self, now_s: float) -> float:
        if self._is_silent(now_s):
            return self._given_up_s()
        return min(self._given_up_s(), self._stalled_s())

    def _give_up(self, grabber: GrabberProcess, now_s: float, problem: Problem) -> None:
        self._lose(problem)
        grabber.kill()
        self._grabber, self._phase, self._restarted = None, None, True
        self._restart_s = now_s + self._backoff.next_pause_s()

    def _lose(self, problem: Problem) -> None:
        self._online = False
        self.last_problem, self.last_hint = problem.what, problem.hint
        if self._lost_s is None:
            self._lost_s = time.monotonic()
            advice = f" ({problem.hint})" if problem.hint else ""
            logger.warning("camera %s (%s): %s%s", self.camera_id, masked(self._source), problem.what, advice)


class Backoff:
    """Pauses that double up to a limit, each shortened by up to a half at random.

    Args:
        first_s: the longest that the first pause can be.
        limit_s: the longest that any pause can be.
        jitter: where the shortening comes from.
    """

    def __init__(self, first_s: float, limit_s: float, jitter: random.Random) -> None:
        self._first_s, self._limit_s, self._jitter = first_s, limit_s, jitter
        self._next_s = first_s

    def next_pause_s(self) -> float:
        """The next pause."""
        pause_s, self._next_s = self._next_s, min(self._limit_s, 2 * self._next_s)
        return pause_s * self._jitter.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begins again with the first pause."""
        self._next_s = self._first_s
