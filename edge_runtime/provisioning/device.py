"""From answers to a device: its ids, its configuration, its credentials, its files.

device = resolve(answers, Layout())     # nothing is written yet
plan = Plan(tuple(device.files()))
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from edge_runtime.board import read_board
from edge_runtime.config import SCHEMA_ID, Config, DeploymentSection
from edge_runtime.config_layers import LAYER_FILES, is_relative_path, layer_of, merged
from edge_runtime.credential_files import NAMES
from edge_runtime.device_profile import AUTO, find_profile, load_profile
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.frames.address import is_network, without_login
from edge_runtime.lawful import check_lawful
from edge_runtime.provisioning.answers import Answers
from edge_runtime.provisioning.identity import Identity, identify, read
from edge_runtime.provisioning.layout import Layout
from edge_runtime.provisioning.naming import LONGEST, slug
from edge_runtime.provisioning.plan import File
from edge_runtime.provisioning.toml_editing import updated
from edge_runtime.provisioning.unit import unit_text

_HEADER: Final = {
    "site.toml": "# What all devices of the site share. Written by `roomtone provision`, which keeps what you add.",
    "room.toml": "# The room. Written by `roomtone provision`, which keeps what you add: a timetable, zones.",
    "camera.toml": "# This device. Written by `roomtone provision`, which keeps what you add.",
}


@dataclass(frozen=True, slots=True)
class Device:
    """A device as it is going to be.

    Attributes:
        config: whole and checked, as the agent will read it.
        identity: how it shows the broker who it is.
        layout: where its files lie.
        layers: name of each configuration file → its text.
        authority: PEM of the broker's authority; None where the system's are trusted.
        names: what was written → the id that became of it.
        notes: what is worth knowing.
    """

    config: Config
    identity: Identity
    layout: Layout
    layers: Mapping[str, str]
    authority: bytes | None
    names: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def files(self) -> Iterator[File]:
        """Every file, also those that must go."""
        layout, secrets = self.layout, self.identity.secrets
        for name, text in self.layers.items():
            yield File(layout.configuration / name, text.encode(), 0o644, "configuration")
        for name in NAMES:
            data = secrets.get(name)
            file = File(layout.credentials / name, data, 0o600, "secret: root's own", is_secret=True)
            if data is not None or file.path.exists():
                yield file
        if self.identity.request is not None:
            yield File(layout.request, self.identity.request, 0o644, "request for the device's certificate")
        if self.authority is not None:
            yield File(layout.authority, self.authority, 0o644, "the broker's authority")
        unit = unit_text(layout, [name for name in NAMES if name in secrets])
        yield File(layout.unit, unit.encode(), 0o644, "systemd unit")


def resolve(answers: Answers, layout: Layout, environ: Mapping[str, str] | None = None) -> Device:
    """Makes a device of answers, and of what is there already.

    Args:
        answers: complete but for what has a default.
        layout: where its files lie, or will.
        environ: may hold ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD; the process's own when None.

    Raises:
        ConfigurationError: answers are missing or wrong; all that is wrong with a certificate.
        UnlawfulUseError: the declared use is prohibited.
        MissingExtraError: a certificate is wanted, and the extra `provision` is not installed.
    """
    environ = os.environ if environ is None else environ
    names, ids = _ids(answers)
    source, *camera_login = _camera(answers.camera or "")
    url, *broker_login = without_login(broker_url(answers.broker or ""))
    identity = identify(
        answers,
        place="/".join(ids[key] for key in ("site", "room", "device")),
        layout=layout,
        in_url=(broker_login[0], broker_login[1]),
        environ=environ,
    )
    if camera_login[0] is not None or source != _earlier_source(layout):
        identity.put_login("camera", (camera_login[0], camera_login[1]))
    notes = [f"certificate: {warning}" for warning in identity.warnings]
    layers = _layers(answers, ids, source, url, layout, dict(names), notes)
    config = _checked(layers, layout)
    check_lawful(config.deployment)
    return Device(
        config=config,
        identity=identity,
        layout=layout,
        layers=layers,
        authority=None if answers.ca_file is None else read(answers.ca_file),
        names=names,
        notes=tuple(notes),
    )


def _ids(answers: Answers) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
    """Names as written beside their ids, and the ids."""
    missing = [key for key in ("site", "room", "camera", "broker") if getattr(answers, key) is None]
    faults = [Fault(key, f"is not answered; --{key} gives it") for key in missing]
    written = {"site": answers.site, "room": answers.room, "device": answers.device}
    ids: dict[str, str] = {}
    for key, name in written.items():
        try:
            if name is not None:
                ids[key] = slug(name)
        except ValueError as exc:
            faults.append(Fault(key, str(exc)))
    if faults:
        hint = "run it on a terminal to be asked, or give --yes to take what has a default"
        raise ConfigurationError("what was answered", faults, hint=hint)
    ids.setdefault("device", f"{ids['room'][: LONGEST - 7]}-camera")
    names = ((name, ids[key]) for key, name in written.items() if name is not None)
    return tuple(pair for pair in names if pair[0] != pair[1]), ids


def broker_url(text: str) -> str:
    """A broker's address as people give it: a host alone is one that is spoken to in plain MQTT."""
    text = text.strip().rstrip("/")
    return text if "://" in text else f"mqtt://{text}"


