"""One configuration from several files: profile, site, room, camera; what comes later wins, key by key.

    layered = read_layers(Path("/etc/roomtone"))     # site.toml, room.toml and camera.toml of this folder
    layered.config.camera.width_px                   # 1280
    layered.origin("camera", "width_px")             # profile raspberry-pi-5

Any of the files may say `profile = "raspberry-pi-5"`: the board's profile then lies below them all. An array is one
value: a later one replaces an earlier one whole.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from edge_runtime.config import Config, url_scheme
from edge_runtime.config_faults import faults_of, lines_of_keys
from edge_runtime.config_migration import to_current
from edge_runtime.device_profile import load_profile
from edge_runtime.errors import ConfigurationError, Fault, RoomtoneError

_log = logging.getLogger(__name__)

LAYER_FILES: Final = (
    "site.toml",
    "room.toml",
    "camera.toml",
)  # of a folder, in the order in which they are read


CAMERAS_FOLDER: Final = "cameras"  # of a folder of layers: a file for each camera of a board that has several


@dataclass(frozen=True, slots=True)
class Layer:
    """One file, or the board's profile.

    Attributes:
        name: the file's path, or `profile <name>`.
        document: section → key → value, in the names of this version.
        lines: dotted key → line, 1-based.
        folder: where relative paths are meant from; None: they stay relative.
        profile: what the file says under `profile`.
        sources: dotted key → where a profile's value is from.
    """

    name: str
    document: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)
    folder: Path | None = None
    profile: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layered:
    """The configuration, and the layers that it is made of, lowest first."""

    config: Config
    layers: tuple[Layer, ...]

    def origin(self, section: str, key: str) -> str:
        """Which layer set a key: `default`, the profile, or the file with its line."""
        layer = _owner(self.layers, section, key)
        if layer is None:
            return "default"
        dotted = f"{section}.{key}"
        if dotted in layer.sources:
            return f"{layer.name} ({layer.sources[dotted]})"
        return f"{layer.name}:{layer.lines[dotted]}" if dotted in layer.lines else layer.name


def read_layers(*paths: Path) -> Layered:
    """Reads files, and folders that hold `site.toml`, `room.toml`, `camera.toml`; later ones win.

    Relative paths in a file are meant from the file's own folder, also those of films and folders of images.

    Raises:
        ConfigurationError: files are missing, not TOML, or have faults; all of them are listed.
    """
    faults: list[Fault] = []
    files = [file for path in paths for file in _files_of(path, faults)]
    layers = [layer for file in files if (layer := _read(file, faults)) is not None]
    origin = ", ".join(str(path) for path in paths)
    if faults:
        raise ConfigurationError(
            origin, faults, hint="roomtone config show prints a configuration to start from"
        )
    return merged(layers, origin=origin)


def camera_files(paths: Iterable[Path]) -> list[Path]:
    """The files in `cameras/` of these folders: each is the last layer of one camera of the board."""
    return [
        file for path in paths if path.is_dir() for file in sorted((path / CAMERAS_FOLDER).glob("*.toml"))
    ]


def merged(layers: Sequence[Layer], *, origin: str) -> Layered:
    """Lays the board's profile below the layers, merges them, and checks the result whole.

    Raises:
        ConfigurationError: every fault, each with its file and line.
    """
    named = next((layer for layer in reversed(layers) if layer.profile is not None), None)
    if named is not None and named.profile is not None:
        layers = [_profile_layer(named, named.profile), *layers]
    document: dict[str, Any] = {}
    for layer in layers:
        for section, keys in layer.document.items():
            known = document.get(section)
            is_merged = isinstance(keys, dict) and isinstance(known, dict)
            document[section] = {**(known or {}), **keys} if is_merged else keys
    try:
        config = Config.model_validate(document)
    except ValidationError as exc:
        raise ConfigurationError(origin, _placed(faults_of(exc), layers)) from exc
    return Layered(_with_whole_paths(config, lambda *key: _owner(layers, *key)), tuple(layers))


def layer_of(text: str, *, name: str, folder: Path | None = None) -> Layer:
    """A layer from TOML text.

    Raises:
        ConfigurationError: not TOML, of an unknown version, or `profile` is no text.
    """
    try:
        document, moved = to_current(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(name, [Fault("", f"not valid TOML: {exc}")]) from exc
    except ValueError as exc:
        hint = "a newer roomtone reads it: pip install -U roomtone"
        raise ConfigurationError(name, [Fault("schema", str(exc))], hint=hint) from exc
    lines = lines_of_keys(text)
    if moved:
        told = ", ".join(f"{old} is now {new}" for old, new in moved.items())
        _log.warning("%s is of an earlier version (%s); roomtone config migrate writes it anew", name, told)
        lines |= {new: lines[old] for old, new in moved.items() if old in lines}
    profile = document.pop("profile", None)
    if profile is not None and not isinstance(profile, str):
        raise ConfigurationError(name, [Fault("profile", "is no text", lines.get("profile"))])
    return Layer(name, document, lines, folder, profile)


def is_relative_path(source: str) -> bool:
    """Whether a camera's source is a film or folder that is named from somewhere."""
    source = source.strip()
    return not (url_scheme(source) or source.isdecimal() or source.startswith(("/", "~")))


