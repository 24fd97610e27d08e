"""All stages together: frames go in, windows of the room come out, and what cannot be read is not guessed."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import open_bundle
from edge_runtime.config import Config
from edge_runtime.frames.film import Film
from edge_runtime.frames.frame import EndOfSource, Frame
from edge_runtime.frames.simulation.classroom import SimulatedClassroom
from edge_runtime.inference.opening import open_engine
from edge_runtime.room.window import RoomWindow
from edge_runtime.turns import Turns


@pytest.fixture
def analysis(tiny_bundle):
    """Makes an analysis with the given sections of the configuration."""
    opened = []

    def make(**sections):
        config = Config.model_validate(sections)
        bundle = open_bundle(tiny_bundle)
        engine = open_engine(bundle, config.inference).engine
        opened.append(RoomAnalysis(config, bundle.manifest, engine))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture(scope="module")
def lesson():
    """Five seconds of six people at 5 frames/s."""
    with SimulatedClassroom(students=6, seed=3, width=640, height=360, fps=5, seconds=5) as source:
        return [source.read() for _ in range(25)]


def windows_of(analysis, frames):
    made = [analysis.process(frame) for frame in frames]
    return [window for window in [*made, analysis.end()] if window is not None]


def test_a_lesson_becomes_windows(analysis, lesson):
    room = analysis(room={"window_s": 2.0, "min_track_s": 0.5})
    windows = windows_of(room, lesson)
    assert [window.is_partial for window in windows] == [False, False, True]
    assert sum(window.frames for window in windows) == room.counters.frames == 25
    for window in windows:
        assert window.seen == 6
        assert 5 <= window.readable <= 6
        assert window.shares.sum() == pytest.approx(1)
    assert room.counters.faces >= 0.95 * 25 * 6


def test_two_runs_give_the_same_windows(analysis, lesson):
    first, second = (windows_of(analysis(room={"window_s": 2.0}), lesson) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        for field in fields(RoomWindow):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize(
    ("section", "least", "most"),
    [
        pytest.param({"classify_rate_hz": 1.0}, 25, 36, id="once a second"),
        pytest.param({"classify_rate_hz": 5.0}, 130, 150, id="every frame"),
        pytest.param({"readable_width_px": 900}, 0, 0, id="nobody is wide enough"),
    ],
)
def test_how_many_faces_are_classified_is_configured(analysis, lesson, section, least, most):
    room = analysis(inference=section)
    windows_of(room, lesson)
    assert least <= room.counters.classified <= most


def test_smoothing_s_takes_effect(analysis, lesson):
    sections = [{"smoothing_s": seconds, "window_s": 1.0} for seconds in (0.0, 30.0)]
    fast, slow = (windows_of(analysis(room=section), lesson) for section in sections)
    assert not np.allclose(fast[3].shares, slow[3].shares, atol=1e-6)


@pytest.mark.parametrize(("min_track_s", "readable"), [(0.0, 6), (60.0, 0)])
def test_min_track_s_takes_effect(analysis, lesson, min_track_s, readable):
    (window,) = windows_of(analysis(room={"min_track_s": min_track_s}), lesson)
    assert window.readable == pytest.approx(readable, abs=1 if readable else 0)


def test_a_camera_that_went_away_still_ends_its_window(analysis, lesson):
    room = analysis(room={"window_s": 10.0})
    room.process(lesson[0])
    assert room.advance(lesson[0].timestamp_s + 9.0) is None
    assert room.advance(lesson[0].timestamp_s + 10.0).frames == 1
    assert room.end() is None


def test_after_the_end_another_film_may_begin_at_zero(analysis, lesson):
    room = analysis()
    assert len(windows_of(room, lesson)) == 1
    (again,) = windows_of(room, lesson)
    assert again.start_s == lesson[0].timestamp_s
    assert again.frames == 25
    assert again.readable >= 5


def test_an_empty_room_is_a_window_without_readings(analysis):
    dark = [Frame(np.zeros((120, 160, 3), np.uint8), step / 5) for step in range(10)]
    (window,) = windows_of(analysis(), dark)
    assert (window.seen, window.readable, window.frames) == (0, 0, 10)


def test_the_stages_are_timed(analysis, lesson):
    room = analysis()
    windows_of(room, lesson[:10])
    assert {"frame", "scan", "follow", "pupils", "align", "infer"} <= set(room.spans.percentiles())


@pytest.mark.realdata
def test_a_class_whose_faces_are_14_px_wide_is_seen_at_best_and_never_guessed(analysis, shared_data):
    room = analysis(faces={"min_face_px": 10})
    with Film(shared_data / "videos" / "classroom.gif") as film:
        try:
            for _ in range(100):
                frame = film.read()
                if frame is not None:
                    room.process(frame)
        except EndOfSource:
            pass
    window = room.end()
    assert room.counters.classified == 0
    assert window.readable == 0
    np.testing.assert_array_equal(window.shares, 0)


@pytest.mark.realdata
def test_real_faces_are_counted_in_the_zones_in_which_they_are(analysis, shared_data):
    truth = json.loads((shared_data / "videos" / "mosaic_1080p.json").read_text("utf-8"))
    row_of = np.digitize([y + h / 2 for _, y, _, h in truth["boxes_xywh"][0]], [360, 720])
    rows = {
        name: [(0, top), (1, top), (1, min(1, top + 1 / 3)), (0, min(1, top + 1 / 3))]
        for name, top in (("back", 0.0), ("middle", 1 / 3), ("front", 2 / 3))
    }
    room = analysis(zones={"students": rows}, room={"min_group": 1}, inference={"readable_width_px": 16})
    with Film(shared_data / "videos" / "mosaic_1080p.mp4") as film:
        (window,) = windows_of(room, [film.read() for _ in range(50)])
    readable = [zone.readable for zone in window.zones.values()]
    for count, expected in zip(readable, np.bincount(row_of), strict=True):
        assert abs(count - expected) <= 1  # of about 8 faces a row
    assert window.readable == pytest.approx(sum(readable), abs=1)


class NotedTurns(Turns):
    """Says how many turns there were and whether one is taken."""

    def __init__(self) -> None:
        super().__init__(1)
        self.taken = 0

    def __enter__(self) -> None:
        super().__enter__()
        self.taken += 1

    @property
    def is_held(self) -> bool:
        return self._free == 0


def test_a_frame_takes_a_turn_only_if_it_is_worked_on_and_gives_it_up_while_the_engine_runs(analysis, lesson):
    room = analysis(faces={"follow_rate_hz": 2.5}, inference={"classify_rate_hz": 1.25})
    room.turns = NotedTurns()
    held, read = [], room._reader.read

    def noted(view, crops):
        held.append(room.turns.is_held)
        return read(view, crops)

    room._reader.read = noted
    windows = windows_of(room, lesson)
    assert sum(window.frames for window in windows) == 25
    # 13 of 25 frames are followed, among them the 7 in which faces are classified: each of those begins anew once.
    assert held == [False] * 7
    assert room.turns.taken == 13 + 7
    assert not room.turns.is_held


def test_turns_change_nothing_but_the_time(analysis, lesson):
    alone, by_turns = analysis(room={"window_s": 2.0}), analysis(room={"window_s": 2.0})
    by_turns.turns = Turns(1)
    for one, other in zip(windows_of(alone, lesson), windows_of(by_turns, lesson), strict=True):
        np.testing.assert_array_equal(one.shares, other.shares)
