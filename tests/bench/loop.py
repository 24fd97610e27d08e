"""`make bench`: our loop against the loops that one writes in an afternoon, and against the floor; interleaved.

    plain           OpenCV's default cascade on each frame, ONNX Runtime, one face at a time
    plain, batched  the same, a frame's faces in one call
    roomtone        the runtime's loop with its default settings, decoding counted
    floor           decoder, detector at our rate and batched network, called bare (edge_runtime.profiler.floor)
    each frame      roomtone, and each face classified on each frame

All are given the same network: the plain loops in FP32, ours and the floor in the variant that runs here. Only ratios
of one run mean something: machines are shared. Beside the ratio of wall times stands that of processor times, which
other programs disturb less; intervals are the least and the greatest of the rounds. Equal work is shown by recall at
IoU 0.3 and by the classes: for each track and window, does our loop say what the batched plain loop says? Then the
loop runs once more with its native calls timed, for Python's own share, and once at the film's own pace, for the time
from a frame to its probabilities.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from loops import Cost, Decisions, Score, all_frames, latencies_s, our_loop, plain_loop, python_share

from edge_runtime.board import read_board
from edge_runtime.bundle import Bundle, default_bundle_path, open_bundle
from edge_runtime.config import CameraSection, Config, InferenceSection, trial_config
from edge_runtime.frames.film import Film
from edge_runtime.frames.frame import Frame
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.opening import open_engine
from edge_runtime.profiler.floor import measure_floor

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "videos"
CLIPS = {"mosaic": "mosaic_1080p.mp4", "one face": "single_face.mp4", "empty room": "no_face.mp4"}
LOOPS = ("plain", "plain, batched", "roomtone", "floor", "each frame")
EVERY_FRAME_HZ = 60.0
WINDOW_S = 5.0


def frames_of(clip: Path, count: int) -> list[tuple[int, Frame]]:
    """So many frames, evenly over the clip."""
    with Film(clip) as film:
        total = sum(1 for _ in all_frames(film))
    wanted = {round(total * (place + 0.5) / count) for place in range(count)}
    with Film(clip) as film:
        return [(index, frame) for index, frame in enumerate(all_frames(film)) if index in wanted]


def bench(
    clip: Path, bundle: Bundle, engine: Engine, plain_engine: Engine, *, rounds: int, plain_frames: int
) -> dict:
    """Costs, recall and agreement of all loops on one clip."""
    truth_file = clip.with_suffix(".json")
    truth = json.loads(truth_file.read_text())["boxes_xywh"] if truth_file.exists() else None
    config = trial_config().model_copy(update={"camera": CameraSection(source=str(clip))})
    often = Config.model_validate({**config.model_dump(), "inference": {"classify_rate_hz": EVERY_FRAME_HZ}})
    scores = {name: Score(truth) for name in LOOPS}
    costs: defaultdict[str, list[Cost]] = defaultdict(list)
    decisions = Decisions(WINDOW_S)
    frames = frames_of(clip, plain_frames * rounds)
    for turn in range(rounds):
        kept = decisions if turn == 0 else None  # all rounds decide the same
        cost, sizes = our_loop(clip, config, engine, bundle, score=scores["roomtone"], decisions=kept)
        costs["roomtone"].append(cost)
        floor = measure_floor(config, bundle, sizes, most_frames=10**6, engine=engine)
        costs["floor"].append(Cost(floor.wall_ms_per_frame / 1000, floor.cpu_ms_per_frame / 1000))
        cost, _ = our_loop(clip, often, engine, bundle, score=scores["each frame"], decisions=None)
        costs["each frame"].append(cost)
        for name, told in (("plain", lambda *_: None), ("plain, batched", decisions.add_plain)):
            costs[name].append(
                plain_loop(
                    frames[turn::rounds],
                    plain_engine,
                    bundle,
                    is_batched=name != "plain",
                    score=scores[name],
                    told=told,
                )
            )
    equal, made = decisions.agreement()
    waits = latencies_s(clip, config, engine, bundle)
    return {
        "loops": {
            name: {
                "wall_ms": statistics.median(cost.wall_s for cost in costs[name]) * 1000,
                "cpu_ms": statistics.median(cost.cpu_s for cost in costs[name]) * 1000,
                "wall_ratio": _ratio([c.wall_s for c in costs["plain"]], [c.wall_s for c in costs[name]]),
                "cpu_ratio": _ratio([c.cpu_s for c in costs["plain"]], [c.cpu_s for c in costs[name]]),
                "recall": scores[name].recall,
                "false_per_frame": scores[name].false / scores[name].frames if scores[name].faces else None,
                "boxes_per_frame": scores[name].boxes / max(scores[name].frames, 1),
            }
            for name in LOOPS
        },
        "decisions": made,
        "equal_decisions": equal,
        "plain_with_itself": decisions.plain_with_itself(),
        "python_share": python_share(clip, config, engine, bundle),
        "latency_ms": [1000 * float(q) for q in np.percentile(waits, [50, 95])] if waits else None,
        "share_of_floor": _ratio([c.cpu_s for c in costs["floor"]], [c.cpu_s for c in costs["roomtone"]]),
    }


def _ratio(above: list[float], below: list[float]) -> list[float]:
    """Median, least and greatest of the rounds' ratios."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return [statistics.median(ratios), min(ratios), max(ratios)]


