"""`make bench-cameras`: so many cameras on this board, each with the same film of a class of 22.

    capacity    the films as fast as they can be read, all at once, every rate as configured: film over wall time;
                1 is real time
    live        the films at their own pace for a while: the rates that the board held, frames that found no time,
                latency, and how equal the shares of the cameras are
    network     with --http: the same from network cameras, motion JPEG over HTTP, each read by a process of its own;
                what the server takes is not counted, what those processes take is

All are the agents of `roomtone run`, but for the broker. The film is decoded in the same process, once for each
camera: that is part of what is measured, as it would be with network cameras.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import threading
import time
from pathlib import Path

import cv2
from http_camera import serving
from loop import frames_of
from loops import Score, plain_loop

from edge_runtime.agent import RunSummary
from edge_runtime.board import read_board
from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.cameras import Cameras
from edge_runtime.config import Config, InferenceSection
from edge_runtime.inference.opening import open_engine
from edge_runtime.inference.shared_engine import BatchCounters

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "videos"


def configurations(film: Path | str, count: int, *, realtime: bool) -> list[Config]:
    """Of so many rooms."""
    return [
        Config.model_validate(
            {
                "device": {"room": f"room-{number}"},
                "camera": {"source": str(film), "realtime": realtime},
                "room": {"window_s": 10.0, "min_group": 1},
                "stats": {"interval_s": 3600.0},
            }
        )
        for number in range(count)
    ]


def run(
    film: Path | str, count: int, seconds: float | None
) -> tuple[list[RunSummary], float, float, BatchCounters]:
    """Summaries, wall time, processor time and the engine's calls; to the films' ends without `seconds`."""
    configs = configurations(film, count, realtime=seconds is not None)
    children_s = _children_s()
    with Cameras([lambda config=config: config for config in configs]) as cameras:
        (engine,) = cameras.resources.engines.in_use()
        timer = threading.Timer(seconds, cameras.stop) if seconds is not None else None
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        if timer is not None:
            timer.start()
        summaries = list(cameras.run(until_end=seconds is None).values())
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return summaries, wall_s, cpu_s + _children_s() - children_s, engine.counters


def _children_s() -> float:
    """Processor time of all processes that ended: those that read network cameras."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def spread(values: list[float]) -> str:
    """How far the least served is behind the best served."""
    return f"{1 - min(values) / max(values):.0%}" if max(values) else "–"


def film_length(film: Path) -> tuple[int, float]:
    """Frames and seconds, in its own words."""
    capture = cv2.VideoCapture(str(film))
    frames, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return round(frames), frames / fps


def plain_cpu_s(film: Path, frames: int) -> float:
    """Processor time of a frame in the loop that one writes in an afternoon: batched, FP32, decoding not counted."""
    bundle = open_bundle(default_bundle_path())
    engine = open_engine(bundle, InferenceSection(backend="onnxruntime", precision="fp32")).engine
    chosen = frames_of(film, frames)
    return plain_loop(chosen, engine, bundle, is_batched=True, score=Score(None), told=lambda *_: None).cpu_s


def main() -> int:
    """Measures and prints two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--film", type=Path, default=SHARED / "mosaic_1080p.mp4")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=20.0, help="of the live part, for each number")
    parser.add_argument(
        "--plain-frames", type=int, default=8, help="for each number: the plain loop takes long"
    )
    parser.add_argument("--http", action="store_true", help="network cameras, too")
    arguments = parser.parse_args()
    if not arguments.film.exists():
        print(f"no film at {arguments.film}; give one with --film", file=sys.stderr)
        return 1
    frames, length_s = film_length(arguments.film)
    capacity, live, network = [], [], []
    for count in arguments.cameras:
        print(f"measuring {count} ...", file=sys.stderr, flush=True)
        plain_s = plain_cpu_s(arguments.film, arguments.plain_frames)
        summaries, wall_s, cpu_s, batches = run(arguments.film, count, None)
        each_s = cpu_s / count
        possible = (os.cpu_count() or 1) * length_s / cpu_s
        capacity.append(
            f"| {count} | {length_s / wall_s:.2f} | {cpu_s / wall_s:.2f} | {possible:.2f} "
            f"| {each_s / length_s:.3f} | {plain_s / (each_s / frames):.0f} "
            f"| {batches.requests / batches.calls:.2f}, {batches.faces / batches.calls:.1f} "
            f"| {max(summary.stats.rss_mb or 0 for summary in summaries):.0f} |"
        )
        summaries, wall_s, cpu_s, _ = run(arguments.film, count, arguments.seconds)
        live.append(live_row(count, summaries, wall_s, cpu_s))
        if arguments.http:
            with serving(arguments.film) as address:
                summaries, wall_s, cpu_s, _ = run(address, count, arguments.seconds)
            network.append(live_row(count, summaries, wall_s, cpu_s))
    print(f"{read_board()}\n")
    print(
        "| cameras | × real time | processors in use | × real time, if all were | CPU s per s of a film",
        end="",
    )
    print(" | × plain, CPU | cameras, faces in a batch | resident MB |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(capacity))
    print(
        "\n| cameras | classify, scan, follow /s in force | frames/s | dropped | scans/s | faces classified/s",
        end="",
    )
    print(" | frame p95 ms | processors in use | shares apart: frames, scans, faces |")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(live))
    if network:
        print("\nfrom network cameras\n" + "\n".join(network))
    return 0


def live_row(count: int, summaries: list[RunSummary], wall_s: float, cpu_s: float) -> str:
    """One row; what differs between cameras is their mean."""
    all_stats = [summary.stats for summary in summaries]
    last = all_stats[0]
    frames = [stats.frames for stats in all_stats]
    scans = [stats.scans for stats in all_stats]
    faces = [summary.classified for summary in summaries]
    dropped = sum(stats.dropped_frames for stats in all_stats)
    p95_ms = max(stats.latencies_ms["frame_p95_ms"] for stats in all_stats)
    return (
        f"| {count} | {last.classify_rate_hz:g}, {last.scan_rate_hz:g}, {last.follow_rate_hz:g} "
        f"| {sum(frames) / count / wall_s:.1f} | {dropped / (dropped + sum(frames)):.0%} "
        f"| {sum(scans) / count / wall_s:.2f} | {sum(faces) / count / wall_s:.1f} | {p95_ms:.0f} "
        f"| {cpu_s / wall_s:.2f} | {spread(frames)}, {spread(scans)}, {spread(faces)} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
