"""The wizard's questions: six of them, each with an answer that Return takes, each checked as soon as it is given.

camera   site   room   jurisdiction   purpose   broker
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, get_args

from edge_runtime.config import DeploymentSection, Purpose
from edge_runtime.errors import MissingExtraError, RoomtoneError
from edge_runtime.frames.address import masked
from edge_runtime.lawful import ARTICLE, check_lawful, open_purposes
from edge_runtime.provisioning.answers import Answers, checked
from edge_runtime.provisioning.cameras import Camera, usb_cameras
from edge_runtime.provisioning.device import broker_url
from edge_runtime.provisioning.naming import slug

SIMULATED: Final = Camera("simulated://students=24,seed=7", "the simulated classroom, to try things out")
DEFAULT_BROKER: Final = "mqtt://localhost:1883"
DEFAULT_SITE: Final = "my-school"
DEFAULT_ROOM: Final = "room-1"


class Terminal(Protocol):
    """Where questions are asked: typer's prompt on a terminal, a list of answers in a test."""

    def ask(self, question: str, default: str) -> str:
        """The answer; the default for an empty one."""
        ...

    def say(self, text: str) -> None:
        """A line for the installer."""
        ...


def ask(
    answers: Answers,
    proposals: Answers,
    terminal: Terminal,
    *,
    cameras: list[Camera],
    try_camera: Callable[[str], str],
    try_broker: Callable[[str], str],
) -> Answers:
    """Asks what is not answered yet.

    Args:
        answers: from flags and a file; what they answer is not asked.
        proposals: what Return takes; complete.
        terminal: where to ask.
        cameras: to choose from.
        try_camera: opens a camera, and says what came of it; raises `RoomtoneError`.
        try_broker: connects to a broker, and says what came of it; raises `RoomtoneError`.
    """
    questions = _Questions(answers, proposals, terminal)
    questions.camera(cameras, try_camera)
    questions.name("site", "Site: the school or building")
    questions.name("room", "Room")
    questions.jurisdiction()
    questions.purpose()
    questions.broker(try_broker)
    return questions.answers


def defaults(cameras: list[Camera]) -> Answers:
    """What the wizard proposes for a bare board, and `--yes` takes."""
    return Answers(
        camera=cameras[0].source if cameras else SIMULATED.source,
        site=DEFAULT_SITE,
        room=DEFAULT_ROOM,
        jurisdiction=country_of_timezone(),
        purpose="simulation",
        broker=DEFAULT_BROKER,
    )


def find_cameras(terminal: Terminal, *, with_onvif: bool) -> list[Camera]:
    """USB cameras, and network cameras where the extra is installed and they are asked for.

    Raises:
        MissingExtraError: network cameras are asked for, and the extra `onvif` is not installed.
    """
    cameras = usb_cameras()
    if with_onvif:
        from edge_runtime.provisioning.onvif import onvif_cameras

        terminal.say("calling network cameras (ONVIF) ...")
        cameras += onvif_cameras()
    return cameras


def country_of_timezone(
    localtime: Path = Path("/etc/localtime"), table: Path = Path("/usr/share/zoneinfo/zone.tab")
) -> str:
    """The country whose time this machine keeps, ISO 3166-1; `unspecified` where that does not tell.

    Only a proposal: whoever installs the device says where it stands.
    """
    try:
        zone = "/".join(localtime.resolve().parts).partition("zoneinfo/")[2]
        rows = [
            line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if line[:1] != "#"
        ]
    except OSError:
        return "unspecified"
    return next((row[0] for row in rows if len(row) > 2 and row[2] == zone), "unspecified")


class _Questions:
    def __init__(self, answers: Answers, proposals: Answers, terminal: Terminal) -> None:
        self.answers, self._proposals, self._terminal = answers, proposals, terminal

    def camera(self, cameras: list[Camera], try_camera: Callable[[str], str]) -> None:
        choices = [*cameras, SIMULATED]
        if self.answers.camera is None:
            self._terminal.say("Cameras:")
            for number, camera in enumerate(choices, start=1):
                problem = f"  ({camera.problem})" if camera.problem else ""
                self._terminal.say(f"  {number}  {camera.name}  {masked(camera.source)}{problem}")

        def accept(text: str) -> dict[str, str]:
            number = int(text) if text.isdecimal() else 0
            source = choices[number - 1].source if 1 <= number <= len(choices) else text
            self._terminal.say(f"  {try_camera(source)}")
            return {"camera": source}

        self._ask("camera", "Camera: a number, or an address such as rtsp://user:password@host/path", accept)

    def name(self, key: str, question: str) -> None:
        def accept(text: str) -> dict[str, str]:
            identifier = slug(text)
            if identifier != text:
                self._terminal.say(f"  {text} → {identifier} in topics")
            return {key: text}

        self._ask(key, question, accept)

    def jurisdiction(self) -> None:
        def accept(text: str) -> dict[str, str]:
            deployment = self._deployment(jurisdiction=text)
            if (allowed := open_purposes(deployment)) != get_args(Purpose):
                words = f"in {deployment.setting} only {', '.join(allowed)} are open here"
                self._terminal.say(f"  {ARTICLE}: {words}")
            return {"jurisdiction": deployment.jurisdiction}

        self._ask("jurisdiction", "Country (two letters)", accept)

    def purpose(self) -> None:
        def accept(text: str) -> dict[str, str]:
            check_lawful(self._deployment(purpose=text))
            return {"purpose": text}

        allowed = ", ".join(open_purposes(self._deployment()))
        self._ask("purpose", f"Purpose: {allowed}", accept)

    def broker(self, try_broker: Callable[[str], str]) -> None:
        def accept(text: str) -> dict[str, str]:
            url = broker_url(text)
            self._terminal.say(f"  {try_broker(url)}")
            return {"broker": url}

        question = (
            "Broker: mqtt://host:1883 or mqtts://host:8883, user:password@ before the host if it asks for one"
        )
        self._ask("broker", question, accept)

    def _deployment(self, **changes: str) -> DeploymentSection:
        keys = ("jurisdiction", "setting", "purpose")
        given = {key: value for key in keys if (value := getattr(self.answers, key)) is not None}
        return DeploymentSection.model_validate(given | changes)

    def _ask(self, key: str, question: str, accept: Callable[[str], dict[str, str]]) -> None:
        """Asks until the answer can be accepted."""
        if getattr(self.answers, key) is not None:
            return
        default = getattr(self._proposals, key)
        while True:
            text = self._terminal.ask(question, default).strip()
            try:
                accepted = checked(accept(text), origin="the answer")
            except MissingExtraError:
                raise
            except RoomtoneError as error:
                self._terminal.say(f"  {error}" + (f"\n  → {error.hint}" if error.hint else ""))
            except ValueError as exc:
                self._terminal.say(f"  {_words(exc)}")
            else:
                self.answers = accepted.over(self.answers)
                return


def _words(error: ValueError) -> str:
    """What a check says, without the library's frame around it."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        return "; ".join(
            item["msg"].removeprefix("Value error, ") for item in error.errors(include_url=False)
        )
    return str(error)