def table(results: dict[str, dict]) -> str:
    """The results as Markdown."""
    lines = []
    for clip, result in results.items():
        lines += [
            f"**{clip}**",
            "",
            "| loop | wall ms | CPU ms | × plain, wall | × plain, CPU | recall | false/frame | boxes/frame |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, row in result["loops"].items():
            ratios = ("{:.1f} ({:.1f}–{:.1f})".format(*row[key]) for key in ("wall_ratio", "cpu_ratio"))
            found = (
                ("–", "–")
                if row["recall"] is None
                else (f"{row['recall']:.3f}", f"{row['false_per_frame']:.2f}")
            )
            boxes = "–" if name == "floor" else f"{row['boxes_per_frame']:.1f}"
            cells = (f"{row['wall_ms']:.1f}", f"{row['cpu_ms']:.1f}", *ratios, *found, boxes)
            lines.append(f"| {name} | {' | '.join(cells)} |")
        equal = (
            f"{result['equal_decisions']} of {result['decisions']} classes of a track in a window are equal "
            "(the plain loop's even and odd frames: {} of {})".format(*result["plain_with_itself"])
        )
        share = "{:.2f} ({:.2f}–{:.2f})".format(*result["share_of_floor"])
        own = f"Python's own share of it is {result['python_share']:.3f}"
        latency = (
            "From a frame to its faces' probabilities, at the film's own pace: "
            "{:.0f} ms (95th percentile {:.0f} ms).".format(*result["latency_ms"])
            if result["latency_ms"]
            else "No face was classified."
        )
        lines += ["", f"{equal}; the floor is {share} of our processor time, {own}. {latency}", ""]
    return "\n".join(lines)


def plot(results: dict[str, dict], path: Path) -> None:
    """Processor time of a frame, each loop and clip."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.8), layout="constrained")
    for place, name in enumerate(LOOPS):
        values = [result["loops"][name]["cpu_ms"] for result in results.values()]
        bars = axes.barh([row + 0.17 * place for row in range(len(values))], values, 0.15, label=name)
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set_yticks([row + 0.34 for row in range(len(results))], list(results))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("processor time of a frame, ms (logarithmic)")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> int:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", type=Path, help="only this one (its truth beside it, .json, if known)")
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--plain-frames", type=int, default=12, help="of each round: the plain loops take long"
    )
    parser.add_argument("--plot", type=Path, help="picture to write, .png")
    parser.add_argument("--json", type=Path, help="results to write")
    arguments = parser.parse_args()
    clips = (
        {arguments.clip.stem: arguments.clip} if arguments.clip else {k: SHARED / v for k, v in CLIPS.items()}
    )
    if missing := [str(clip) for clip in clips.values() if not clip.exists()]:
        print(f"no clip at {', '.join(missing)}; give one with --clip", file=sys.stderr)
        return 1
    cv2.setNumThreads(trial_config().faces.scan_threads)  # the same for all
    bundle = open_bundle(arguments.bundle)
    engine = open_engine(bundle, InferenceSection()).engine
    plain = InferenceSection(backend="onnxruntime", precision="fp32")
    plain_engine = open_engine(bundle, plain).engine
    results = {}
    for name, clip in clips.items():
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        results[name] = bench(
            clip, bundle, engine, plain_engine, rounds=arguments.rounds, plain_frames=arguments.plain_frames
        )
    report = engine.report
    runs = f"{bundle.manifest.name} {bundle.manifest.version} on {report.backend} {report.precision}"
    print(f"{read_board()}; {runs}, {report.threads} thread\n\n{table(results)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.plot:
        plot(results, arguments.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
