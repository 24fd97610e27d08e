"""What an installer answers: asked by the wizard, given by flags, or read from a file; all the same keys.

site = "Grundschule Köln-Süd"
room = "R 12"
camera = "/dev/video0"
jurisdiction = "GB"
purpose = "research"
broker = "mqtts://broker.school"
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_runtime.config import Config, Purpose
from edge_runtime.config_layers import is_relative_path
from edge_runtime.errors import UNREADABLE_HINT, ConfigurationError, Fault

Auth = Literal["none", "password", "derive", "certificate"]
_FILES = ("password_file", "certificate", "ca_file")


class Answers(BaseModel):
    """All answers; None where there is none yet.

    Attributes:
        site, room, device: names as people write them; they become ids.
        camera: as `camera.source`; user and password in a url are kept apart from it.
        jurisdiction, setting, purpose, contact: as under `[deployment]`.
        broker: url; user and password in it are kept apart from it.
        auth: how the device shows who it is; found out from the other answers when None.
        username, password_file: for `password`.
        certificate: PEM, for `certificate`.
        ca_file: PEM of the authority that signed the broker's certificate.
        profile: of the board; `auto` finds it.
        window_s, min_group: as under `[room]`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    site: str | None = Field(None, min_length=1)
    room: str | None = Field(None, min_length=1)
    device: str | None = Field(None, min_length=1)
    camera: str | None = Field(None, min_length=1, repr=False)
    jurisdiction: str | None = None
    setting: Literal["education", "workplace", "healthcare", "laboratory", "other"] | None = None
    purpose: Purpose | None = None
    contact: str | None = None
    broker: str | None = Field(None, min_length=1, repr=False)
    auth: Auth | None = None
    username: str | None = None
    password_file: Path | None = None
    certificate: Path | None = None
    ca_file: Path | None = None
    profile: str | None = None
    window_s: float | None = None
    min_group: int | None = None

    def over(self, other: Answers) -> Self:
        """These answers, and where there is none the other's."""
        return type(self)(**{**other.given(), **self.given()})

    def given(self) -> dict[str, Any]:
        """The answers that there are."""
        return {key: value for key, value in self if value is not None}


def read_answers(file: Path) -> Answers:
    """Reads a file of answers. Relative paths in it are meant from its own folder.

    Raises:
        ConfigurationError: it cannot be read, holds keys that are none, or values that cannot be.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        fault = Fault("", f"cannot be read: {exc.strerror}")
        raise ConfigurationError(str(file), [fault], hint=UNREADABLE_HINT) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(str(file), [Fault("", f"not valid TOML: {exc}")]) from exc
    answers = checked(document, origin=str(file))
    changed: dict[str, Any] = {
        key: file.parent / path for key in _FILES if (path := getattr(answers, key)) is not None
    }
    if answers.camera is not None and is_relative_path(answers.camera):
        changed["camera"] = str((file.parent / answers.camera).resolve())
    return answers.model_copy(update=changed)


def checked(document: dict[str, Any], *, origin: str) -> Answers:
    """Answers from a table of them.

    Raises:
        ConfigurationError: all that is wrong with it.
    """
    try:
        return Answers.model_validate(document)
    except ValidationError as exc:
        faults = []
        for item in exc.errors(include_url=False, include_input=False):
            key = ".".join(map(str, item["loc"]))
            problem = f"{item['msg'][0].lower()}{item['msg'][1:]}"
            if item["type"] == "extra_forbidden":
                close = get_close_matches(key, list(Answers.model_fields), n=1)
                problem = "is no answer that is asked for" + (f"; did you mean {close[0]}?" if close else "")
            faults.append(Fault(key, problem))
        hint = f"answers are {', '.join(Answers.model_fields)}"
        raise ConfigurationError(origin, faults, hint=hint) from exc


def answers_of(config: Config) -> Answers:
    """What a device that is provisioned already was told: the defaults of the next time."""
    default = Config()
    return Answers(
        site=config.device.site,
        room=config.device.room,
        device=config.device.device,
        camera=config.camera.source,
        jurisdiction=config.deployment.jurisdiction,
        setting=config.deployment.setting,
        purpose=config.deployment.purpose,
        contact=config.deployment.contact or None,
        broker=config.mqtt.url,
        ca_file=config.mqtt.ca_file,
        window_s=config.room.window_s if config.room.window_s != default.room.window_s else None,
        min_group=config.room.min_group if config.room.min_group != default.room.min_group else None,
    )
