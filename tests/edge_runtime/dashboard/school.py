"""A school for the tests of the pages: a real broker, a real dashboard, and devices that speak the real contract."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
import pytest
from brokers import Mosquitto, free_port, until
from dashboard_parts import episode, info, stats, window
from paho.mqtt.enums import CallbackAPIVersion

from edge_runtime.publishing.payloads import encode
from edge_runtime.publishing.topics import Topics

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A test browser speaks to nobody but the page.
SILENT = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def chromium() -> str:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; apt-get install chromium")
    return CHROMIUM


class School:
    """Broker, dashboard and devices; a context manager that ends them all."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.broker = Mosquitto(folder, free_port(), "allow_anonymous true\nmax_queued_messages 10000\n")
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self._options = options
        self._seqs: dict[str, int] = {}
        self._dashboard: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.broker.start()
        self.speaker = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self.speaker.reconnect_delay_set(1, 1)
        self.speaker.connect("127.0.0.1", self.broker.port)
        self.speaker.loop_start()
        assert until(self.speaker.is_connected)
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        self.speaker.disconnect()
        self.speaker.loop_stop()
        self.broker.stop()

    def start(self) -> None:
        """Starts `roomtone dashboard`, on the same port each time."""
        command = [
            sys.executable,
            "-m",
            "edge_runtime",
            "dashboard",
            "--broker",
            f"mqtt://127.0.0.1:{self.broker.port}",
        ]
        command += ["--port", str(self.port), "--store", f"sqlite:///{self.folder / 'history.sqlite3'}"]
        before = self._subscribers()
        with (self.folder / "dashboard.log").open("ab") as log:
            self._dashboard = subprocess.Popen(
                [*command, *self._options], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._dashboard.stdout is not None
        assert f":{self.port}/" in self._dashboard.stdout.readline(), self.log()
        # Health is not retained: whoever speaks before both have subscribed is not heard.
        assert until(lambda: all(now > then for now, then in zip(self._subscribers(), before, strict=True)))

    def _subscribers(self) -> list[int]:
        """How often the page's side and the history's side of the dashboard have subscribed so far."""
        log = (self.folder / "mosquitto.log").read_text()
        sides = ["dashboard"] if "--no-collect" in self._options else ["dashboard", "collect"]
        return [log.count(f"Sending SUBACK to roomtone-{side}") for side in sides]

    def stop(self) -> None:
        """Ends it as systemd would, and looks whether it ended well."""
        dashboard, self._dashboard = self._dashboard, None
        if dashboard is not None:
            dashboard.terminate()
            out, _ = dashboard.communicate(timeout=15)
            assert (dashboard.returncode, out) == (0, ""), self.log()
            assert "Traceback" not in self.log(), self.log()

    def log(self) -> str:
        return (self.folder / "dashboard.log").read_text()

    def resident_mb(self) -> float:
        """Memory of the dashboard's process."""
        assert self._dashboard is not None
        status = Path(f"/proc/{self._dashboard.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def say(self, topic: str, payload: Any, *, retain: bool = False) -> None:
        """Publishes, and waits until the broker has it."""
        data = payload if isinstance(payload, bytes) else encode(payload)
        self.speaker.publish(topic, data, qos=1, retain=retain).wait_for_publish(10)

    def device(
        self,
        room: str,
        *,
        site: str = "north",
        name: str = "camera-1",
        age_s: float = 5.0,
        online: bool = True,
        **changes: Any,
    ) -> Topics:
        """A device comes up: availability, info, health, and a window."""
        topics = Topics(site, room, name)
        self.say(topics.availability, b"online" if online else b"offline", retain=True)
        # Windows are said to be long, so that rooms stay live however long the tests take.
        self.say(topics.info, info(topics, window_s=600.0), retain=True)
        self.say(topics.stats, stats(topics, ts=time.time()))
        self.window(topics, age_s=age_s, **changes)
        return topics

    def window(self, topics: Topics, *, age_s: float = 0.0, **changes: Any) -> str:
        """One more window of a device, on both of its topics; returns its id."""
        seq = self._seqs[topics.base] = self._seqs.get(topics.base, 0) + 1
        event = window(topics, seq, ts=round(time.time() - age_s, 3), **changes)
        self.say(topics.state, event, retain=True)
        self.say(topics.emotion, event)
        return event.event_id

    def lesson(self, room: str, minutes: int = 30) -> Topics:
        """A room whose last minutes are all there, with a private minute and an episode in them."""
        topics = self.device(room, age_s=60 * minutes)
        for minute in range(minutes - 1, -1, -1):
            self.window(topics, age_s=60 * minute + 1, **({"suppressed": 1} if minute == 10 else {}))
        for phase, seq in (("new", 900), ("end", 901)):
            step = episode(topics, seq, first=900, phase=phase)
            now_s = round(time.time(), 3)
            self.say(topics.episode, step.model_copy(update={"ts": now_s - 600, "start_ts": now_s - 900}))
        return topics
