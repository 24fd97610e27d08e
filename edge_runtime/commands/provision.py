"""`roomtone provision`: from a bare board to a publishing camera."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(add_completion=False)
_ANSWERS, _LOGIN, _HOW = "Answers", "Who the device is to the broker", "How it is done"


@app.command()
def provision(
    site: Annotated[
        str | None, typer.Option(help="the school or building, as people call it", rich_help_panel=_ANSWERS)
    ] = None,
    room: Annotated[
        str | None, typer.Option(help="the room, as people call it", rich_help_panel=_ANSWERS)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="this device; <room>-camera when absent", rich_help_panel=_ANSWERS)
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            help="index, device file, rtsp/http url, film, or simulated://…", rich_help_panel=_ANSWERS
        ),
    ] = None,
    jurisdiction: Annotated[
        str | None, typer.Option(help="country, two letters; EU or EEA", rich_help_panel=_ANSWERS)
    ] = None,
    setting: Annotated[
        str | None,
        typer.Option(help="education, workplace, healthcare, laboratory, other", rich_help_panel=_ANSWERS),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            help="simulation, research, education, wellbeing, medical, safety", rich_help_panel=_ANSWERS
        ),
    ] = None,
    contact: Annotated[
        str | None, typer.Option(help="who answers questions about this device", rich_help_panel=_ANSWERS)
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(
            help="address, as mqtts://host; user:password@ before the host if it asks for one",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    auth: Annotated[
        str | None,
        typer.Option(
            help="none, password, derive (a login of its own), certificate; by the other answers when absent",
            rich_help_panel=_LOGIN,
        ),
    ] = None,
    username: Annotated[str | None, typer.Option(help="for the broker", rich_help_panel=_LOGIN)] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="file that holds the broker's password", rich_help_panel=_LOGIN)
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="this device's certificate, PEM", rich_help_panel=_LOGIN)
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(help="authority that signed the broker's certificate, PEM", rich_help_panel=_LOGIN),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="of the board: a name, a file, or auto", rich_help_panel=_ANSWERS)
    ] = None,
    window_s: Annotated[
        float | None, typer.Option("--window", help="length of a window, s", rich_help_panel=_ANSWERS)
    ] = None,
    min_group: Annotated[
        int | None, typer.Option(help="fewer people than this: nothing is told", rich_help_panel=_ANSWERS)
    ] = None,
    answers_file: Annotated[
        Path | None,
        typer.Option("--answers", help="TOML file with the same keys as these options", rich_help_panel=_HOW),
    ] = None,
    root: Annotated[
        Path,
        typer.Option(
            help="write below this folder: an image that is being prepared, or a trial", rich_help_panel=_HOW
        ),
    ] = Path("/"),
    onvif: Annotated[
        bool, typer.Option("--onvif", help="also call network cameras; extra onvif", rich_help_panel=_HOW)
    ] = False,
    no_service: Annotated[
        bool,
        typer.Option(
            "--no-service",
            help="do not start the service; run the device for its first window",
            rich_help_panel=_HOW,
        ),
    ] = False,
    no_check: Annotated[
        bool,
        typer.Option(
            "--no-check",
            help="try neither camera nor broker, start nothing; for images",
            rich_help_panel=_HOW,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="show every file and command; write nothing", rich_help_panel=_HOW),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="ask nothing, take what has a default", rich_help_panel=_HOW)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="what was done, as JSON; asks nothing", rich_help_panel=_HOW)
    ] = False,
) -> None:
    r"""Makes this board a device: finds profile and cameras, writes its files, starts it, waits for its first window.

    On a terminal it asks what the options leave open, six questions at most. A second run changes only what differs.

    \b
    sudo roomtone provision
    sudo roomtone provision --dry-run
    sudo roomtone provision --answers room-12.toml
    sudo roomtone provision --broker mqtts://broker.school --ca-file ca.pem --auth certificate
    sudo roomtone provision --certificate room-12-camera.pem
    roomtone provision --root image/ --no-check --answers room-12.toml
    """
    from edge_runtime.provisioning.answers import checked, read_answers
    from edge_runtime.provisioning.layout import Layout
    from edge_runtime.provisioning.provision import Options
    from edge_runtime.provisioning.provision import provision as provision_device

    given: dict[str, Any] = {
        "site": site,
        "room": room,
        "device": device,
        "camera": camera,
        "jurisdiction": jurisdiction,
        "setting": setting,
        "purpose": purpose,
        "contact": contact,
        "broker": broker,
        "auth": auth,
        "username": username,
        "password_file": password_file,
        "certificate": certificate,
        "ca_file": ca_file,
        "profile": profile,
        "window_s": window_s,
        "min_group": min_group,
    }
    answers = checked(
        {key: value for key, value in given.items() if value is not None}, origin="the command line"
    )
    if answers_file is not None:
        answers = answers.over(read_answers(answers_file))
    options = Options(
        layout=Layout(root.resolve()),
        asks=not yes and not as_json and sys.stdin.isatty(),
        takes_defaults=yes,
        calls_network_cameras=onvif,
        with_service=not no_service,
        tries=not no_check,
        writes=not dry_run,
    )
    outcome = provision_device(answers, options, _Terminal(is_silent=as_json))
    if as_json:
        typer.echo(json.dumps(outcome.to_json(), ensure_ascii=False))


class _Terminal:
    """Questions, lines and progress for an installer; silent when only JSON is wanted."""

    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent

    def ask(self, question: str, default: str) -> str:
        return str(typer.prompt(question, default=default))

    def say(self, text: str) -> None:
        if not self._is_silent:
            typer.echo(text)

    @contextmanager
    def waiting(self, what: str, expected_s: float) -> Iterator[Callable[[float], None]]:
        from edge_runtime.commands.progress import work_progress

        with work_progress() as progress:
            task = progress.add_task(what, total=round(expected_s), note="s")
            yield lambda waited_s: progress.update(task, completed=min(round(waited_s), round(expected_s)))
