"""A network of sequences on whole lessons: who warms up is seen and not read, and the device says what it lacks."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from sequence_bundles import FRAMES, STRIDE_S, TinySequence, write_sequence_bundle

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import open_bundle
from edge_runtime.config import Config, InferenceSection
from edge_runtime.errors import EngineError
from edge_runtime.faces.landmarks import LandmarkFinder
from edge_runtime.frames.simulation.classroom import SimulatedClassroom
from edge_runtime.inference.landmark_engine import landmarks_for
from edge_runtime.inference.opening import open_engine
from edge_runtime.pacing import Rates
from edge_runtime.updates.shadow import Shadow


@pytest.fixture(scope="module")
def lesson():
    """Four seconds of six people at 12 frames/s."""
    with SimulatedClassroom(students=6, seed=3, width=640, height=360, fps=12, seconds=4) as source:
        return [source.read() for _ in range(48)]


@pytest.fixture
def analysis(tmp_path):
    opened = []

    def make(*, landmarks=None, network=None, **sections):
        config = Config.model_validate(sections)
        bundle = open_bundle(write_sequence_bundle(tmp_path / "tiny", network or TinySequence.drawn()))
        engine = open_engine(bundle, config.inference).engine
        opened.append(RoomAnalysis(config, bundle.manifest, engine, landmarks=landmarks))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_faces_are_seen_at_once_and_read_when_their_sequence_is_whole(analysis, lesson):
    room = analysis(room={"window_s": 1.0, "min_track_s": 0.0})
    windows = [window for frame in lesson if (window := room.process(frame)) is not None]
    windows.append(room.end())
    assert windows[0].seen == 6
    assert windows[0].readable == 0  # the first sequence is whole after FRAMES - 1 = 4 strides of 0.25 s
    assert all(5 <= window.readable <= 6 for window in windows[1:])
    assert windows[2].shares.sum() == pytest.approx(1)
    assert room.counters.warming_up >= 6 * (FRAMES - 1)
    assert room.counters.classified >= 0.8 * 6 * (4 / STRIDE_S - FRAMES)
    assert room.source_pace.is_too_slow is False


def test_the_stride_is_the_bundles_whatever_the_configured_rate_and_the_governor_say(analysis, lesson):
    room = analysis(inference={"classify_rate_hz": 0.5})
    room.set_rates(Rates(classify_hz=0.5, scan_hz=1.0, follow_hz=12.0))
    for frame in lesson:
        room.process(frame)
    assert room.classify_hz == pytest.approx(1 / STRIDE_S)
    assert room.counters.classified > 0


def test_after_the_end_every_face_warms_up_again(analysis, lesson):
    room = analysis()
    for frame in lesson:
        room.process(frame)
    read = room.counters.classified
    room.end()
    for frame in lesson[:9]:  # three strides
        room.process(frame)
    assert room.counters.classified == read


def test_a_source_with_too_low_a_rate_says_so_and_reads_nobody(analysis, lesson, caplog):
    room = analysis()
    with caplog.at_level(logging.WARNING):
        for lap in range(4):
            for number, frame in enumerate(lesson[::12]):
                room.process(frame.__class__(frame.image_bgr, float(lap * 4 + number)))
    assert room.source_pace.is_too_slow
    assert "no face can be read" in caplog.text
    assert room.counters.classified == 0
    assert room.end().seen == 6


def test_a_bundle_that_wants_landmarks_is_refused_where_there_are_none(analysis):
    with pytest.raises(EngineError, match="there is no landmark network") as caught:
        analysis(network=TinySequence.drawn(landmarks=True))
    assert caught.value.hint


def test_a_device_without_a_landmark_network_says_so_before_it_starts(tmp_path, monkeypatch):
    bundle = open_bundle(write_sequence_bundle(tmp_path / "tiny", TinySequence.drawn(landmarks=True)))
    monkeypatch.setattr(
        "edge_runtime.inference.landmark_engine.landmarks_of", lambda bundle: tmp_path / "nowhere"
    )
    with pytest.raises(EngineError, match="tiny-sequence wants the distances of landmarks"):
        landmarks_for(bundle)


def test_a_bundle_of_crops_alone_needs_no_landmark_network(tmp_path):
    assert landmarks_for(open_bundle(write_sequence_bundle(tmp_path / "tiny", TinySequence.drawn()))) is None


@pytest.mark.parametrize(
    ("asked_hz", "readings"),
    [
        pytest.param(12.0, 4 / STRIDE_S - FRAMES, id="more often than its stride"),
        pytest.param(2.0, 4 * 2 - FRAMES, id="more seldom"),
    ],
)
def test_a_candidate_of_sequences_is_asked_at_its_own_stride_where_faces_come_as_often(
    analysis, lesson, tiny_original, tmp_path, asked_hz, readings
):
    """At 12 Hz a face gives 12 strides' readings in 4 s; frame by frame they would be 44 - from sequences of 0.4 s."""
    config = Config(inference=InferenceSection(classify_rate_hz=asked_hz))
    running = open_bundle(tiny_original)
    candidate = open_bundle(write_sequence_bundle(tmp_path / "candidate", TinySequence.drawn()))
    shadow = Shadow(candidate, open_engine(candidate, config.inference), running, config)
    with RoomAnalysis(config, running.manifest, open_engine(running, config.inference).engine) as room:
        room.shadow = shadow
        for frame in lesson:
            room.process(frame)
        room.end()
        first_lap = shadow.report().faces
        for frame in lesson:  # the clock of a film that begins again
            room.process(frame)
    assert 5 * readings <= first_lap <= 6 * (readings + 1)
    assert shadow.report().faces >= 2 * first_lap - 6
    assert not shadow.problem


class MeanFace:
    """A landmark network that finds the same face in every cut."""

    def regress(self, crops):
        points = np.random.default_rng(0).uniform(-0.7, 0.7, (1, 136)).astype(np.float32)
        return np.repeat(points, len(crops), axis=0), np.full(len(crops), np.log(0.02), np.float32)


def test_landmarks_are_found_for_a_network_that_wants_them(analysis, lesson):
    room = analysis(
        network=TinySequence.drawn(landmarks=True), landmarks=LandmarkFinder(MeanFace(), finds_irises=False)
    )
    for frame in lesson:
        room.process(frame)
    assert room.counters.classified > 0
    assert "landmarks" in room.spans.percentiles()
