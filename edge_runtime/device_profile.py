"""Device profiles: what suits a kind of board, each figure with its source or marked as an estimate.

    profile = find_profile(read_board())          # raspberry-pi-5
    profile.configuration["inference"]["threads"] # 2
    profile.sources["inference.threads"]          # estimated: the other two cores

A profile is a TOML file in `firmware_configs/devices/`. Its sections `camera`, `faces`, `inference` and `stats` are
keys of the configuration and lie below all of its layers; `[board]` is what else is known of the board; `[match]`
says which boards it is for. A profile of one's own is a file like these, named by its path.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_runtime.board import Board, read_board
from edge_runtime.errors import UNREADABLE_HINT, ConfigurationError, Fault
from edge_runtime.firmware import firmware_folder

AUTO: Final = "auto"  # instead of a name: whatever fits the board that it runs on
_CONFIGURED: Final = ("camera", "faces", "inference", "stats")


@dataclass(frozen=True, slots=True)
class Profile:
    """What suits a kind of board.

    Attributes:
        name: the file's, without `.toml`.
        title: for people.
        match: which boards.
        configuration: section → key → value.
        sources: `section.key` → where the value is from.
        saturates: INT8 products are added in 16 bits here, so a network must have been quantized for that
            (`reduce_range`, `overflow_fix`).
        throttles_c: the processor slows down from this temperature on, °C.
        cores: that the loop may use; None where it is not told.
        core_speed: of one of them, as a share of a core of the reference board in `firmware_configs/perf/`, for
            estimates; None where nobody ventured one.
        core_speed_origin: why.
    """

    name: str
    title: str
    match: Match
    configuration: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, str]
    saturates: bool
    throttles_c: float
    cores: int | None
    core_speed: float | None
    core_speed_origin: str


class Match(BaseModel):
    """Which boards a profile is for; all that is given must hold. Patterns are those of a shell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device_tree: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    architecture: str | None = None
    flags_all: frozenset[str] = frozenset()
    flags_any: frozenset[str] = frozenset()

    def fits(self, board: Board) -> bool:
        """Whether the board is one of them."""
        return (
            (not self.device_tree or _matches(board.model, self.device_tree))
            and (not self.cpu or _matches(board.cpu, self.cpu))
            and self.architecture in (None, board.architecture)
            and self.flags_all <= board.flags
            and (not self.flags_any or bool(self.flags_any & board.flags))
        )

    @property
    def rank(self) -> tuple[bool, bool, bool, int]:
        """How particular it is: a board before a processor before its instructions."""
        return bool(self.device_tree), bool(self.cpu), bool(self.flags_any), len(self.flags_all)


class _Figure(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    value: bool | int | float | str | list[str]
    source: str | None = Field(None, min_length=10)
    estimated: Literal[True] | None = None
    why: str | None = Field(None, min_length=5)

    @model_validator(mode="after")
    def _is_accounted_for(self) -> _Figure:
        if (self.source is None) == (self.estimated is None):
            raise ValueError("needs either source or estimated = true")
        if self.estimated and self.why is None:
            raise ValueError("is estimated, and does not say why")
        return self

    @property
    def origin(self) -> str:
        return self.source or f"estimated: {self.why}"


class _BoardFigures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    saturates: _Figure
    throttles_c: _Figure
    cores: _Figure | None = None
    core_speed: _Figure | None = None


class _ProfileFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_id: Literal["roomtone-profile/1"] = Field(alias="schema")
    title: str
    match: Match
    board: _BoardFigures
    camera: dict[str, _Figure] = {}
    faces: dict[str, _Figure] = {}
    inference: dict[str, _Figure] = {}
    stats: dict[str, _Figure] = {}


def profiles_folder() -> Path:
    """Where the profiles that ship lie."""
    return firmware_folder("devices")


def profile_names() -> list[str]:
    """The profiles that ship."""
    return sorted(path.stem for path in profiles_folder().glob("*.toml"))


def load_profile(wanted: str, folder: Path | None = None) -> Profile:
    """Reads a profile.

    Args:
        wanted: a name, the path of a file, or `auto`.
        folder: where a relative path is meant from; the working directory when None.

    Raises:
        ConfigurationError: no profile of this name, none that fits this board, or the file has faults.
    """
    if wanted == AUTO:
        return find_profile(read_board())
    if wanted.endswith(".toml") or "/" in wanted:
        return _read((folder or Path()) / wanted)
    if wanted not in profile_names():
        fault = Fault("profile", f"{wanted!r} is none of {', '.join(profile_names())}")
        raise ConfigurationError(
            "the profile", [fault], hint='profile = "auto" takes the one that fits the board'
        )
    return _read(profiles_folder() / f"{wanted}.toml")


def find_profile(board: Board, profiles: Iterable[Profile] | None = None) -> Profile:
    """The most particular profile that fits a board.

    Raises:
        ConfigurationError: none fits.
    """
    known = [load_profile(name) for name in profile_names()] if profiles is None else list(profiles)
    fitting = [profile for profile in known if profile.match.fits(board)]
    if not fitting:
        fault = Fault(
            "profile", f"none of {', '.join(profile.name for profile in known)} fits this board: {board}"
        )
        raise ConfigurationError(
            "the profile", [fault], hint="name the nearest one, or give the path of your own"
        )
    return max(fitting, key=lambda profile: profile.match.rank)


def _read(path: Path) -> Profile:
    try:
        file = _ProfileFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as exc:
        fault = Fault("", f"cannot be read: {exc.strerror}")
        raise ConfigurationError(str(path), [fault], hint=UNREADABLE_HINT) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(str(path), [Fault("", f"not valid TOML: {exc}")]) from exc
    except ValidationError as exc:
        faults = [
            Fault(".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, "))
            for item in exc.errors()
        ]
        raise ConfigurationError(str(path), faults, hint="the profiles that ship show the form") from exc
    sections = {section: getattr(file, section) for section in _CONFIGURED}
    cores, speed = file.board.cores, file.board.core_speed
    return Profile(
        name=path.stem,
        title=file.title,
        match=file.match,
        configuration={
            name: {key: figure.value for key, figure in figures.items()} for name, figures in sections.items()
        },
        sources={
            f"{name}.{key}": figure.origin
            for name, figures in sections.items()
            for key, figure in figures.items()
        },
        saturates=bool(file.board.saturates.value),
        throttles_c=float(file.board.throttles_c.value),  # type: ignore[arg-type]
        cores=None if cores is None else int(cores.value),  # type: ignore[arg-type]
        core_speed=None if speed is None else float(speed.value),  # type: ignore[arg-type]
        core_speed_origin="" if speed is None else speed.origin,
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
