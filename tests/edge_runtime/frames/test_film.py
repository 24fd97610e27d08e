"""Films: complete and cut short, as fast as possible and at their own pace."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import FrameError, SourceUnavailableError
from edge_runtime.frames.containers import is_cut_short
from edge_runtime.frames.film import FRAMES_AHEAD, Film
from edge_runtime.frames.frame import EndOfSource, Frame

PEXELS = "WolfgangLanger_Pexels.mp4"  # its index stands in front, so a cut copy still opens


def write_film(path: Path, values: range, fps: float = 20.0) -> Path:
    """A film of evenly grey frames with the given values; Motion JPEG in AVI, which OpenCV can write."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for value in values:
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def cut(source: Path, target: Path, fraction: float) -> Path:
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * fraction)])
    return target


def frames_of(film: Film) -> Iterator[Frame]:
    while True:
        try:
            frame = film.read(10.0)
        except EndOfSource:
            return
        assert frame is not None
        yield frame


def drain(film: Film) -> list[Frame]:
    return list(frames_of(film))


def grey(frames: list[Frame]) -> list[int]:
    return [round(float(frame.image_bgr.mean())) for frame in frames]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "frames", "shape", "duration_s"),
    # Frame counts and sizes as in the data folder's README, or counted with another player
    [
        pytest.param("mosaic_1080p.mp4", 250, (1080, 1920, 3), 10.0, id="mp4 1080p"),
        pytest.param(PEXELS, 472, (360, 640, 3), 472 * 1001 / 24000, id="mp4 23.976 fps"),
        pytest.param("face_noface.mov", 169, None, 6.4, id="mov, variable rate"),
        pytest.param("head-pose-face-detection-female.gif", 23, (270, 480, 3), 1.9, id="gif"),
        pytest.param("no_face.mp4", 95, None, 3.95, id="mp4 that announces 98 frames and holds 95"),
    ],
)
def test_a_complete_film_gives_all_frames_with_rising_timestamps(
    shared_data: Path, name, frames, shape, duration_s
):
    with Film(shared_data / "videos" / name) as film:
        timestamps, shapes = [], set()
        for frame in frames_of(film):
            timestamps.append(frame.timestamp_s)
            shapes.add(frame.image_bgr.shape)

    assert shape is None or shapes == {shape}
    assert len(timestamps) == film.counters.frames == frames
    assert timestamps[0] == pytest.approx(0.0)
    assert np.all(np.diff(timestamps) > 0)
    assert timestamps[-1] == pytest.approx(duration_s, abs=0.1)
    assert (film.counters.corrupt, film.counters.dropped) == (0, 0)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "fraction"),
    [
        pytest.param(PEXELS, 0.2, id="mp4, a fifth"),
        pytest.param(PEXELS, 0.97, id="mp4, nearly all"),
        pytest.param("classroom.gif", 0.5, id="gif"),
    ],
)
def test_a_film_cut_short_gives_its_good_frames_and_counts_the_break(
    shared_data: Path, tmp_path: Path, caplog, name, fraction
):
    whole = shared_data / "videos" / name
    with Film(whole) as film:
        originals = {frame.timestamp_s: frame.image_bgr for frame in drain(film)}

    with caplog.at_level(logging.WARNING), Film(cut(whole, tmp_path / name, fraction)) as film:
        frames = drain(film)

    # A GIF has no index: FFmpeg fills its last picture up as far as it came.
    checked = frames[:-1] if name.endswith("gif") else frames
    assert 0.5 * fraction * len(originals) < len(frames) < len(originals)
    for frame in checked:
        np.testing.assert_array_equal(frame.image_bgr, originals[frame.timestamp_s])
    assert film.counters.corrupt == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "breaks off at" in caplog.text
    assert name in caplog.text