def _camera(source: str) -> tuple[str, str | None, str | None]:
    source = source.strip()
    if is_network(source):
        return without_login(source)
    return (str(Path(source).resolve()) if is_relative_path(source) else source), None, None


def _earlier_source(layout: Layout) -> str | None:
    """The camera that the kept login is for: it must not be shown to another."""
    path = layout.configuration / "camera.toml"
    if not path.exists():
        return None
    camera = layer_of(read(path).decode("utf-8", "replace"), name=str(path)).document.get("camera", {})
    return camera.get("source") if isinstance(camera, dict) else None


def _layers(
    answers: Answers,
    ids: Mapping[str, str],
    source: str,
    url: str,
    layout: Layout,
    written: Mapping[str, str],
    notes: list[str],
) -> dict[str, str]:
    """The configuration files: as they are, with what was answered."""
    default = Config().deployment
    values: dict[str, dict[str, Any]] = {
        "site.toml": {
            "device.site": ids["site"],
            "deployment.jurisdiction": _country(answers.jurisdiction or default.jurisdiction),
            "deployment.setting": answers.setting or default.setting,
            "deployment.purpose": answers.purpose or default.purpose,
            "deployment.contact": answers.contact,
            "mqtt.url": url,
            "mqtt.ca_file": layout.authority.name if answers.ca_file is not None else None,
        },
        "room.toml": {
            "device.room": ids["room"],
            "room.window_s": answers.window_s,
            "room.min_group": answers.min_group,
        },
        "camera.toml": {"device.device": ids["device"], "camera.source": source},
    }
    if source.startswith("simulated:"):
        values["camera.toml"]["camera.realtime"] = True
    if (profile := _profile(answers, layout, notes)) is not None:
        values["camera.toml"]["profile"] = profile
    comments = {f"device.{key}": name for key, name in written.items()}
    texts = {}
    for name in LAYER_FILES:
        path = layout.configuration / name
        text = read(path).decode("utf-8", "replace") if path.exists() else f"{_HEADER[name]}\n"
        texts[name] = updated(text, {"schema": SCHEMA_ID, **values[name]}, origin=str(path), notes=comments)
    return texts


def _country(text: str) -> str:
    """As the configuration spells it, so that a second run changes nothing; what is none is left to its check."""
    try:
        return DeploymentSection(jurisdiction=text).jurisdiction
    except ValidationError:
        return text


def _profile(answers: Answers, layout: Layout, notes: list[str]) -> str | None:
    """The profile's name; None leaves what the configuration says, and if it says nothing the defaults."""
    if answers.profile not in (None, AUTO):
        return load_profile(answers.profile or AUTO, layout.configuration).name
    path = layout.configuration / "camera.toml"
    if answers.profile is None and path.exists():
        return layer_of(read(path).decode(), name=str(path)).profile
    try:
        return find_profile(read_board()).name
    except ConfigurationError as error:
        notes.append(f"{error.faults[0].problem}; the defaults are used")
        return None


def _checked(layers: Mapping[str, str], layout: Layout) -> Config:
    """The configuration, as the agent will read it."""
    folder = layout.configuration
    read = [layer_of(text, name=str(folder / name), folder=folder) for name, text in layers.items()]
    return merged(read, origin="what was answered").config
