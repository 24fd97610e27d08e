from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from export_parts import drawn_faces

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.frames.simulation.controls import VALENCE_AROUSAL
from export.training.sequences.clips import Clips, load_clips, save_clips, stacked
from export.training.sequences.grown import FRAME, grown_clips, morphed, stills
from export.training.sequences.marking import marked
from export.training.sequences.sets import label_shares
from export.training.sequences.simulated import simulated_clips

STRIDE_S = 0.25


@pytest.fixture(scope="module")
def simulated() -> Clips:
    return simulated_clips(14, FER_LABELS, 6, STRIDE_S, seed=3)


@pytest.fixture(scope="module")
def grown() -> Clips:
    faces = drawn_faces(42, seed=1)
    return grown_clips(faces, label_shares(faces, FER_LABELS, 0.0), 21, FER_LABELS, 6, STRIDE_S, seed=3)


def test_classes_take_turns_by_what_is_true_of_the_newest_frame(simulated: Clips, grown: Clips) -> None:
    for clips in (simulated, grown):
        assert (clips.labels == np.arange(len(clips)) % 7).all()
        assert clips.frames == 6


def test_the_same_seed_gives_the_same_people_and_another_one_others(simulated: Clips) -> None:
    again, others = (simulated_clips(2, FER_LABELS, 6, STRIDE_S, seed=seed) for seed in (3, 4))
    assert (again.images == simulated.images[:2]).all()
    assert (others.images != again.images).mean() > 0.5


def test_simulated_landmarks_lie_on_the_face_and_their_pupils_are_the_pupils(simulated: Clips) -> None:
    assert (simulated.landmarks_xy[:, :, 68:] == simulated.pupils_xy).all()
    middle = simulated.landmarks_xy[:, :, 27:31].mean(axis=(2, 3))
    assert (np.abs(middle - 47.5) < 12).all()
    assert (simulated.pupils_xy[:, :, 1, 0] > simulated.pupils_xy[:, :, 0, 0]).all()


def test_a_simulated_expression_is_in_its_quarter_of_the_plane(simulated: Clips) -> None:
    for index, label in enumerate(FER_LABELS):
        valence, _ = VALENCE_AROUSAL[label]
        found = simulated.valence_arousal[simulated.labels == index, -1]
        if label != "neutral":
            assert (np.sign(found[:, 0]) == np.sign(valence)).all(), label
    assert np.abs(simulated.valence_arousal).max() <= 1


def test_a_grown_clip_begins_or_ends_in_an_apex_and_moves_on_the_way(grown: Clips) -> None:
    happy = grown.rows(np.flatnonzero(grown.labels == FER_LABELS.index("happy")))
    place = np.array(VALENCE_AROUSAL["happy"])
    share = happy.valence_arousal[:, -1] / place
    assert (share >= 0.4).all()  # from here on a face bears the label
    assert (share <= 1).all()
    np.testing.assert_allclose(share[:, 0], share[:, 1], atol=1e-5)
    assert np.isnan(grown.landmarks_xy).all()
    assert (grown.pupils_xy == [[28, 28], [FRAME.size_px - 28, 28]]).all()


def test_a_way_begins_at_one_face_and_ends_at_the_other() -> None:
    rng = np.random.default_rng(0)
    rest, apex = rng.integers(0, 256, (2, 80, 80), np.uint8)
    frames = morphed(rest, apex, np.array([0.0, 0.5, 1.0]))
    assert (frames[0] == rest).all()
    assert (frames[2] == apex).all()
    assert frames[1].std() < rest.std()  # a mean of both