def test_an_avi_cut_short_is_recognised_too(tmp_path: Path):
    whole = write_film(tmp_path / "whole.avi", range(0, 200, 4))

    with Film(cut(whole, tmp_path / "cut.avi", 0.6)) as film:
        frames = drain(film)

    assert 0 < len(frames) < 50
    assert film.counters.corrupt == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    # Sizes worked out by hand from the containers' specifications
    [
        pytest.param(b"\0\0\0\x0cftypisom" + b"\0\0\0\x0amdatxx", False, id="mp4, whole"),
        pytest.param(b"\0\0\0\x0cftypisom" + b"\0\0\0\x0bmdatxx", True, id="mp4, one byte missing"),
        pytest.param(b"\0\0\0\x0cftypisom" + b"\0\0\0\x00mdatxx", False, id="mp4, last box up to the end"),
        pytest.param(
            b"\0\0\0\x0cftypisom" + b"\0\0\0\x01mdat" + b"\0" * 7 + b"\x11x", False, id="mp4, 64-bit size"
        ),
        pytest.param(
            b"\0\0\0\x0cftypisom" + b"\0\0\0\x01mdat" + b"\0" * 7 + b"\x12x", True, id="mp4, 64-bit, short"
        ),
        pytest.param(b"\0\0\0\x0cftypisom" + b"\0\0\0", True, id="mp4, cut inside a box's header"),
        pytest.param(b"\0\0\0\x0cftypisom" + b"\0" * 40, False, id="mp4, padding behind"),
        pytest.param(b"RIFF\x08\0\0\0AVI xxxx", False, id="avi, whole"),
        pytest.param(b"RIFF\x09\0\0\0AVI xxxx", True, id="avi, one byte missing"),
        pytest.param(b"GIF89a....;", False, id="gif, whole"),
        pytest.param(b"GIF89a....;\0\0", False, id="gif, padded"),
        pytest.param(b"GIF89a....", True, id="gif, no trailer"),
        pytest.param(b"\x1aE\xdf\xa3 matroska", False, id="another container"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_missing_bytes_are_seen_from_the_containers_own_sizes(tmp_path: Path, content, expected):
    path = tmp_path / "film"
    path.write_bytes(content)

    assert is_cut_short(path) is expected


@pytest.mark.realdata
def test_a_film_without_its_index_cannot_be_opened(shared_data: Path, tmp_path: Path):
    path = cut(shared_data / "videos" / "mosaic_1080p.mp4", tmp_path / "mosaic.mp4", 0.7)

    with pytest.raises(SourceUnavailableError, match="index is missing") as caught:
        Film(path)

    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"minutes of the meeting\n" * 99, "is no film", id="text"),
    ],
)
def test_what_is_no_film_cannot_be_opened(tmp_path: Path, content, problem):
    path = tmp_path / "lesson.mp4"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SourceUnavailableError, match=problem) as caught:
        Film(path)

    assert caught.value.hint
    assert caught.value.source == str(path)


@pytest.mark.realdata
def test_a_film_that_opens_but_holds_no_frame_is_an_error(shared_data: Path, tmp_path: Path):
    with (
        Film(cut(shared_data / "videos" / PEXELS, tmp_path / "short.mp4", 0.02)) as film,
        pytest.raises(FrameError, match="no frame that can be decoded"),
    ):
        film.read(10.0)


@pytest.mark.realdata
def test_neither_opencv_nor_ffmpeg_writes_to_stderr(shared_data: Path, tmp_path: Path):
    short = cut(shared_data / "videos" / PEXELS, tmp_path / "short.mp4", 0.2)
    (tmp_path / "text.mp4").write_text("no film")
    script = """if True:
        import sys
        from pathlib import Path
        from edge_runtime.errors import SourceError
        from edge_runtime.frames.film import Film
        from edge_runtime.frames.frame import EndOfSource
        import logging
        logging.getLogger("edge_runtime").addHandler(logging.NullHandler())
        logging.getLogger("edge_runtime").propagate = False
        for path in sys.argv[1:]:
            try:
                with Film(Path(path), grey=True) as film:
                    while film.read(): pass
            except (SourceError, EndOfSource) as exc:
                print(type(exc).__name__)
    """
    arguments = [sys.executable, "-c", script, str(tmp_path / "text.mp4"), str(short)]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.split() == ["SourceUnavailableError", "EndOfSource"]
    assert ran.stderr == ""


