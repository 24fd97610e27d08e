"""What publishing one window costs: until it is on disk, and, where a broker is named, until the broker has it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import Bundle
from edge_runtime.capacity.perf import PublishCost
from edge_runtime.config import Config
from edge_runtime.description import describe
from edge_runtime.errors import BrokerUnreachableError
from edge_runtime.frames.frame import Frame
from edge_runtime.inference.opening import open_engine
from edge_runtime.outlet import Outlet
from edge_runtime.publishing.outbox import Outbox
from edge_runtime.publishing.payloads import encode
from edge_runtime.room.privacy import protect
from edge_runtime.room.window import ProtectedWindow
from edge_runtime.state_directory import state_directory

_WINDOWS: Final = 9
_PATIENCE_S: Final = 10.0  # for the connection, and then for each acknowledgement


def measure_publishing(config: Config, bundle: Bundle) -> PublishCost:
    """Publishes windows of an empty room, which are suppressed like any window of too few people.

    Args:
        config: its device and its broker; without `mqtt.url` only the disk's part is measured.
        bundle: for what `info` says.

    Raises:
        BrokerError: the broker does not answer, or refuses.
        OutboxError: the outbox cannot be made.
    """
    choice = open_engine(bundle, config.inference)
    with RoomAnalysis(config, bundle.manifest, choice.engine) as analysis:
        analysis.process(Frame(np.zeros((120, 160), np.uint8), 0.0))
        window = analysis.end()
    assert window is not None  # noqa: S101 - a frame was seen
    protected = protect(window, bundle.manifest.labels, max(1, config.room.min_group))
    folder = state_directory()
    parent = (
        folder if folder.is_dir() else None
    )  # the disk that will bear the outbox, where it is there already
    with tempfile.TemporaryDirectory(prefix="roomtone-perf-", dir=parent) as made:
        outbox_ms = _on_disk(config, bundle, protected, Path(made))
        if config.mqtt.url is None:
            return PublishCost(outbox_ms=outbox_ms)
        settings = config.model_copy(
            update={"outbox": config.outbox.model_copy(update={"path": Path(made, "sent.sqlite3")})}
        )
        outlet = Outlet(
            settings,
            info=lambda: describe(settings, bundle, choice, ts=time.time()),
            on_enabled=lambda enabled: None,
            on_context=lambda word: None,
        )
        with outlet:
            return PublishCost(outbox_ms=outbox_ms, acknowledged_ms=_to_the_broker(outlet, protected))


def _on_disk(config: Config, bundle: Bundle, window: ProtectedWindow, folder: Path) -> float:
    silent = config.model_copy(update={"mqtt": type(config.mqtt)()})
    outlet = Outlet(
        silent,
        info=lambda: None,  # type: ignore[arg-type, return-value]  # nobody asks without a broker
        on_enabled=lambda enabled: None,
        on_context=lambda word: None,
    )
    times = []
    with outlet, Outbox(folder / "kept.sqlite3", max_bytes=10_000_000, max_age_s=3600) as outbox:
        for _ in range(_WINDOWS):
            event = outlet.emit(window, time.time())
            began_s = time.perf_counter()
            number = outbox.next_event_number()
            outbox.append(
                number.event_id(config.device.device),
                outlet.topics.emotion,
                encode(event),
                created_s=event.ts,
            )
            times.append((time.perf_counter() - began_s) * 1000)
    return round(float(np.median(times)), 3)


def _to_the_broker(outlet: Outlet, window: ProtectedWindow) -> float:
    times = []
    for number in range(_WINDOWS + 1):
        began_s = time.perf_counter()
        outlet.emit(window, time.time())
        if not outlet.flush(_PATIENCE_S):
            problem = outlet.publisher.last_problem if outlet.publisher is not None else None
            raise problem or BrokerUnreachableError("", f"acknowledged nothing within {_PATIENCE_S:.0f} s")
        if number:  # the first waits for the connection
            times.append((time.perf_counter() - began_s) * 1000)
    return round(float(np.median(times)), 3)
