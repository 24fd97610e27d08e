"""Rings of features: the same answer as from the whole sequence at once; who warms up, and who begins anew."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from sequence_bundles import FRAMES, STRIDE_S, TinySequence, write_sequence_bundle

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import EngineError
from edge_runtime.faces.crops import Crops
from edge_runtime.inference.classifier import softmax
from edge_runtime.inference.opening import open_engine
from edge_runtime.inference.sequences import FeatureRings, SequenceClassifier, SourcePace

BOX = (100.0, 100.0, 160.0, 160.0)


def crops_of(tracks, images, boxes=None):
    count = len(tracks)
    boxes = np.tile(np.float32(BOX), (count, 1)) if boxes is None else np.float32(boxes)
    return Crops(
        images,
        np.array(tracks, np.int64),
        np.zeros(count),
        np.ones(count, np.bool_),
        np.full(count, 50, np.float32),
        boxes,
    )


@pytest.fixture(scope="module")
def network():
    return TinySequence.drawn()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, network):
    return open_bundle(write_sequence_bundle(tmp_path_factory.mktemp("sequences") / "tiny", network))


@pytest.fixture(params=["onnxruntime", "openvino"])
def classifier(request, bundle):
    engine = open_engine(bundle, InferenceSection(backend=request.param)).engine
    return SequenceClassifier(engine, bundle.manifest, max_batch=3)


def ids(*tracks):
    return np.array(tracks, np.int64)


def test_cached_frames_give_what_the_whole_sequence_gives_at_every_step(classifier, network):
    steps = 2 * FRAMES + 1
    images = np.random.default_rng(5).integers(0, 256, (steps, 4, 96, 96), np.uint8)
    tracks = [7, 3, 12, 5]
    for step in range(steps):
        order = np.roll(np.arange(4), step)  # faces come in any order
        ready, probabilities, dimensions = classifier.read(
            step * STRIDE_S, crops_of([tracks[row] for row in order], images[step, order])
        )
        if step < FRAMES - 1:
            assert not ready.any()
            assert probabilities.shape == (0, 7)
            continue
        window = images[step - FRAMES + 1 : step + 1, order].swapaxes(0, 1)
        logits = network.logits(window)
        assert ready.all()
        np.testing.assert_allclose(probabilities, softmax(logits.copy(), 1.5), atol=1e-4)
        np.testing.assert_allclose(dimensions, np.tanh(logits[:, :2]), atol=1e-4)


def test_faces_of_different_ages_share_a_batch(classifier, network):
    images = np.random.default_rng(6).integers(0, 256, (FRAMES + 2, 2, 96, 96), np.uint8)
    for step in range(FRAMES + 2):
        rows = [0, 1] if step >= 2 else [0]
        ready, probabilities, _ = classifier.read(
            step * STRIDE_S, crops_of([1 + row for row in rows], images[step, rows])
        )
        assert ready.tolist() == [step >= FRAMES - 1, step >= FRAMES + 1][: len(rows)]
    wanted = network.logits(images[2:].swapaxes(0, 1))
    np.testing.assert_allclose(probabilities, softmax(wanted, 1.5), atol=1e-4)


def test_nobody_is_legal(classifier):
    ready, probabilities, dimensions = classifier.read(0.0, crops_of([], np.empty((0, 96, 96), np.uint8)))
    assert (ready.shape, probabilities.shape, dimensions.shape) == ((0,), (0, 7), (0, 2))


def test_a_logit_that_is_no_number_stays_in_no_ring(bundle):
    class Broken:
        engine = open_engine(bundle, InferenceSection()).engine
        report = engine.report
        fails = False

        def encode(self, crops, given=None):
            return np.full((len(crops), 8), np.nan if self.fails else 0.5, np.float32)

        def head(self, sequences):
            return self.engine.head(sequences)

    engine = Broken()
    classifier = SequenceClassifier(engine, bundle.manifest, max_batch=8)
    crops = crops_of([1], np.zeros((1, 96, 96), np.uint8))
    for step in range(FRAMES - 1):
        classifier.read(step * STRIDE_S, crops)
    engine.fails = True
    with pytest.raises(EngineError, match="not finite"):
        classifier.read((FRAMES - 1) * STRIDE_S, crops)
    engine.fails = False
    ready, *_ = classifier.read(FRAMES * STRIDE_S, crops)
    assert not ready.any()


# Rings by themselves: features are numbers that tell where they came from.


@pytest.fixture
def rings():
    return FeatureRings(4, 1, stride_s=0.5)


def push(rings, now_s, value, track=1, box=BOX):
    rings.push(now_s, ids(track), np.float32([box]), np.float32([[value]]))


def kept(rings, track=1):
    return rings.sequences(ids(track))[0, :, 0].tolist() if rings.are_full(ids(track))[0] else None


def test_the_oldest_frame_comes_first_and_leaves_first(rings):
    for step in range(7):
        push(rings, step * 0.5, step)
    assert kept(rings) == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("gap_strides", "wanted"),
    [
        pytest.param(0.6, [1, 2, 3, 9], id="early"),
        pytest.param(1.0, [1, 2, 3, 9], id="in time"),
        pytest.param(1.4, [1, 2, 3, 9], id="late"),
        pytest.param(2.0, [2, 3, 3, 9], id="one missing is held"),
        pytest.param(2.5, [2, 3, 3, 9], id="the longest gap"),
        pytest.param(2.6, None, id="too long"),
        pytest.param(50.0, None, id="a pause"),
        pytest.param(-1.0, None, id="a clock that was set back"),
    ],
)
def test_frames_missing_inside_a_window(rings, gap_strides, wanted):
    for step in range(4):
        push(rings, step * 0.5, step)
    push(rings, 1.5 + gap_strides * 0.5, 9)
    assert kept(rings) == wanted
    assert rings.restarts == (wanted is None)


def test_jitter_of_the_camera_neither_holds_nor_restarts(rings):
    jitter = np.random.default_rng(0).uniform(-0.1, 0.1, 40)
    for step, shift in enumerate(jitter):
        push(rings, step * 0.5 + shift, step)
    assert kept(rings) == [36, 37, 38, 39]
    assert (rings.held, rings.restarts) == (0, 0)


def test_a_broken_track_begins_anew_even_where_another_gets_its_place(rings):
    for step in range(4):
        push(rings, step * 0.5, step, track=1)
        push(rings, step * 0.5, 100 + step, track=2)
    rings.keep_only(ids(2))
    push(rings, 2.0, 50, track=3)
    assert kept(rings, 3) is None
    assert kept(rings, 2) == [100, 101, 102, 103]
    for step in range(5, 8):
        push(rings, step * 0.5, step, track=3)
    assert kept(rings, 3) == [50, 5, 6, 7]
    assert kept(rings, 1) is None


@pytest.mark.parametrize(
    ("box", "is_same"),
    [
        pytest.param((130, 110, 190, 170), True, id="leans over"),
        pytest.param((95, 95, 170, 170), True, id="leans forward"),
        pytest.param((300, 100, 360, 160), False, id="a neighbour's place"),
        pytest.param((80, 80, 200, 200), False, id="twice as large"),
        pytest.param((115, 115, 145, 145), False, id="half as large"),
    ],
)
def test_a_track_that_jumps_to_another_face_begins_anew(rings, box, is_same):
    for step in range(4):
        push(rings, step * 0.5, step)
    push(rings, 2.0, 9, box=box)
    assert kept(rings) == ([1, 2, 3, 9] if is_same else None)


def test_two_tracks_that_swap_their_faces_are_never_mixed(rings):
    left, right = BOX, (400.0, 100.0, 460.0, 160.0)
    for step in range(4):
        rings.push(step * 0.5, ids(1, 2), np.float32([left, right]), np.float32([[step], [100 + step]]))
    for step in range(4, 8):
        rings.push(step * 0.5, ids(1, 2), np.float32([right, left]), np.float32([[100 + step], [step]]))
        if step < 7:
            assert not rings.are_full(ids(1, 2)).any()
    assert kept(rings, 1) == [104, 105, 106, 107]
    assert kept(rings, 2) == [4, 5, 6, 7]


def test_memory_is_that_of_the_tracks_alive():
    rings = FeatureRings(4, 1, stride_s=0.5)
    for step in range(200):
        push(rings, step * 0.5, step, track=step)
        rings.keep_only(ids(step))
    assert len(rings._features) == 8


# The source's rate.


@pytest.mark.parametrize(
    ("interval_s", "says"),
    [
        pytest.param(0.25, None, id="as wanted"),
        pytest.param(0.3, None, id="a little slow"),
        pytest.param(0.5, "read from sequences that run too fast", id="half"),
        pytest.param(1.0, "no face can be read", id="a frame a second"),
    ],
)
def test_a_source_that_is_too_slow_is_told_once_and_in_words(caplog, interval_s, says):
    pace = SourcePace(stride_s=0.25)
    with caplog.at_level(logging.INFO):
        for step in range(40):
            pace.saw(step * interval_s)
    assert pace.is_too_slow == (says is not None)
    assert pace.interval_s == pytest.approx(interval_s)
    assert len(caplog.records) == (says is not None)
    if says is not None:
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert says in record.getMessage()
        assert "4 frames/s" in record.getMessage()


def test_a_source_that_recovers_is_told_and_a_pause_is_no_slowness(caplog):
    pace, now_s = SourcePace(stride_s=0.25), 0.0
    with caplog.at_level(logging.INFO):
        for interval_s in [0.25] * 20 + [600.0] + [0.25] * 20 + [1.0] * 20 + [0.25] * 20:
            now_s += interval_s
            pace.saw(now_s)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert not pace.is_too_slow
