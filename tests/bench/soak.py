"""`make bench-soak`: the whole agent at full load for a long time. Does its memory grow, does it get slower?

`roomtone run` with the benchmark clip over and over, as fast as it can, its windows sent to a real mosquitto on a
loopback port. Resident memory is read from /proc twice a second, of the process and its children; latencies are what
the device says of itself on `stats`, once a minute. Told are the growth after the first minute, and the p95 of the last
minute against that of the second.

    make bench-soak SOAK='--minutes 30 --plot soak.png'
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "videos"
MOST_GROWTH_MB, MOST_SLOWDOWN = 5.0, 1.10
STAGE = "frame"


def free_port() -> int:
    """A port of the loopback device that nobody has at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def resident_mb(pid: int) -> float:
    """Of the process and its children, MiB."""
    total = 0.0
    family = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        family += [int(child) for child in children.read_text().split()]
    for member in family:
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) / 1024
    return total


def soak(source: str, minutes: float, folder: Path) -> tuple[np.ndarray, list[dict]]:
    """(N, 2) seconds and MiB, and the payloads of `stats` in order."""
    port = free_port()
    broker = subprocess.Popen(
        [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stats: list[dict] = []
    listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    listener.on_connect = lambda client, *_: client.subscribe("roomtone/+/+/+/stats")
    listener.on_message = lambda _client, _data, message: stats.append(json.loads(message.payload))
    time.sleep(0.5)
    listener.connect("127.0.0.1", port)
    listener.loop_start()
    (folder / "config.toml").write_text(
        f'[camera]\nsource = "{source}"\n[room]\nwindow_s = 10.0\nmin_group = 5\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\n[stats]\ninterval_s = 60.0\n'
    )
    agent = subprocess.Popen(
        [sys.executable, "-m", "edge_runtime", "run", "--config", str(folder / "config.toml")],
        env=os.environ | {"STATE_DIRECTORY": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("w"),
    )
    rows = []
    began_s = time.monotonic()
    try:
        while (passed_s := time.monotonic() - began_s) < minutes * 60 and agent.poll() is None:
            rows.append((passed_s, resident_mb(agent.pid)))
            if len(rows) % 120 == 0:
                print(f"{passed_s / 60:4.1f} min  {rows[-1][1]:.0f} MB", file=sys.stderr, flush=True)
            time.sleep(0.5)
    finally:
        if agent.poll() is None:
            agent.send_signal(signal.SIGTERM)
        agent.wait(30)
        listener.loop_stop()
        listener.disconnect()
        broker.terminate()
        broker.wait(10)
    if agent.returncode:
        raise SystemExit(f"the agent ended with {agent.returncode}:\n{(folder / 'log').read_text()[-2000:]}")
    return np.array(rows), stats


def plot(memory: np.ndarray, stats: list[dict], path: Path) -> None:
    """Memory and latency over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 4), sharex=True, layout="constrained")
    above.plot(memory[:, 0] / 60, memory[:, 1], color="#3b6ea5")
    above.set_ylabel("RSS, MB")
    below.plot(
        [s["uptime_s"] / 60 for s in stats], [s[f"{STAGE}_p95_ms"] for s in stats], "o-", color="#a5473b"
    )
    below.set_ylabel(f"{STAGE}, p95, ms")
    below.set_xlabel("minutes")
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> int:
    """Soaks, and says whether the agent held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="at least 4")
    parser.add_argument("--source", default=str(SHARED / "mosaic_1080p.mp4"))
    parser.add_argument("--plot", type=Path, help="picture to write, .png")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="roomtone-soak-") as folder:
        memory, stats = soak(arguments.source, arguments.minutes, Path(folder))
    whole = [s for s in stats if f"{STAGE}_p95_ms" in s]
    if arguments.minutes < 4 or len(whole) < 3:
        print(f"too short: {len(whole)} minutes of stats", file=sys.stderr)
        return 1
    after = memory[memory[:, 0] >= 60]
    first, last = (float(np.median(part[:, 1])) for part in (after[:60], after[-60:]))
    slope = float(np.polyfit(after[:, 0] / 3600, after[:, 1], 1)[0])
    # The last message is of the part of a minute before the end.
    second, final = (float(s[f"{STAGE}_p95_ms"]) for s in (whole[1], whole[-2]))
    print(f"{arguments.minutes:g} minutes, {whole[-1]['frames']} frames, {whole[-1]['scans']} scans")
    print(
        f"memory: {first:.1f} MB in the second minute, {last:.1f} MB at the end: {last - first:+.1f} MB "
        f"(at most {MOST_GROWTH_MB:g}); {slope:+.1f} MB an hour, {after[:, 1].max():.1f} MB at most"
    )
    print(
        f"{STAGE}, p95: {second:.1f} ms in the second minute, {final:.1f} ms in the last: {final / second:.2f} times "
        f"(at most {MOST_SLOWDOWN:g})"
    )
    if arguments.plot:
        plot(memory, stats, arguments.plot)
    holds = last - first <= MOST_GROWTH_MB and final / second <= MOST_SLOWDOWN
    print("it holds" if holds else "it does not hold")
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
