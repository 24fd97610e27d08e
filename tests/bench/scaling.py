"""`make bench-scaling`: the loop's cost against faces, resolution, cameras and rates, and how well it is foretold.

Real faces: the seats of the benchmark clip before a picture without faces, packed so that a 1080p frame holds from none
to 50, resized to other heights, and written as motion JPEG. The costs that foretell a load are those of a `perf.json`,
measured on drawn faces by `roomtone profile device`; nothing is fitted here, so every row is a trial of the model.

Processor time is what counts: it is what a board runs out of, and other programs disturb it least.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.cameras import Cameras
from edge_runtime.capacity.model import error_of
from edge_runtime.capacity.perf import Check, Perf, read_perf
from edge_runtime.capacity.series import check
from edge_runtime.capacity.work import Work, work
from edge_runtime.config import CameraSection, Config, DeviceSection, trial_config
from edge_runtime.frames.frame import EndOfSource, Frame
from edge_runtime.frames.opening import open_source
from edge_runtime.inference.opening import open_engine

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "videos"
MOSAIC = SHARED / "mosaic_1080p.mp4"
FPS = 25.0
FRAMES = 100  # of each run: 4 s
WIDTH, HEIGHT, COLUMNS, ROWS = 1920, 1080, 10, 5
FACES = (0, 6, 12, 24, 36, 50)
HEIGHTS = (360, 720, 1080, 1440, 2160)
CAMERAS = (2, 4, 8)
TOGETHER = (2, 4)
CLASS = 24


@dataclass(frozen=True)
class Row:
    """One configuration; `study` says which curve it belongs to."""

    study: str
    check: Check


def seats(boxes_xywh: list[list[list[float]]]) -> list[tuple[int, int, int]]:
    """Where each seat's face is on the whole, and half the side of what shows it: (x, y, half), px."""
    found: list[list[np.ndarray]] = []
    for boxes in boxes_xywh[::10]:
        for x, y, w, h in boxes:
            place = np.array([x + w / 2, y + h / 2, max(w, h)])
            near = next((seat for seat in found if np.abs(seat[0][:2] - place[:2]).max() < 70), None)
            if near is None:
                found.append([place])
            else:
                near.append(place)
    middles = [np.median(np.stack(seat), axis=0) for seat in found]
    cell = min(WIDTH // COLUMNS, HEIGHT // ROWS) // 2 - 2
    return [(int(x), int(y), int(min(cell, 1.1 * side))) for x, y, side in middles]


def packed(film: list[np.ndarray], places: list[tuple[int, int, int]], faces: int) -> Iterator[np.ndarray]:
    """Frames with so many seats, in a grid; from the second round on, seats are shifted in time."""
    _, scene = cv2.VideoCapture(str(SHARED / "no_face.mp4")).read()
    background = cv2.resize(scene, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for number in range(FRAMES):
        frame = background.copy()
        for cell in range(faces):
            x, y, half = places[cell % len(places)]
            source = film[(number + 60 * (cell // len(places))) % len(film)]
            y0, x0 = max(0, y - half), max(0, x - half)
            seat = source[y0 : y + half, x0 : x + half]
            row, column = divmod(cell, COLUMNS)
            top, left = row * (HEIGHT // ROWS) + 4, column * (WIDTH // COLUMNS) + 4
            frame[top : top + seat.shape[0], left : left + seat.shape[1]] = seat
        yield frame


def write(path: Path, frames: Iterator[np.ndarray], height_px: int) -> Path:
    """As motion JPEG."""
    size = round(height_px * 16 / 9), height_px
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, size)
    for frame in frames:
        method = cv2.INTER_AREA if height_px < HEIGHT else cv2.INTER_LINEAR
        writer.write(frame if height_px == HEIGHT else cv2.resize(frame, size, interpolation=method))
    writer.release()
    return path


def configured(path: Path, *, scan: float = 2.0, classify: float = 2.0, scan_width: int = 960) -> Config:
    """The trial's settings with other rates."""
    config = trial_config()
    return config.model_copy(
        update={
            "camera": CameraSection(source=str(path)),
            "faces": config.faces.model_copy(update={"scan_rate_hz": scan, "scan_width_px": scan_width}),
            "inference": config.inference.model_copy(update={"classify_rate_hz": classify}),
        }
    )


def measured(config: Config) -> Work:
    """The loop over the whole film, decoding counted."""
    bundle = open_bundle(default_bundle_path())
    engine = open_engine(bundle, config.inference).engine
    engine.logits(bundle.golden.crops)

    def frames() -> Iterator[Frame]:
        with open_source(config.camera, grey=True) as source:
            while True:
                try:
                    frame = source.read(30.0)
                except EndOfSource:
                    return
                if frame is not None:
                    yield frame

    return work(config, bundle, engine, frames(), FPS)


def together(path: Path, cameras: int) -> float:
    """Cores that one process takes for so many cameras, opening of the engine not counted."""
    configs = [
        configured(path).model_copy(update={"device": DeviceSection(room=f"room-{number}")})
        for number in range(cameras)
    ]
    with Cameras([lambda config=config: config for config in configs]) as agents:
        before_s = time.process_time()
        agents.run(until_end=True)
        return (time.process_time() - before_s) / (FRAMES / FPS)


def several(check_of_one: Check, cores: float, cameras: int, source: str) -> Check:
    """The same configuration on several cameras."""
    return check_of_one.model_copy(
        update={
            "source": source,
            "cameras": cameras,
            "measured_cores": round(cores, 4),
            "predicted_cores": round(check_of_one.predicted_cores * cameras, 4),
        }
    )


def study(perf: Perf, folder: Path) -> list[Row]:
    """All configurations, one after the other."""
    capture, film = cv2.VideoCapture(str(MOSAIC)), []
    while (read := capture.read())[0]:
        film.append(read[1])
    places = seats(json.loads(MOSAIC.with_suffix(".json").read_text())["boxes_xywh"])
    rows: list[Row] = []

    def add(name: str, source: str, path: Path, height: int = HEIGHT, **rates: float) -> Check:
        print(f"{name}: {source}, {height}p {rates or ''}", file=sys.stderr, flush=True)
        config = configured(path, **rates)  # type: ignore[arg-type]
        done = check(
            perf, config, measured(config), source=source, height_px=height, fps=FPS, with_decoding=True
        )
        rows.append(Row(name, done))
        return done

    clips = {n: write(folder / f"{n}.avi", packed(film, places, n), HEIGHT) for n in FACES}
    for path in clips.values():
        add("faces", "real faces", path)
    for height in HEIGHTS:
        path = folder / f"{height}p.avi"
        add("resolution", "real faces", write(path, packed(film, places, CLASS), height), height)
        path.unlink()
    for rates in ({"scan": 1.0, "classify": 1.0}, {"scan": 4.0, "classify": 4.0}, {"scan_width": 1280}):
        add("rates", "real faces", clips[CLASS], **rates)
    add("codec", "real faces, H.264", MOSAIC)
    one = next(row.check for row in rows if row.study == "faces" and round(row.check.faces) >= CLASS - 2)
    rows.append(Row("cameras", one))
    config = configured(clips[CLASS])
    for cameras in CAMERAS:
        print(f"cameras: {cameras} processes", file=sys.stderr, flush=True)
        with multiprocessing.get_context("spawn").Pool(cameras) as pool:
            cores = sum(done.cores for done in pool.map(measured, [config] * cameras, chunksize=1))
        rows.append(Row("cameras", several(one, cores, cameras, "real faces, processes")))
    for cameras in TOGETHER:
        print(f"cameras: {cameras} in one agent", file=sys.stderr, flush=True)
        cores = together(clips[CLASS], cameras)
        rows.append(Row("together", several(one, cores, cameras, "real faces, one process")))
    return rows


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| study | cameras | height | faces | readable | scans/s | classifications/s | cores | foretold | off by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        it = row.check
        name = row.study if it.source == "real faces" else f"{row.study} ({it.source.partition(', ')[2]})"
        lines.append(
            f"| {name} | {it.cameras} | {it.height_px}p | {it.faces:.1f} | {it.readable:.1f} | {it.scan_rate_hz:g} "
            f"at {it.scan_width_px} px | {it.classify_rate_hz:g} | {it.measured_cores:.3f} | {it.predicted_cores:.3f} "
            f"| {it.measured_cores / it.predicted_cores - 1:+.0%} |"
        )
    return "\n".join(lines)


def plot(rows: list[Row], path: Path) -> None:
    """Measured and foretold cores against faces, resolution and cameras."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    curves = (
        ("faces", "faces of a 1080p frame", lambda it: it.faces),
        (
            "resolution",
            f"megapixels of a frame with {CLASS} faces",
            lambda it: it.height_px**2 * 16 / 9 / 1e6,
        ),
        ("cameras", f"cameras with {CLASS} faces, as processes", lambda it: it.cameras),
    )
    for axes, (name, label, place) in zip(panels, curves, strict=True):
        chosen = [row.check for row in rows if row.study == name]
        places = [place(it) for it in chosen]
        axes.plot(places, [it.predicted_cores for it in chosen], color="#3b6ea5", label="foretold")
        axes.plot(places, [it.measured_cores for it in chosen], "o", color="#a5473b", label="measured")
        if name == "cameras":
            both = [row.check for row in rows if row.study == "together"]
            axes.plot(
                [it.cameras for it in both],
                [it.measured_cores for it in both],
                "x",
                color="#a5473b",
                label="measured, one process",
            )
        axes.set_xlabel(label)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    panels[0].set_ylabel("cores (1.0 = one core all the time)")
    figure.savefig(path, dpi=120)


def main() -> int:
    """Runs the study and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--perf", type=Path, required=True, help="of this board: roomtone profile device --out FILE"
    )
    parser.add_argument("--update", action="store_true", help="keep the rows in that file as its checks, too")
    parser.add_argument("--plot", type=Path, help="picture to write, .png")
    arguments = parser.parse_args()
    if not MOSAIC.exists():
        print(f"no clip at {MOSAIC}", file=sys.stderr)
        return 1
    perf = read_perf(arguments.perf)
    with tempfile.TemporaryDirectory(prefix="roomtone-scaling-") as folder:
        rows = study(perf, Path(folder))
    print(table(rows))
    off = sorted(abs(row.check.measured_cores / row.check.predicted_cores - 1) for row in rows)
    nine = np.percentile(off, 90)
    print(f"\noff by {np.median(off):.0%} in the median, {nine:.0%} in nine of ten, {off[-1]:.0%} at most")
    if arguments.update:
        own = [it for it in perf.checks if not it.source.startswith("real faces")]
        perf = perf.model_copy(update={"checks": own + [row.check for row in rows]})
        arguments.perf.write_text(perf.to_json())
        print(f"{arguments.perf} is told with ± {error_of(perf):.0%} from now on", file=sys.stderr)
    if arguments.plot:
        plot(rows, arguments.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
