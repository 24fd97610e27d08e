"""A folder of images as a source."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import FrameError, SourceUnavailableError
from edge_runtime.frames.folder import SECONDS_PER_IMAGE, ImageFolder
from edge_runtime.frames.frame import EndOfSource, Frame


def write_grey(path: Path, value: int, size: tuple[int, int] = (4, 4)) -> None:
    path.write_bytes(cv2.imencode(path.suffix, np.full(size, value, np.uint8))[1].tobytes())


def drain(source: ImageFolder) -> list[Frame]:
    frames = []
    while True:
        try:
            frame = source.read()
        except EndOfSource:
            return frames
        assert frame is not None
        frames.append(frame)


def test_images_come_in_natural_order_one_a_second(tmp_path: Path):
    for value, name in enumerate(["a1.png", "A2.PNG", "a10.png", "b.bmp"]):
        write_grey(tmp_path / name, value)

    with ImageFolder(tmp_path, camera_id="slides") as source:
        frames = drain(source)

    assert [int(frame.image_bgr[0, 0, 0]) for frame in frames] == [0, 1, 2, 3]
    assert [frame.timestamp_s for frame in frames] == [0, 1, 2, 3]
    assert SECONDS_PER_IMAGE == 1
    assert {frame.camera_id for frame in frames} == {"slides"}
    assert source.counters.frames == 4
    assert not source.is_live


def test_other_files_hidden_files_and_folders_are_left_out(tmp_path: Path):
    write_grey(tmp_path / "1.png", 1)
    (tmp_path / "notes.txt").write_text("seat plan")
    (tmp_path / "._1.png").write_bytes(b"resource fork")
    (tmp_path / "more.png").mkdir()

    assert len(drain(ImageFolder(tmp_path))) == 1


def test_images_may_differ_in_size(tmp_path: Path):
    write_grey(tmp_path / "1.png", 1, (4, 6))
    write_grey(tmp_path / "2.png", 2, (9, 3))

    assert [frame.image_bgr.shape for frame in drain(ImageFolder(tmp_path))] == [(4, 6, 3), (9, 3, 3)]


def test_an_unreadable_image_is_counted_named_in_the_log_and_keeps_its_second(tmp_path: Path, caplog):
    write_grey(tmp_path / "1.png", 1)
    (tmp_path / "2.png").write_bytes(b"\x89PNG broken")
    (tmp_path / "3.png").write_bytes(b"")
    write_grey(tmp_path / "4.png", 4)

    source = ImageFolder(tmp_path)
    with caplog.at_level(logging.WARNING):
        frames = drain(source)

    assert [frame.timestamp_s for frame in frames] == [0, 3]
    assert source.counters.corrupt == 2
    assert [record.getMessage().count(".png:") for record in caplog.records] == [1, 1]


def test_an_image_that_vanishes_while_the_folder_is_read_is_skipped(tmp_path: Path):
    write_grey(tmp_path / "1.png", 1)
    write_grey(tmp_path / "2.png", 2)
    source = ImageFolder(tmp_path)
    (tmp_path / "2.png").unlink()

    assert len(drain(source)) == 1
    assert source.counters.corrupt == 1


def test_a_folder_of_unreadable_images_only_is_an_error(tmp_path: Path):
    (tmp_path / "1.png").write_bytes(b"broken")
    (tmp_path / "2.png").write_bytes(b"broken")

    with pytest.raises(FrameError, match="none of its 2 images"):
        ImageFolder(tmp_path).read()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("empty", "holds no image", id="empty folder"),
        pytest.param("gone", "No such file", id="missing"),
    ],
)
def test_a_folder_without_images_cannot_be_opened(tmp_path: Path, name, problem):
    (tmp_path / "empty").mkdir()

    with pytest.raises(SourceUnavailableError, match=problem) as caught:
        ImageFolder(tmp_path / name)

    assert caught.value.hint


def test_the_end_comes_again_and_again_until_the_source_is_closed(tmp_path: Path):
    write_grey(tmp_path / "1.png", 1)
    source = ImageFolder(tmp_path)
    drain(source)

    with pytest.raises(EndOfSource):
        source.read()
    source.close()
    source.close()
    with pytest.raises(SourceUnavailableError, match="was closed"):
        source.read()


@pytest.mark.realdata
def test_a_photograph_is_a_folder_of_one(shared_data: Path):
    with ImageFolder(shared_data / "images" / "group_6.jpg") as source:
        assert [frame.image_bgr.ndim for frame in drain(source)] == [3]
