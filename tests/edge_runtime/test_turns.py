"""Turns at a board's cores: never more than there are, in the order of asking, whatever a turn takes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from brokers import until

from edge_runtime.turns import Turns, phase


def test_whoever_asked_first_is_served_first() -> None:
    turns, served = Turns(1), []

    def ask(number: int) -> None:
        with turns:
            served.append(number)

    with ThreadPoolExecutor(5) as threads, turns:
        for number in range(5):
            threads.submit(ask, number)
            assert until(lambda asked=number + 1: len(turns._waiting) == asked)
    assert served == [0, 1, 2, 3, 4]


def test_a_camera_that_takes_long_gets_as_many_turns_as_the_others() -> None:
    """Each ends its turn when all others have asked, so that no thread's luck decides who is next."""
    cameras, rounds = 4, 10
    turns, served = Turns(1), []
    everyone = threading.Barrier(cameras)

    def camera(number: int) -> None:
        everyone.wait(10)
        for _ in range(rounds):
            with turns:
                others = set(range(cameras)) - {number}
                asking = sum(served.count(other) < rounds for other in others)
                assert until(lambda: len(turns._waiting) == asking)  # noqa: B023 - called before asking changes
                served.append(number)

    with ThreadPoolExecutor(cameras) as threads:
        for outcome in [threads.submit(camera, number) for number in range(cameras)]:
            outcome.result(30)
    assert all(
        sorted(served[turn : turn + cameras]) == list(range(cameras))
        for turn in range(0, rounds * cameras, cameras)
    )


@pytest.mark.parametrize("places", [1, 2, 3])
def test_no_more_are_at_work_than_there_are_places_and_a_failure_gives_its_place_back(places: int) -> None:
    turns, lock = Turns(places), threading.Lock()
    at_work = most = 0

    def ask(number: int) -> None:
        nonlocal at_work, most
        with turns:
            with lock:
                at_work += 1
                most = max(most, at_work)
            threading.Event().wait(0.001)
            with lock:
                at_work -= 1
            if number % 2:
                raise ValueError("the network burns")

    with ThreadPoolExecutor(8) as threads:
        outcomes = [threads.submit(ask, number) for number in range(40)]
    assert sum(isinstance(outcome.exception(), ValueError) for outcome in outcomes) == 20
    assert most <= places
    for _ in range(places):
        turns.__enter__()  # all places are free again, or this would wait for ever


def test_who_waits_for_the_engine_lets_others_work_meanwhile_and_then_has_a_turn_again() -> None:
    turns, order = Turns(1), []

    def other() -> None:
        with turns:
            order.append("other")

    with ThreadPoolExecutor(1) as threads, turns:
        with turns.paused():
            threads.submit(other).result(10)
            order.append("engine")
        assert turns._free == 0
        order.append("again")
    assert order == ["other", "engine", "again"]
    assert turns._free == 1


def test_phases_of_any_number_of_cameras_lie_evenly() -> None:
    assert [phase(number) for number in range(8)] == [1, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]
