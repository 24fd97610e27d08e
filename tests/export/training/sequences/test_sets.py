from pathlib import Path

import cv2
import numpy as np
import pytest
from export_parts import drawn_faces

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.labelled import FER_LABELS
from export.training.sequences import sets
from export.training.sequences.recipe import SequenceRecipe
from export.training.sequences.sets import made_sets

RECIPE = SequenceRecipe(simulated=7, grown=7)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An archive of drawn faces, in the layout of FER2013's."""
    faces = drawn_faces(28, seed=1)
    path = tmp_path / "faces.npz"
    split = np.arange(28) // 14  # training, then public
    np.savez(path, images=faces.images, labels=faces.labels, split=split)
    return path


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "CHOOSING", 7)


def test_sets_are_made_once_and_read_again(data: Path, tmp_path: Path) -> None:
    made: list[str] = []
    first = made_sets(RECIPE, 3, data, tmp_path / "clips", lambda name, done, total: made.append(name))
    assert {"simulated, set 0", "simulated, set 1", "grown, training", "grown, public"} <= set(made)
    made.clear()
    second = made_sets(RECIPE, 3, data, tmp_path / "clips", lambda name, done, total: made.append(name))
    assert not [name for name in made if name.startswith(("simulated", "grown"))]
    training, choosing, names = second
    assert names == FER_LABELS
    assert (training.simulated.images == first[0].simulated.images).all()
    assert training.photographs is not None
    assert (len(training.photographs), training.photographs.frames) == (14, 1)
    for clips in (training.photographs, training.grown, *choosing):
        assert np.isfinite(clips.landmarks_xy[:, :, :68]).mean() > 0.8
    assert [clips.frames for clips in choosing] == [3, 3]


def test_without_photographs_all_are_simulated(tmp_path: Path) -> None:
    training, choosing, names = made_sets(RECIPE, 3, None, tmp_path)
    assert (training.grown, training.photographs, names) == (None, None, FER_LABELS)
    assert len(choosing) == 1


def test_nobody_is_in_two_sets(tmp_path: Path) -> None:
    training, (choosing,), _ = made_sets(RECIPE, 3, None, tmp_path)
    assert (training.simulated.images != choosing.images).mean() > 0.5


def test_other_wishes_make_another_set(tmp_path: Path) -> None:
    made_sets(RECIPE, 3, None, tmp_path)
    made_sets(SequenceRecipe(simulated=7, stride_s=0.5), 3, None, tmp_path)
    assert len(list(tmp_path.glob("simulated-0-*.npz"))) == 2


def test_classes_that_cannot_be_simulated_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    for split in ("training", "public"):
        for name in ("happy", "contempt"):
            (folder / split / name).mkdir(parents=True)
            cv2.imwrite(str(folder / split / name / "1.png"), drawn_faces(1, seed=1).images[0])
    with pytest.raises(ConfigurationError, match="contempt: cannot be simulated") as failure:
        made_sets(RECIPE, 3, folder, tmp_path / "clips")
    assert "neutral: is no class of it" in str(failure.value)
