"""`roomtone provision`: from answers to a device that publishes.

    outcome = provision(answers, Options(layout=Layout()), terminal)

In this order: ask what is open; check everything that can be checked without writing; write; start, and wait for the
first window to come back from the broker. What goes wrong before the writing leaves the board as it was.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from edge_runtime.child_agent import last_words, running_agent
from edge_runtime.config import Config, MqttSection
from edge_runtime.config_file import load_config
from edge_runtime.config_layers import LAYER_FILES, camera_files
from edge_runtime.credential_files import VARIABLE, read_credential
from edge_runtime.errors import BrokerRefusedError, ProvisioningError
from edge_runtime.frames.address import is_network, with_login, without_login
from edge_runtime.provisioning import service
from edge_runtime.provisioning.answers import Answers, answers_of
from edge_runtime.provisioning.cameras import usb_cameras
from edge_runtime.provisioning.device import Device, broker_url, resolve
from edge_runtime.provisioning.identity import read
from edge_runtime.provisioning.layout import UNIT, Layout
from edge_runtime.provisioning.plan import File, Plan, check_space
from edge_runtime.provisioning.questions import Terminal, ask, defaults, find_cameras
from edge_runtime.provisioning.trial import FirstWindow, FirstWindowWatch, try_broker, try_camera
from edge_runtime.provisioning.unit import check_reachable, roomtone_program
from edge_runtime.publishing.credentials import Credentials, load_credentials
from edge_runtime.publishing.watch import line
from edge_runtime.status_file import judge, read_status

_START_S: Final = 4.0  # until a quick board's first frame
_RUNTIME: Final = Path("/run/roomtone")  # the unit's RuntimeDirectory


class Installer(Terminal, Protocol):
    """Whoever stands on the ladder: asked, told, and kept informed of long waits."""

    def waiting(self, what: str, expected_s: float) -> AbstractContextManager[Callable[[float], None]]:
        """A wait; what it gives is told how long it has been, s."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """How it is done.

    Attributes:
        layout: where the files lie.
        asks: what is open is asked; else it is a fault, or has its default.
        takes_defaults: what is open has its default.
        calls_network_cameras: by ONVIF, for the list of cameras.
        with_service: systemd starts the device, where it runs.
        tries: camera, broker and first window are tried.
        writes: else the plan is only shown.
    """

    layout: Layout
    asks: bool = False
    takes_defaults: bool = False
    calls_network_cameras: bool = False
    with_service: bool = True
    tries: bool = True
    writes: bool = True

    @property
    def starts_service(self) -> bool:
        """Whether systemd is there, wanted, and this is the board itself."""
        is_here = self.layout.root == Path("/")
        return self.with_service and self.tries and is_here and service.is_systemd_running()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done.

    Attributes:
        device: as it is now.
        touched: files that were written or removed.
        first: the first window; None where none was waited for.
        is_dry: nothing was written; `touched` would have been.
    """

    device: Device
    touched: tuple[File, ...]
    first: FirstWindow | None
    is_dry: bool = False

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        ids = self.device.config.device
        identity, first = self.device.identity, self.first
        told: dict[str, Any] = {
            "site": ids.site,
            "room": ids.room,
            "device": ids.device,
            "auth": identity.auth,
            "would_touch" if self.is_dry else "touched": [str(file.path) for file in self.touched],
            "notes": list(self.device.notes),
        }
        if identity.login_line is not None:
            told["login_line"] = identity.login_line
        if first is not None:
            told |= {"waited_s": round(first.waited_s, 1), "read_back": first.event is not None}
        return told


