"""From publishing to the pixel, with a thousand devices: `make bench-dashboard`.

One mosquitto, one `roomtone dashboard` with its page and its history, one Chromium on the rooms page, and a
process that speaks for all devices: a window each 10 s on `emotion` and `state`, health each minute. The page
notes when a card's event was in the frame that the browser drew; the clock is the machine's, the same for all.

    python tests/bench/dashboard.py --devices 1000 --seconds 40
    python tests/bench/dashboard.py --minutes 60 --rate 2000 --no-collect   # an hour's worth of messages
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import expect, sync_playwright

HERE = Path(__file__).parent
sys.path += [str(HERE.parent), str(HERE.parent / "edge_runtime" / "dashboard")]

from dashboard_parts import info, stats, window  # noqa: E402
from school import SILENT, School, chromium  # noqa: E402

from edge_runtime.publishing.payloads import encode  # noqa: E402
from edge_runtime.publishing.topics import Topics  # noqa: E402

WINDOW_S, STATS_S = 10.0, 60.0
ACTIVITIES = ((0.25, "average"), (0.4, "good"), (0.7, "excellent"))
# Notes for each event of a card the time of the frame that shows it: what changes in a task is drawn after the
# next animation frame's callbacks, and a message posted there runs behind the drawing.
WATCH = """() => {
  window.shown = {};
  window.tasks = [];
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => tasks.push(duration)))
    .observe({ type: "longtask" });
  new MutationObserver((changes) => {
    const events = changes.map(({ target }) => target.dataset.event);
    requestAnimationFrame(() => {
      const drawn = new MessageChannel();
      drawn.port1.onmessage = () => { const at = Date.now() / 1000; for (const event of events) shown[event] ??= at; };
      drawn.port2.postMessage(null);
    });
  }).observe(document.querySelector(".cards"), { subtree: true, attributes: true, attributeFilter: ["data-event"] });
}"""


def speak(port: int, devices: int, seconds: float, minutes: float, rate_hz: float) -> None:
    """Speaks for all devices; prints event → time of publishing as JSON."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(1000)
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    topics = [Topics("school", f"r{number}", f"camera-{number}") for number in range(1, devices + 1)]
    for own in topics:
        client.publish(own.availability, b"online", 1, retain=True)
        client.publish(own.info, encode(info(own)), 1, retain=True)
    sent: dict[str, float] = {}
    seqs = [0] * devices

    def publish(number: int, ts: float) -> None:
        own, activity = topics[number], ACTIVITIES[(seqs[number] + number) % 3]
        seqs[number] += 1
        event = window(
            own, seqs[number], ts=ts, window_s=WINDOW_S, classroom_activity=activity[0], grade=activity[1]
        )
        sent[event.event_id] = time.time()
        client.publish(own.emotion, encode(event), 1)
        last = client.publish(own.state, encode(event), 1, retain=True)
        if minutes and len(sent) % 200 == 0:
            last.wait_for_publish(60)
            time.sleep(max(0.0, began + len(sent) / rate_hz - time.time()))

    began = time.time()
    if minutes:
        for turn in range(int(minutes * 60 / WINDOW_S)):
            for number in range(devices):
                publish(number, round(began - minutes * 60 + (turn + 1) * WINDOW_S, 3))
            if turn % int(STATS_S / WINDOW_S) == 0:
                for own in topics:
                    client.publish(own.stats, encode(stats(own, ts=time.time())), 0)
    else:
        due = 0
        while (now := time.time()) - began < seconds:
            while due < (now - began) * devices / WINDOW_S:
                publish(due % devices, round(now, 3))
                if due % int(STATS_S / WINDOW_S) == 0:
                    own = topics[due % devices]
                    client.publish(own.stats, encode(stats(own, ts=now)), 0)
                due += 1
            time.sleep(0.005)
    client.publish("bench/over", b"", 1).wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    print(json.dumps(sent))


def speaker(port: int, devices: int, seconds: float, minutes: float, rate_hz: float) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--speak", str(port), "--devices", str(devices)]
    command += ["--seconds", str(seconds), "--minutes", str(minutes), "--rate", str(rate_hz)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--minutes", type=float, default=0.0, help="so much in less time, without a browser")
    parser.add_argument("--rate", type=float, default=500.0, help="windows a second of --minutes, at most")
    parser.add_argument("--no-collect", action="store_true", help="the page's side alone")
    parser.add_argument("--speak", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.speak is not None:
        speak(options.speak, options.devices, options.seconds, options.minutes, options.rate)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roomtone-bench-")))
        school = stack.enter_context(School(folder, *(["--no-collect"] if options.no_collect else [])))
        if options.minutes:
            sent, shown = (
                json.loads(
                    speaker(
                        school.broker.port, options.devices, 0, options.minutes, options.rate
                    ).communicate()[0]
                ),
                {},
            )
        else:
            playwright = stack.enter_context(sync_playwright())
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(SILENT))
            stack.callback(browser.close)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            process = speaker(school.broker.port, options.devices, options.seconds, 0, options.rate)
            page.goto(school.url)
            expect(page.locator(".card")).to_have_count(options.devices, timeout=60_000)
            page.evaluate(WATCH)
            began = time.time()
            page.wait_for_timeout(max(0.0, options.seconds - 10.0) * 1000)
            sent = json.loads(process.communicate()[0])
            page.wait_for_timeout(2000)
            shown, tasks = page.evaluate("shown"), page.evaluate("tasks")
            sent_while_watched = {event: at for event, at in sent.items() if at > began}
        rss_mb = school.resident_mb()
        told = 0 if options.no_collect else settle(folder / "history.sqlite3", len(sent))
        with urllib.request.urlopen(f"{school.url}/api/state") as answer:
            server = json.load(answer)["server"]
    print(f"devices               {options.devices}")
    print(
        f"windows published     {len(sent)}"
        + ("" if options.no_collect else f", in the history {told} (by event_id)")
    )
    print(
        f"messages not taken    {server['broker']['dropped']} dropped, {server['broker']['foreign']} foreign"
    )
    print(f"memory of the server  {rss_mb:.0f} MiB resident")
    if not options.minutes:
        ways = sorted(shown[event] - at for event, at in sent_while_watched.items() if event in shown)
        print(
            f"events on the page    {len(ways)} of {len(sent_while_watched)} published while it was watched"
        )
        cuts = statistics.quantiles(ways, n=100)
        print(f"tasks above 50 ms     {len(tasks)}, the longest {max(tasks, default=0):.0f} ms")
        print(f"publish to pixel      p50 {cuts[49]:.2f} s, p95 {cuts[94]:.2f} s, p99 {cuts[98]:.2f} s")


def settle(file: Path, wanted: int) -> int:
    """How many events the history has when no more come."""
    told, at = -1, time.monotonic()
    while time.monotonic() - at < 10:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            now = database.execute("SELECT count(*) FROM windows").fetchone()[0]
        if now != told:
            told, at = now, time.monotonic()
        if told >= wanted:
            break
        time.sleep(0.25)
    return told


if __name__ == "__main__":
    main()