@pytest.mark.realdata
def test_without_colour_a_frame_is_the_brightness_that_was_encoded(shared_data: Path):
    path = shared_data / "videos" / PEXELS
    with Film(path) as coloured, Film(path, grey=True) as film:
        for _ in range(3):
            seen, expected = film.read(), coloured.read()
            assert seen.image.shape == (360, 640)
            assert seen.image_bgr.shape == (360, 640, 3)
            full_range = (seen.image.astype(float) - 16) * 255 / 219  # ITU-R BT.601: black is 16, white 235
            assert np.abs(full_range - expected.image_grey).mean() < 3
            assert seen.timestamp_s == expected.timestamp_s


@pytest.mark.realdata
def test_a_film_that_has_no_brightness_of_its_own_keeps_its_colours(shared_data: Path):
    with Film(shared_data / "videos" / "classroom.gif", grey=True) as film:
        assert film.read().image.ndim == 3


def test_a_slow_reader_loses_no_frame_and_their_order_holds(tmp_path: Path):
    values = range(10, 250, 4)
    with Film(write_film(tmp_path / "steps.avi", values)) as film:
        frames = [film.read(10.0)]
        time.sleep(0.3)  # the decoder runs ahead as far as it may
        frames += drain(film)

    assert grey(frames) == pytest.approx(list(values), abs=2)
    assert film.counters.dropped == 0


def test_the_decoder_stays_few_frames_ahead(tmp_path: Path):
    film = Film(write_film(tmp_path / "steps.avi", range(200)))
    film.read(10.0)
    film._decoder.join(0.3)

    assert len(film._ready) == FRAMES_AHEAD
    assert film._decoder.is_alive()
    film.close()
    assert not film._decoder.is_alive()


def test_at_its_own_pace_a_film_drops_what_nobody_took_in_time(tmp_path: Path):
    path = write_film(tmp_path / "steps.avi", range(0, 200, 5), fps=20.0)  # 40 frames, 2 s
    frames = []
    with Film(path, realtime=True) as film:
        started_s = time.monotonic()
        for frame in frames_of(film):
            frames.append(frame)
            assert time.monotonic() - started_s >= frame.timestamp_s  # never early
            time.sleep(0.25)  # five frames

    timestamps = [frame.timestamp_s for frame in frames]
    assert film.is_live
    assert 2 <= len(frames) <= 10
    assert film.counters.dropped == 40 - len(frames)
    assert np.all(np.diff(timestamps) > 0)
    assert timestamps[-1] == pytest.approx(39 / 20)  # the last frame waits for its reader
    assert grey(frames) == pytest.approx([round(100 * t) for t in timestamps], abs=2)


def test_at_its_own_pace_a_film_begins_with_the_first_read(tmp_path: Path):
    with Film(write_film(tmp_path / "steps.avi", range(0, 200, 5)), realtime=True) as film:
        time.sleep(0.3)
        first = film.read(10.0)

    assert first is not None
    assert first.timestamp_s == 0
    assert film.counters.dropped == 0


def test_no_frame_in_time_is_none(tmp_path: Path):
    with Film(write_film(tmp_path / "slow.avi", range(20), fps=1.0), realtime=True) as film:
        assert film.read(10.0) is not None
        assert film.read(0.01) is None


def test_a_film_is_closed_at_any_moment_and_twice(tmp_path: Path):
    film = Film(write_film(tmp_path / "steps.avi", range(200)))
    film.read(10.0)
    film.close()
    film.close()

    with pytest.raises(SourceUnavailableError, match="was closed"):
        film.read()


def test_closing_wakes_a_reader_that_waits(tmp_path: Path):
    film = Film(write_film(tmp_path / "slow.avi", range(20), fps=1.0), realtime=True)
    film.read(10.0)
    closer = threading.Timer(0.1, film.close)
    closer.start()

    with pytest.raises(SourceUnavailableError):
        drain(film)
    closer.join()


def test_a_films_name_may_hold_any_character(tmp_path: Path):
    path = tmp_path / "Größe 教室 100%d #1.avi"
    shutil.copy(write_film(tmp_path / "plain.avi", range(0, 50, 10)), path)

    with Film(path) as film:
        assert len(drain(film)) == 5
