"""The bundles that come with the package, by their names: `default`, and `small` for boards like a Raspberry Pi 4."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "bundles"


def shipped_bundle(name: str) -> Path:
    """The folder of a shipped bundle."""
    return _FOLDER / name


def shipped_names() -> list[str]:
    """Of all that are shipped, in order."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/bundle.json"))


def bundle_folder(named: Path) -> Path:
    """What is meant by `small` on the command line or in a file: the shipped one, unless a folder here is called so."""
    is_bare = len(named.parts) == 1 and named.name not in ("", ".", "..")
    if is_bare and not named.exists() and shipped_bundle(named.name).is_dir():
        return shipped_bundle(named.name)
    return named