def provision(answers: Answers, options: Options, installer: Installer) -> Outcome:
    """See the module.

    Args:
        answers: from options and a file.
        options: how.
        installer: is asked and told.

    Raises:
        ConfigurationError: answers are missing or wrong; all that is wrong with a certificate.
        UnlawfulUseError: the declared use is prohibited.
        SourceError, BrokerError: camera or broker do not work; with what to do.
        MissingExtraError: `provision` for certificates, `onvif` for calling cameras.
        ProvisioningError: the board has several cameras; the disk, the service, a certificate that has to be signed
            first, no first window.
    """
    layout, say = options.layout, installer.say
    _check_has_one_camera(layout)
    earlier = _earlier(layout)
    device = resolve(_complete(answers, earlier, options, installer), layout)
    for written, identifier in device.names:
        say(f"{written} → {identifier}")
    for note in (*device.notes, *_moved(device, earlier)):
        say(f"note: {note}")
    if options.starts_service:
        check_reachable(roomtone_program())
    check_space(layout.state)
    plan = Plan(tuple(device.files()), service.START if options.starts_service else ())
    if not options.writes:
        say("\n".join(plan.lines(with_contents=True)))
        return Outcome(device, tuple(plan.changes), None, is_dry=True)
    changes = [(file.state, file) for file in plan.changes]
    plan.write()
    for state, file in changes:
        say(f"{state:<9}  {file.path}")
    if not changes:
        say("every file is as it should be; nothing was changed")
    touched = tuple(file for _, file in changes)
    if device.identity.login_line is not None and any(file.is_secret for _, file in changes):
        say(f"a line for the broker's password file:\n{device.identity.login_line}")
    if not options.tries:
        say("nothing was tried or started")
        return Outcome(device, touched, None)
    if options.starts_service and not changes and service.is_active():
        say("the device is running")
        return Outcome(device, touched, None)
    return Outcome(device, touched, _start(device, options, installer))


def _check_has_one_camera(layout: Layout) -> None:
    """`camera.toml` lies below the cameras' own files: what is asked here would be said of all of them."""
    if files := camera_files([layout.configuration]):
        names = ", ".join(file.stem for file in files)
        raise ProvisioningError(
            f"this board has several cameras ({names}), and provision sets up one",
            hint=f"edit the files in {files[0].parent}, then: roomtone config validate {layout.configuration} "
            f"{files[0]}; systemctl restart roomtone; docs/cameras.md has the rest",
        )


def _complete(answers: Answers, earlier: Answers, options: Options, installer: Installer) -> Answers:
    """All answers: given, asked, of an earlier time, or the defaults."""

    def camera(source: str) -> str:
        return _try_camera(source, earlier, options.layout) if options.tries else "not tried"

    def broker(url: str) -> str:
        return _try_broker(url, answers, options.layout) if options.tries else "not tried"

    if options.asks:
        is_open = answers.camera is None
        cameras = find_cameras(installer, with_onvif=options.calls_network_cameras) if is_open else []
        proposals = earlier.over(defaults(cameras))
        asked = ask(answers, proposals, installer, cameras=cameras, try_camera=camera, try_broker=broker)
        return asked.over(earlier)
    complete = answers.over(earlier)
    if options.takes_defaults:
        complete = complete.over(defaults(usb_cameras()))
    if complete.camera is not None:
        camera(complete.camera)
    if complete.broker is not None:
        broker(complete.broker)
    return complete


def _earlier(layout: Layout) -> Answers:
    """What the device here was told before; nothing for a bare board."""
    if not any((layout.configuration / name).exists() for name in LAYER_FILES):
        return Answers()
    return answers_of(load_config(layout.configuration))


def _moved(device: Device, earlier: Answers) -> list[str]:
    """What the broker keeps of a device that is called otherwise from now on."""
    ids = device.config.device
    before, now = (earlier.site, earlier.room, earlier.device), (ids.site, ids.room, ids.device)
    if earlier.broker is None or before == now:
        return []
    name = "/".join(filter(None, before))
    return [f"it was {name}; to clear that: roomtone mqtt forget {name} --broker {earlier.broker}"]


def _try_camera(source: str, earlier: Answers, layout: Layout) -> str:
    """Takes a frame, unless the device is running and has the camera itself."""
    if source == earlier.camera:
        running = judge(read_status([_RUNTIME, layout.state], load_config(layout.configuration)))
        if running.status is not None and running.word not in ("dead", "stopped"):
            return "the running device has it"
        kept = {VARIABLE: str(layout.credentials)}
        if is_network(source) and (user := read_credential("camera_username", kept)) is not None:
            source = with_login(source, user, read_credential("camera_password", kept))
    frame = try_camera(Config.model_validate({"camera": {"source": source}}).camera)
    height, width = frame.image_bgr.shape[:2]
    return f"it opens: {width}×{height}"


