"""Every `roomtone …` that the documentation types is a command that there is, with options that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from edge_runtime.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# In a block, which is indented, or between backticks; up to a comment, a pipe, or whatever is no word of it.
_BLOCK = re.compile(r"(?m)^ {4}(?:\$ )?(?:sudo )?roomtone ([^#|;&→\n]+)")
_INLINE = re.compile(r"`(?:sudo )?roomtone ([^`#|;&→\n]+)")


@cache
def commands() -> dict[str, Any]:
    """All commands by name; the root loads each when it is asked for."""
    root: Any = typer.main.get_command(app)
    return {name: root.get_command(None, name) for name in root.list_commands(None)}


def faults(text: str) -> Iterator[str]:
    """Commands and options in a page that there are not."""
    joined = text.replace("\\\n", " ")
    for line in (*_BLOCK.findall(joined), *_INLINE.findall(joined)):
        name, *words = line.replace(",", " ").split()
        if name not in commands() and not name.startswith("-"):
            yield f"no command: roomtone {line}"
        elif name in commands():
            given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            unknown = given - options_of(commands()[name], words) - {"--help"}
            yield from (f"no option {option}: roomtone {line}" for option in sorted(unknown))


def options_of(command: Any, words: list[str]) -> set[str]:
    """Of the command that these words name; where they name none of a group's, of all of them."""
    own = {name for option in command.params for name in option.opts}
    parts: dict[str, Any] = getattr(command, "commands", {})
    if parts and words and words[0] in parts:
        return own | options_of(parts[words[0]], words[1:])
    return own.union(*(options_of(part, []) for part in parts.values()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_types_only_what_there_is(page: Path) -> None:
    assert list(faults(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("    roomtone dance --slowly", "no command: roomtone dance"),
        ("    $ sudo roomtone run --colour red", "no option --colour"),
        ("so `roomtone bundle show b --jason` tells", "no option --jason"),
        ("    roomtone run \\\n      --loud", "no option --loud"),
        ("    roomtone train hafnet_half --data d --fast", "no option --fast"),
    ],
    ids=["command", "option", "inline", "over two lines", "a command without its name"],
)
def test_what_there_is_not_is_found(line: str, fault: str) -> None:
    assert [each for each in faults(line) if fault in each]
