"""One engine for several cameras: equal answers, whole batches, nobody waits for ever, nobody is passed over."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import EngineError
from edge_runtime.inference.opening import Choice, open_engine
from edge_runtime.inference.shared_engine import EnginePool, SharedEngine

CAMERAS = 4


class Gate:
    """An engine that waits at each call until it is let through; what it is given, it notes."""

    def __init__(self, engine) -> None:
        self._engine, self.report = engine, engine.report
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[int] = []
        self.fails = False

    def logits(self, crops):
        self.batches.append(len(crops))
        self.entered.release()
        assert self.open.acquire(timeout=10)
        if self.fails:
            raise EngineError("the network burns")
        return self._engine.logits(crops)


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


@pytest.fixture
def choice(bundle: Bundle) -> Choice:
    return open_engine(bundle, InferenceSection())


def crops_of(camera: int, count: int) -> np.ndarray:
    return np.random.default_rng(camera).integers(0, 256, (count, 96, 96), np.uint8)


def until_waiting(engine: SharedEngine, count: int) -> None:
    for _ in range(1000):
        if len(engine._waiting) == count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{len(engine._waiting)} wait, not {count}")


def test_what_comes_while_the_engine_is_at_work_goes_as_one_batch_and_is_answered_as_alone(
    choice: Choice,
) -> None:
    gate = Gate(choice.engine)
    shared = SharedEngine(replace(choice, engine=gate), max_batch=16)
    counts = [3, 5, 1, 7]
    with ThreadPoolExecutor(CAMERAS) as cameras:
        answers = [cameras.submit(shared.logits, crops_of(0, counts[0]))]
        assert gate.entered.acquire(timeout=10)
        for camera in range(1, CAMERAS):
            answers.append(cameras.submit(shared.logits, crops_of(camera, counts[camera])))
        until_waiting(shared, CAMERAS - 1)
        gate.open.release(2)
        for camera, answer in enumerate(answers):
            alone = choice.engine.logits(crops_of(camera, counts[camera]))
            np.testing.assert_allclose(answer.result(10), alone, atol=1e-5)
    assert gate.batches == [3, 13]
    assert (shared.counters.calls, shared.counters.requests, shared.counters.faces) == (2, 4, 16)


def test_a_batch_is_no_larger_than_allowed_and_a_single_request_is_never_cut(choice: Choice) -> None:
    gate = Gate(choice.engine)
    shared = SharedEngine(replace(choice, engine=gate), max_batch=8)
    with ThreadPoolExecutor(CAMERAS) as cameras:
        cameras.submit(shared.logits, crops_of(0, 1))
        assert gate.entered.acquire(timeout=10)
        for waiting, count in enumerate((5, 4, 12), 1):
            cameras.submit(shared.logits, crops_of(waiting, count))
            until_waiting(shared, waiting)
        gate.open.release(CAMERAS)
    assert gate.batches == [1, 5, 4, 12]


def test_a_failure_is_told_to_each_camera_of_the_batch_and_the_next_goes_on(choice: Choice) -> None:
    gate = Gate(choice.engine)
    shared = SharedEngine(replace(choice, engine=gate), max_batch=16)
    with ThreadPoolExecutor(CAMERAS) as cameras:
        first = cameras.submit(shared.logits, crops_of(0, 2))
        assert gate.entered.acquire(timeout=10)
        others = [cameras.submit(shared.logits, crops_of(camera, 2)) for camera in (1, 2)]
        until_waiting(shared, 2)
        gate.fails = True
        gate.open.release(2)
        for answer in (first, *others):
            with pytest.raises(EngineError, match="burns"):
                answer.result(10)
    gate.fails = False
    gate.open.release()
    assert len(shared.logits(crops_of(3, 2))) == 2


def test_cameras_that_never_pause_are_served_in_turn_and_nothing_piles_up(choice: Choice) -> None:
    """Each call waits until every camera has asked again, so that no thread's luck decides who is next."""
    gate = Gate(choice.engine)
    shared = SharedEngine(replace(choice, engine=gate), max_batch=6)
    counts = [3, 4, 5, 6]  # faces, by which a camera is known; any two are too many for one call
    ended = threading.Event()

    def camera(faces: int) -> None:
        crops = crops_of(faces, faces)
        while not ended.is_set():
            shared.logits(crops)

    with ThreadPoolExecutor(CAMERAS) as cameras:
        for number, faces in enumerate(counts):
            cameras.submit(camera, faces)
            if number:
                until_waiting(shared, number)
            else:
                assert gate.entered.acquire(timeout=10)
        for _ in range(10 * CAMERAS - 1):
            gate.open.release()
            assert gate.entered.acquire(timeout=10)
            until_waiting(shared, CAMERAS - 1)
        served = list(gate.batches)
        ended.set()
        gate.open.release(CAMERAS)
    assert served == 10 * counts


def test_cameras_of_the_same_bundle_and_settings_get_one_engine(bundle: Bundle) -> None:
    pool = EnginePool(open_engine)
    one, same = (pool.open(bundle, InferenceSection(classify_rate_hz=rate)) for rate in (1, 2))
    other = pool.open(bundle, InferenceSection(threads=2))
    assert one.engine is same.engine
    assert one.engine is not other.engine
    assert one.reason == same.reason == "best of the bundle here"


def test_an_engine_that_nobody_uses_any_more_is_let_go(bundle: Bundle) -> None:
    opened = []

    def opens(bundle: Bundle, settings: InferenceSection) -> Choice:
        opened.append(settings)
        return open_engine(bundle, settings)

    pool = EnginePool(opens)
    choice = pool.open(bundle, InferenceSection())
    del choice
    gc.collect()
    pool.open(bundle, InferenceSection())
    assert len(opened) == 2