def _try_broker(url: str, answers: Answers, layout: Layout) -> str:
    """Connects as far as that can be done before the device has its own login or certificate."""
    if answers.auth in ("derive", "certificate") or answers.certificate is not None:
        return "it is tried when the device can show who it is"
    if (layout.credentials / "mqtt_username").exists() and answers.username is None and "@" not in url:
        return "it is tried with the login that the device has"
    plain, user, password = without_login(broker_url(url))
    if answers.password_file is not None:
        password = read(answers.password_file).decode("utf-8", "replace").rstrip("\r\n")
    user = user or answers.username
    login = Credentials(user, password) if user is not None else load_credentials()
    mqtt = MqttSection(url=plain, ca_file=answers.ca_file if plain.startswith("mqtts") else None)
    return f"it lets this device in, MQTT {try_broker(mqtt, login)}"


def _start(device: Device, options: Options, installer: Installer) -> FirstWindow:
    """Starts the device and waits for its first window."""
    layout, identity = device.layout, device.identity
    if identity.awaits_certificate:
        raise ProvisioningError(
            f"the device's certificate is still missing; its request is {layout.request}",
            hint="have it signed, then: roomtone provision --certificate FILE --ca-file FILE",
        )
    config = load_config(layout.configuration)
    try:
        try_broker(config.mqtt, load_credentials(_environment(layout)))
    except BrokerRefusedError as error:
        if identity.login_line is None:
            raise
        hint = (
            f"let its admin add this line to the password file, then run this again:\n{identity.login_line}"
        )
        raise BrokerRefusedError(error.url, error.problem, hint=hint) from error
    if not options.starts_service:
        why = "as asked" if service.is_systemd_running() else "systemd is not running here"
        installer.say(f"no service ({why}): the device runs until its first window, and ends")
    with installer.waiting("first window", config.room.window_s + _START_S) as on_wait:
        first = (_by_service if options.starts_service else _by_process)(config, layout, on_wait)
    told = "the broker took it; this login may not read it back" if first.event is None else line(first.event)
    installer.say(f"first window after {first.waited_s:.0f} s: {told}")
    if not options.starts_service:
        installer.say(f"to run it: roomtone run --config {layout.configuration}")
    return first


def _by_service(config: Config, layout: Layout, on_wait: Callable[[float], None]) -> FirstWindow:
    with FirstWindowWatch(config, _RUNTIME, _environment(layout)) as watch:
        service.run(service.START)
        first = watch.wait(has_ended=lambda: not service.is_active(), on_wait=on_wait)
    if first is None:
        raise ProvisioningError(
            f"the service ended:\n{service.last_words()}",
            hint=f"journalctl -u {UNIT}; roomtone doctor --config {layout.configuration}",
        )
    return first


def _by_process(config: Config, layout: Layout, on_wait: Callable[[float], None]) -> FirstWindow:
    layout.state.mkdir(parents=True, exist_ok=True)
    environ = _environment(layout)
    with (
        tempfile.TemporaryDirectory(prefix="roomtone-provision-") as folder,
        FirstWindowWatch(config, layout.state, environ) as watch,
        running_agent(layout.configuration, Path(folder) / "log", environ) as process,
    ):
        first = watch.wait(has_ended=lambda: process.poll() is not None, on_wait=on_wait)
        if first is None:
            problem, hint = last_words(process, Path(folder) / "log")
            raise ProvisioningError(f"the device ended: {problem}", hint=hint)
    return first


def _environment(layout: Layout) -> dict[str, str]:
    """The process's own, with the device's secrets and state, and without what would go before them."""
    hidden = ("ROOMTONE_MQTT_USERNAME", "ROOMTONE_MQTT_PASSWORD", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET")
    own = {key: value for key, value in os.environ.items() if key not in hidden}
    return own | {VARIABLE: str(layout.credentials), "STATE_DIRECTORY": str(layout.state)}
