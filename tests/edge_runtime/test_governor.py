"""A board that is too slow: the order in which rates fall and rise, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_runtime.config import Config
from edge_runtime.governor import FLOOR, GovernedCamera, Governor
from edge_runtime.pacing import Rates

AS_CONFIGURED = Rates(classify_hz=2.0, scan_hz=2.0, follow_hz=12.5)
FRAME_S = 0.04


class Board:
    """Cameras whose loops are busy, and whose scans take, as the test says."""

    def __init__(self, *configs: Config) -> None:
        self.now_s = 0.0
        self.governor = Governor(lambda: self.now_s)
        self.cameras = [self.governor.admit(config) for config in configs or (Config(),)]
        self.scans = 0

    def work(
        self,
        seconds: float,
        *,
        busy: Callable[[GovernedCamera], float] = lambda camera: 0.3,
        scan_s: float = 0.1,
    ) -> list[Rates]:
        """Returns the first camera's rates as they changed."""
        seen = [self.cameras[0].rates]
        for _ in range(round(seconds / FRAME_S)):
            self.now_s += FRAME_S
            self.scans += 1
            for camera in self.cameras:
                camera.worked(
                    waited_s=FRAME_S * (1 - busy(camera)),
                    scans=self.scans,
                    scans_took_s=self.scans * scan_s,
                )
            if self.cameras[0].rates != seen[-1]:
                seen.append(self.cameras[0].rates)
        return seen


def always(camera: GovernedCamera) -> float:
    return 1.0


def test_rates_fall_in_the_stated_order_down_to_the_floor() -> None:
    seen = Board().work(60, busy=always)
    assert seen == [
        AS_CONFIGURED,
        Rates(1.0, 2.0, 12.5),
        Rates(0.5, 2.0, 12.5),
        Rates(0.5, 1.0, 12.5),
        Rates(0.5, 0.5, 12.5),
        Rates(0.5, 0.5, 6.25),
        FLOOR,
    ]


def test_rates_rise_in_reverse_when_there_is_room_again() -> None:
    board = Board()
    fell = board.work(60, busy=always)
    rose = board.work(200, busy=lambda camera: 0.1)
    assert rose == fell[::-1]


def test_rates_fall_no_further_than_is_needed() -> None:
    board = Board()
    board.work(300, busy=lambda camera: 1.2 if camera.rates.classify_hz > 1 else 0.8)
    assert board.cameras[0].rates == Rates(1.0, 2.0, 12.5)


def test_what_did_not_hold_is_tried_ever_more_rarely() -> None:
    board = Board()
    seen = board.work(1200, busy=lambda camera: 1.0 if camera.rates.classify_hz > 1 else 0.6)
    assert 6 <= len(seen) / 2 <= 8  # after 15, 30, 60, 120, 240, 480 s


def test_a_short_hiccup_changes_nothing() -> None:
    board = Board()
    board.work(10)
    assert board.work(1.5, busy=always) + board.work(10) == [AS_CONFIGURED] * 2


def test_late_scans_fall_alone_where_the_loop_has_time() -> None:
    board = Board()
    seen = board.work(300, scan_s=0.6)
    # 0.6 s each are no more than one a second; and twice as many are not tried, since they would take 1.2 s.
    assert seen == [AS_CONFIGURED, Rates(2.0, 1.0, 12.5)]


def test_all_cameras_of_a_board_fall_together_though_one_is_to_blame() -> None:
    slow = Config(inference={"classify_rate_hz": 4.0})
    board = Board(Config(), slow)
    board.work(8, busy=lambda camera: 1.0 if camera is board.cameras[1] else 0.1)
    assert [camera.rates.classify_hz for camera in board.cameras] == [1.0, 2.0]


def test_a_rate_configured_below_its_floor_stays() -> None:
    modest = Config(inference={"classify_rate_hz": 0.2}, faces={"scan_rate_hz": 0.1, "follow_rate_hz": 2})
    seen = Board(modest).work(60, busy=always)
    assert seen == [Rates(0.2, 0.1, 2.0)]


@pytest.mark.parametrize("ends", ["rested", "left"])
def test_a_camera_that_is_away_or_gone_speaks_for_nobody(ends: str) -> None:
    board = Board(Config(), Config())
    board.work(1.9, busy=always)
    away = board.cameras.pop()
    if ends == "left":
        board.governor.leave(away)
    else:
        away.rested()
    assert board.work(60) == [AS_CONFIGURED]


def test_overload_is_told_while_a_rate_is_low_or_the_lowest_are_too_much() -> None:
    board = Board()
    (camera,) = board.cameras
    assert not camera.is_overloaded
    board.work(60, busy=always)
    assert camera.is_overloaded
    assert camera.latest.highest == pytest.approx(1.0)
    board.work(200, busy=lambda camera: 0.1)
    assert not camera.is_overloaded


def test_silence_is_no_room() -> None:
    board = Board()
    (camera,) = board.cameras
    board.work(60, busy=always)
    for _ in range(20):  # turns that take longer than a period: nothing is known in between
        board.now_s += 5.0
        camera.worked(waited_s=0.0, scans=board.scans, scans_took_s=0.0)
    assert camera.rates == FLOOR
