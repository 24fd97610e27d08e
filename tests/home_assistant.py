"""Home Assistant's own code as a judge: its schemas and its template engine, in an environment of its own.

The newest release that Python 3.11 can install knows every platform and every option that we use, but not yet
the one message per device; so each component of that message is judged as the single message into which Home
Assistant turns it. What it demands of the message as a whole is in `test_discovery.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from npm_tools import cache

VERSION = "2024.3.3"
# What its MQTT integration imports, out of the 60 packages that the whole of it requires.
PACKAGES = (
    *(
        "aiohttp",
        "aiohttp-fast-url-dispatcher",
        "aiohttp-zlib-ng",
        "async-interrupt",
        "attrs",
        "awesomeversion",
    ),
    *("atomicwrites-homeassistant", "bcrypt", "certifi", "ciso8601", "cryptography", "ifaddr", "Jinja2"),
    *("lru-dict", "orjson", "packaging", "PyJWT", "python-slugify", "PyYAML", "typing-extensions"),
    *("ulid-transform", "voluptuous", "voluptuous-serialize", "yarl"),
)
JUDGE = Path(__file__).with_name("home_assistant_judge.py")


def home_assistant() -> Path:
    """The interpreter of an environment with Home Assistant in it; skips the test where it cannot be had."""
    folder = cache() / f"homeassistant-{VERSION}-py{sys.version_info.major}{sys.version_info.minor}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, capture_output=True)
        _pip(python, "--no-deps", f"homeassistant=={VERSION}")
        _pip(python, *_pinned(folder))
        (folder / "installed").touch()
    return python


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--only-binary=:all:", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"Home Assistant {VERSION} cannot be installed here: {done.stderr.strip()[-300:]}")


def _pinned(folder: Path) -> list[str]:
    """The versions that Home Assistant itself asks for."""
    (metadata,) = folder.glob("lib/*/site-packages/homeassistant-*.dist-info/METADATA")
    asked = re.findall(
        r"^Requires-Dist: ([\w.-]+) ?\(?(==[\w.]+)?", metadata.read_text("utf-8"), re.MULTILINE
    )
    versions = {name.lower(): version for name, version in asked}
    return [f"{package}{versions.get(package.lower(), '')}" for package in PACKAGES]


def judged(
    device: Mapping[str, Any], messages: Mapping[str, bytes], entities: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What Home Assistant makes of each entity.

    Args:
        device: the message of the device, abbreviations spelled out.
        messages: topic → payload that came there.
        entities: key → configuration, each with its platform.

    Returns:
        Key → `faults` of the schema, and `state`: the value template's result for the payload of its topic.
    """
    question = {
        "device": device,
        "messages": {topic: payload.decode() for topic, payload in messages.items()},
        "entities": entities,
    }
    done = subprocess.run(
        [home_assistant(), JUDGE], input=json.dumps(question), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return answer
