"""The one command, `roomtone`. Its parts are loaded when they are called, so that `roomtone run` starts at once."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

import typer
from typer.core import TyperGroup

from edge_runtime import __version__
from edge_runtime.errors import MissingExtraError, RoomtoneError

# name → (module:app, one line of help). The help is here so that `roomtone --help` imports nothing.
_DEVICE: Final = {
    "run": (
        "edge_runtime.commands.run:app",
        "Run the camera: frames in, room-level emotion events out over MQTT.",
    ),
    "demo": (
        "edge_runtime.commands.demo:app",
        "See it work: embedded broker, simulated classroom, live table.",
    ),
    "watch": ("edge_runtime.commands.watch:app", "A live table of all rooms on a broker."),
    "mqtt": (
        "edge_runtime.commands.mqtt:app",
        "The contract as JSON Schema and AsyncAPI; forget a device that is gone.",
    ),
    "provision": (
        "edge_runtime.commands.provision:app",
        "Make this board a device: files, service, first window.",
    ),
    "deprovision": (
        "edge_runtime.commands.deprovision:app",
        "Take this device down, on the board and on the broker.",
    ),
    "health": ("edge_runtime.commands.health:app", "Say whether the agent on this machine is healthy."),
    "doctor": (
        "edge_runtime.commands.doctor:app",
        "What is wrong with this device, and what to do about it.",
    ),
    "support-bundle": (
        "edge_runtime.commands.support_bundle:app",
        "An archive for a bug report, without secrets and without pictures.",
    ),
    "dashboard": ("edge_runtime.commands.dashboard:app", "All rooms of a broker in a browser."),
    "collect": (
        "edge_runtime.commands.collect:app",
        "Write what all rooms publish into a database, each event once.",
    ),
    "survey": (
        "edge_runtime.commands.survey:app",
        "Which seats a camera in this place can read, and what to change.",
    ),
    "profile": (
        "edge_runtime.commands.profile:app",
        "Where each millisecond of the loop goes, stage by stage.",
    ),
    "alerts": (
        "edge_runtime.commands.alerts:app",
        "Rules that say when somebody should look at a room.",
    ),
    "simulate": (
        "edge_runtime.commands.simulate:app",
        "Simulated devices that speak the real contract, for demos and load.",
    ),
    "config": ("edge_runtime.commands.config:app", "Check, explain and print configurations."),
    "bundle": (
        "edge_runtime.commands.bundle:app",
        "Look into model bundles, verify, sign, install and activate them.",
    ),
    "fleet": ("edge_runtime.commands.fleet:app", "Roll a bundle out to all devices of a broker."),
}
# package → the extra that brings it
_EXTRAS: Final = {
    "alembic": "dashboard",
    "amqtt": "demo",
    "cryptography": "provision",
    "httpx": "dashboard",
    "matplotlib": "export,calibrate",
    "nncf": "calibrate",
    "onnx": "export,calibrate",
    "onnxscript": "export",
    "openvino": "openvino",
    "psycopg": "dashboard",
    "safetensors": "export",
    "sqlalchemy": "dashboard",
    "starlette": "dashboard",
    "torch": "export",
    "wsdiscovery": "onvif",
    "uvicorn": "dashboard",
}
_WORKSTATION: Final = {
    "train": ("export", "Train one of the papers' networks on labelled faces."),
    "sequences": ("export", "Ask networks of sequences: on clips, on films, without an attention."),
    "export": ("export", "Turn a trained network into a verified bundle."),
    "calibrate": ("calibrate", "Quantize a bundle, prove it right and faster, fit its confidence."),
    "evaluate": ("calibrate", "Measure a bundle on labelled faces, through the device's own path."),
}


class _LazyGroup(TyperGroup):
    """Finds the device's commands here and the workstation's by the entry-point group `roomtone.commands`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*_DEVICE, *_WORKSTATION]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _DEVICE and cmd_name not in _WORKSTATION:
            return None
        command = typer.main.get_command(_load(cmd_name))
        command.name = cmd_name
        _keep_examples_apart(command)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in (_DEVICE | _WORKSTATION).items()])


def _keep_examples_apart(command: Any) -> None:
    """Docstrings are raw and spell click's backspace out, with which a paragraph keeps its lines."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    for part in getattr(command, "commands", {}).values():
        _keep_examples_apart(part)


def _load(name: str) -> typer.Typer:
    if name in _DEVICE:
        module, _, attribute = _DEVICE[name][0].partition(":")
        device_app: typer.Typer = getattr(import_module(module), attribute)
        return device_app
    for entry in entry_points(group="roomtone.commands", name=name):
        workstation_app: typer.Typer = entry.load()
        return workstation_app
    raise MissingExtraError(f"`roomtone {name}`", _WORKSTATION[name][0])


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # their frames show local variables, which may hold secrets
    help="A room's emotional tone, measured on the camera: only room-level aggregates leave it.",
)


def _tell_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"roomtone {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="log more, on stderr"),
    _version: bool = typer.Option(
        False, "--version", help="say the version and exit", callback=_tell_version, is_eager=True
    ),
) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    for talkative in () if verbose else ("alembic", "httpx"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


def main() -> None:
    """Runs the command line; our own errors become a sentence, a hint and an exit code."""
    try:
        try:
            app(prog_name="roomtone")
        except ModuleNotFoundError as exc:
            package = (exc.name or "").partition(".")[0]
            if package not in _EXTRAS:
                raise
            raise MissingExtraError(package, _EXTRAS[package]) from exc
    except RoomtoneError as error:
        sys.stderr.write(f"roomtone: {error}\n")
        if error.hint:
            sys.stderr.write(f"  → {error.hint}\n")
        raise SystemExit(error.exit_code) from error