def _files_of(path: Path, faults: list[Fault]) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [path / name for name in LAYER_FILES if (path / name).exists()]
    if not files and not (path / CAMERAS_FOLDER).is_dir():
        faults.append(Fault("", f"{path} holds none of {', '.join(LAYER_FILES)}"))
    return files


def _read(file: Path, faults: list[Fault]) -> Layer | None:
    try:
        return layer_of(file.read_text(encoding="utf-8"), name=str(file), folder=file.parent)
    except OSError as exc:
        faults.append(Fault("", f"cannot be read: {exc.strerror}", file=str(file)))
    except UnicodeDecodeError as exc:
        faults.append(Fault("", f"is not UTF-8 text: {exc.reason}", file=str(file)))
    except ConfigurationError as error:
        faults.extend(Fault(fault.key, fault.problem, fault.line, str(file)) for fault in error.faults)
    return None


def _profile_layer(layer: Layer, wanted: str) -> Layer:
    try:
        profile = load_profile(wanted, layer.folder)
    except RoomtoneError as error:
        fault = Fault("profile", str(error), layer.lines.get("profile"))
        raise ConfigurationError(layer.name, [fault], hint=error.hint) from error
    return Layer(f"profile {profile.name}", profile.configuration, sources=profile.sources)


def _owner(layers: Sequence[Layer], section: str, key: str) -> Layer | None:
    """The last layer that has the key."""
    for layer in reversed(layers):
        keys = layer.document.get(section)
        if isinstance(keys, dict) and key in keys:
            return layer
    return None


def _placed(faults: list[Fault], layers: Sequence[Layer]) -> list[Fault]:
    """The faults with the file and line of the layer that a key is from; files are named where there are several."""
    placed = []
    for fault in faults:
        parts = fault.key.split(".")
        owner = _owner(layers, *parts[:2]) if len(parts) > 1 else None
        if owner is None:  # a section, or keys of it that do not fit together
            owner = next((layer for layer in reversed(layers) if parts[0] in layer.document), None)
        if owner is None:
            placed.append(fault)
            continue
        line = next((owner.lines[key] for key in _upwards(parts) if key in owner.lines), None)
        placed.append(Fault(fault.key, fault.problem, line, owner.name if len(layers) > 1 else None))
    names = [layer.name for layer in layers]
    return sorted(
        placed,
        key=lambda fault: (
            names.index(fault.file) if fault.file else 0,
            fault.line is None,
            fault.line or 0,
            fault.key,
        ),
    )


def _upwards(parts: Sequence[str]) -> list[str]:
    """`a.0.b`, `a.0`, `a`: a fault inside of a value has the line of the value, if not one of its own."""
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _with_whole_paths(config: Config, owner: Callable[[str, str], Layer | None]) -> Config:
    sections: dict[str, BaseModel] = {}
    for name in type(config).model_fields:
        section: BaseModel = getattr(config, name)
        changed: dict[str, Path | str] = {}
        for key, value in section:
            layer = owner(name, key)
            if layer is None or layer.folder is None:
                continue
            if isinstance(value, Path) and not value.is_absolute():
                changed[key] = layer.folder / value
            elif (name, key) == ("camera", "source") and is_relative_path(value):
                changed[key] = str(layer.folder / value.strip())
        if changed:
            sections[name] = section.model_copy(update=changed)
    return config.model_copy(update=sections)