def test_what_moves_is_moved_and_not_faded() -> None:
    rest, apex = np.full((2, 80, 80), 40, np.uint8)
    rows, columns = np.mgrid[:80, :80]
    for image, x in ((rest, 34), (apex, 42)):
        blob = np.exp(-((columns - x) ** 2 + (rows - 40) ** 2) / (2 * 6.0**2))
        image[:] = (40 + 180 * blob).astype(np.uint8)
    half = morphed(rest, apex, np.array([0.5]))[0].astype(float) - 40
    centre = (half * columns).sum() / half.sum()
    assert centre == pytest.approx(38, abs=1)
    faded = (rest.astype(float) + apex) / 2 - 40
    spread, faded_spread = (
        np.sqrt((image * (columns - 38) ** 2).sum() / image.sum()) for image in (half, faded)
    )
    assert spread < faded_spread - 0.5


def test_votes_are_blended_into_what_a_photograph_teaches() -> None:
    faces = drawn_faces(2, seed=1)  # angry and disgust
    votes = np.zeros((2, 10), np.uint8)
    votes[0, 0], votes[0, 4] = 4, 4  # half of the raters say neutral, half angry
    voted = type(faces)(faces.images, faces.labels, faces.located, votes)
    shares = label_shares(voted, FER_LABELS, 0.5)
    assert shares[0].tolist() == [0.75, 0, 0, 0, 0, 0, 0.25]
    assert shares[1].tolist() == [0, 1, 0, 0, 0, 0, 0]  # nobody rated it
    assert label_shares(voted, FER_LABELS, 0.0)[0].tolist() == [1, 0, 0, 0, 0, 0, 0]


def test_photographs_are_clips_of_one_frame() -> None:
    faces = drawn_faces(7, seed=1)
    found = stills(faces, label_shares(faces, FER_LABELS, 0.0), FER_LABELS)
    assert found.images.shape[:2] == (7, 1)
    assert found.valence_arousal[3, 0].tolist() == pytest.approx(VALENCE_AROUSAL["happy"])


def test_landmarks_of_clips_are_found_as_a_device_finds_them(simulated: Clips) -> None:
    known = simulated.rows(np.arange(3))
    found = marked(replace(known, landmarks_xy=np.full_like(known.landmarks_xy, np.nan)))
    apart = np.linalg.norm(known.landmarks_xy[:, :, 45] - known.landmarks_xy[:, :, 36], axis=-1)
    far = np.linalg.norm(found.landmarks_xy - known.landmarks_xy, axis=-1)[:, :, :68].mean(axis=-1) / apart
    assert np.nanmean(far) < 0.09
    assert np.isfinite(far).mean() > 0.9
    alone = marked(known.rows(np.array([2])))  # no neighbour is seen
    np.testing.assert_allclose(alone.landmarks_xy[:, :, :68], found.landmarks_xy[2:, :, :68], atol=1.0)


def test_clips_without_a_face_have_no_landmarks(grown: Clips) -> None:
    wall = replace(grown, images=np.full_like(grown.images, 128))
    assert np.isnan(marked(wall.rows(np.array([0]))).landmarks_xy).all()


def test_clips_survive_their_file_and_a_cut_one_is_named(simulated: Clips, tmp_path: Path) -> None:
    path = tmp_path / "clips" / "some.npz"
    save_clips(path, simulated)
    found = load_clips(path)
    assert (found.images == simulated.images).all()
    assert (found.shares == simulated.shares).all()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigurationError, match=r"(?s)some\.npz.*cannot be read as clips") as failure:
        load_clips(path)
    assert "made anew" in failure.value.hint


def test_frames_and_rows_of_clips(simulated: Clips) -> None:
    picked = simulated.frame(np.array([2, 5]), np.array([0, 3]))
    assert picked.images.shape[:2] == (2, 1)
    assert (picked.images[1, 0] == simulated.images[5, 3]).all()
    both = stacked([simulated.rows(np.array([0])), simulated.rows(np.array([7, 8]))])
    assert (both.images == simulated.images[[0, 7, 8]]).all()


def test_arrays_of_other_clips_are_refused(simulated: Clips) -> None:
    with pytest.raises(ValueError, match="pupils_xy is"):
        Clips(
            simulated.images,
            simulated.pupils_xy[:3],
            simulated.landmarks_xy,
            simulated.shares,
            simulated.valence_arousal,
        )
