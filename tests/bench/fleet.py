"""A thousand simulated devices, one mosquitto, one collector: is anything lost, and what does it cost?

    python tests/bench/fleet.py                          # a minute at the real rate
    python tests/bench/fleet.py --speed 10 --worth 3600  # an hour's worth of messages, in six minutes if it can

The fleet, the broker and `roomtone collect` are three processes that share this machine. Events are counted by
their id: those that the broker acknowledged against those in the database.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brokers import Mosquitto, free_port

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.history.store import open_store
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.simulated_fleet.connections import allow_files
from edge_runtime.simulated_fleet.device import members
from edge_runtime.simulated_fleet.running import Fleet, FleetPace

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mb(pid: int) -> float:
    """Largest resident size of a process so far, MiB."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> int:
    """Runs the load and prints a table; 1 when an event is lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=10.0, help="window of each device, s")
    parser.add_argument("--worth", type=float, default=60.0, help="messages of so many seconds")
    parser.add_argument("--speed", type=float, default=1.0, help="sent so many times as fast")
    parser.add_argument("--store", default="", help="another database than SQLite in a temporary folder")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    allow_files(arguments.devices)
    with tempfile.TemporaryDirectory(prefix="roomtone-bench-") as name:
        folder = Path(name)
        settings = "allow_anonymous true\nuser root\nmax_queued_messages 0\nlog_type error\n"
        broker = Mosquitto(folder, free_port(), settings)
        broker.start()
        url = arguments.store or f"sqlite:///{folder}/history.sqlite3"
        command = [sys.executable, "-m", "edge_runtime", "collect", "--broker", broker.mqtt.url or ""]
        collector = subprocess.Popen(
            [*command, "--store", url, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert broker.process is not None
        pids = {"collector": collector.pid, "mosquitto": broker.process.pid, "fleet": os.getpid()}
        try:
            time.sleep(4)  # until it is subscribed
            pace = FleetPace(interval_s=arguments.interval, speed=arguments.speed)
            # None that breaks off: what it has not sent in the end is not lost, but cannot be counted.
            fleet_members = [
                replace(member, condition="well") if member.condition == "away" else member
                for member in members(arguments.devices, 7)
            ]
            with Fleet(
                fleet_members,
                open_bundle(default_bundle_path()),
                Endpoint.from_section(broker.mqtt, Credentials()),
                pace,
            ) as fleet:
                fleet.run(
                    duration_s=60, should_stop=lambda: fleet.counters.connected >= len(fleet_members) * 0.96
                )
                before = {name: cpu_s(pid) for name, pid in pids.items()}
                sent_before, began_s = fleet.counters, time.monotonic()
                windows = round(arguments.worth / arguments.interval * len(fleet_members))
                fleet.run(most_windows=sent_before.windows + windows)  # later than planned on a busy machine
                elapsed_s = time.monotonic() - began_s
                fleet.settle(120)
                sent = fleet.counters
                used = {name: (cpu_s(pid) - before[name]) / elapsed_s for name, pid in pids.items()}
            settled_s = time.monotonic()
            with open_store(url) as store:

                def stored() -> int:
                    return sum(part.events for part in store.completeness())

                while stored() < sent.windows + sent.episodes and time.monotonic() - settled_s < 600:
                    time.sleep(0.25)
                lag_s = time.monotonic() - settled_s
                whole = store.completeness()
            collector.send_signal(signal.SIGTERM)
            peaks = {name: peak_mb(pid) for name, pid in pids.items()}
            report = json.loads(collector.communicate(timeout=30)[0].splitlines()[-1])
        finally:
            collector.kill()
            collector.wait()
            broker.stop()
    result = {
        "devices": arguments.devices,
        "seconds": round(elapsed_s, 1),
        "events_sent": sent.windows + sent.episodes,
        "events_stored": sum(part.events for part in whole),
        "numbers_missing": sum(part.missing for part in whole),
        "duplicates": report["duplicates"],
        "stats_sent": sent.stats,
        "stats_stored": report["stats"],
        "windows_per_s": round((sent.windows - sent_before.windows) / elapsed_s, 1),
        "collector_behind_s": round(lag_s, 2),
        "fleet_behind_s": round(sent.behind_s, 2),
        **{f"{name}_cpu": round(share, 3) for name, share in used.items()},
        **{f"{name}_peak_mb": round(mb, 1) for name, mb in peaks.items()},
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:22}{value:>14}")
    lost = result["events_sent"] - result["events_stored"]
    print("nothing lost" if lost <= 0 else f"{lost} EVENTS LOST", file=sys.stderr)
    return 0 if lost <= 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
