"""Trying what a device will need: its camera, its broker, and at last a window that comes back from there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_runtime.config import CameraSection, Config, MqttSection
from edge_runtime.errors import ProvisioningError, SourceUnavailableError
from edge_runtime.frames.address import masked
from edge_runtime.frames.frame import EndOfSource, Frame, FrameSource
from edge_runtime.frames.live import LiveCamera
from edge_runtime.frames.opening import open_source
from edge_runtime.publishing.credentials import Credentials, load_credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.fallback import ProtocolChoice, connect
from edge_runtime.publishing.payloads import EmotionEvent
from edge_runtime.publishing.subscription import Subscription
from edge_runtime.publishing.topics import Topics
from edge_runtime.status_file import Status, read_status

_START_S: Final = 8.0  # for the camera's process to start, or to find out why the camera does not open
_BEYOND_WINDOW_S: Final = 90.0  # start-up of a slow board, its clock's first steps, and the way to the broker
_READ_BACK_S: Final = 4.0  # between the broker's acknowledgement and the copy for us


def try_camera(camera: CameraSection) -> Frame:
    """Opens the camera and takes one frame.

    Raises:
        SourceError: it does not open, or nothing comes; with the reason and what to do.
    """
    once = camera.model_copy(update={"restart_backoff_s": 600.0, "restart_backoff_max_s": 600.0})
    patience_s = camera.open_timeout_s + camera.read_timeout_s + _START_S
    with open_source(once) as source:
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s and not _has_failed(source):
            try:
                frame = source.read(0.2)
            except EndOfSource:
                break
            if frame is not None:
                return frame
        problem = getattr(source, "last_problem", "") or f"no frame within {patience_s:.0f} s"
        hint = getattr(source, "last_hint", "") or "check its power and cable"
    raise SourceUnavailableError(masked(camera.source), problem, hint=hint)


def _has_failed(source: FrameSource) -> bool:
    return isinstance(source, LiveCamera) and source.has_failed


def try_broker(mqtt: MqttSection, credentials: Credentials) -> str:
    """Connects and says goodbye.

    Returns:
        The version of MQTT that is spoken.

    Raises:
        ConfigurationError: a certificate file cannot be used.
        BrokerError: it is not there, or does not let this device in; with the reason and what to do.
    """
    endpoint, choice = Endpoint.from_section(mqtt, credentials), ProtocolChoice(mqtt.protocol)
    name = f"roomtone-provision-{secrets.token_hex(4)}"
    connection = connect(endpoint, choice, client_id=name, wake=lambda: None, on_message=lambda _: None)
    try:
        return connection.protocol
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class FirstWindow:
    """What came of the first window.

    Attributes:
        event: as the broker gave it back; None where it took it, and this login may not read it.
        waited_s: since the agent was started.
    """

    event: EmotionEvent | None
    waited_s: float


class FirstWindowWatch:
    """Waits for the first window to come back from the broker. Context manager: subscribed before the agent starts.

    Args:
        config: of the device.
        status_folder: where its agent writes its status.
        environ: names the folder of its secrets.
    """

    def __init__(self, config: Config, status_folder: Path, environ: Mapping[str, str]) -> None:
        self._config, self._status_folder = config, status_folder
        topics = Topics(config.device.site, config.device.room, config.device.device)
        self._subscription = Subscription(
            Endpoint.from_section(config.mqtt, load_credentials(environ)),
            config.mqtt.protocol,
            [topics.emotion],
            name="roomtone-provision",
        )

    def __enter__(self) -> FirstWindowWatch:
        self._subscription.connect()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._subscription.close()

    def wait(
        self,
        *,
        has_ended: Callable[[], bool],
        on_wait: Callable[[float], None] = lambda waited_s: None,
        limit_s: float | None = None,
    ) -> FirstWindow | None:
        """Waits.

        Args:
            has_ended: the agent is gone; asked twice a second.
            on_wait: told how long it has been.
            limit_s: longest time; one window and a minute and a half when None.

        Returns:
            What came, or None when the agent ended.

        Raises:
            ProvisioningError: nothing came in time.
        """
        began_s, began_unix_s = time.monotonic(), time.time()
        limit_s = self._config.room.window_s + _BEYOND_WINDOW_S if limit_s is None else limit_s
        acknowledged_s: float | None = None
        while (waited_s := time.monotonic() - began_s) < limit_s:
            on_wait(waited_s)
            for message in self._subscription.next_messages(0.5):
                event = _decoded(message.payload)
                # Not an older one that the outbox had kept, nor the last of an agent that was told to stop.
                if event is not None and event.ts >= began_unix_s - 1 and not event.partial:
                    return FirstWindow(event, time.monotonic() - began_s)
            if has_ended():
                return None
            if acknowledged_s is None and self._is_acknowledged():
                acknowledged_s = time.monotonic()
            if acknowledged_s is not None and time.monotonic() - acknowledged_s > _READ_BACK_S:
                return FirstWindow(None, time.monotonic() - began_s)
        raise self._nothing_came(limit_s)

    def _status(self) -> Status | None:
        return read_status([self._status_folder], self._config)

    def _is_acknowledged(self) -> bool:
        status = self._status()
        return (
            status is not None
            and status.phase == "running"
            and status.windows > 0
            and status.outbox_rows == 0
            and status.broker_connected == 1
        )

    def _nothing_came(self, limit_s: float) -> ProvisioningError:
        status, problem = self._status(), self._subscription.problem
        said = f"; it says {status.health or status.phase}" if status is not None else ""
        said += f"; {problem}" if problem is not None else ""
        return ProvisioningError(
            f"no window came back within {limit_s:.0f} s{said}", hint="roomtone doctor --config finds out why"
        )


def _decoded(payload: bytes) -> EmotionEvent | None:
    """The event, or None for what somebody else has put on our topic."""
    try:
        return EmotionEvent.decode(payload)
    except ValueError:
        return None
