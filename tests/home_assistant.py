"""Home Assistant's own code as a judge, in environments of its own beside the one of the tests.

`judged` asks its schemas and its template engine. The newest release for Python 3.11 knows every platform and every
option that we use, but not yet the one message per device, so each component of that message is judged as the
single message into which Home Assistant turns it.

`HomeAssistant` is a later one at work, with its MQTT integration on a real broker; it needs Python 3.13.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from npm_tools import cache

HERE = Path(__file__).parent
INSTALL_TIMEOUT_S = 300


def _environment(name: str, interpreter: Path) -> Path:
    """The interpreter of an environment with these requirements; skips the test where they cannot be had."""
    requirements = HERE / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = cache() / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        subprocess.run([interpreter, "-m", "venv", "--clear", folder], check=True, capture_output=True)
        command = [python, "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check"]
        done = subprocess.run(
            [*command, "--no-deps", "--only-binary=:all:", "-r", requirements],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"{name} cannot be installed here: {done.stderr.strip()[-300:]}")
        (folder / "installed").touch()
    return python


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
    command = [_environment("home-assistant-judge", _python("3.11")), HERE / "home_assistant_judge.py"]
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return answer


class HomeAssistant:
    """A real Home Assistant, connected to a broker; a context manager that ends it."""

    def __init__(self, port: int, folder: Path) -> None:
        python = _environment("home-assistant-live", _python("3.13"))
        folder.mkdir()
        (folder / "configuration.yaml").touch()
        self.log = folder / "log"
        self._log = self.log.open("wb")
        self._process = subprocess.Popen(
            [python, HERE / "home_assistant_live.py", str(port), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def states(self) -> dict[str, str]:
        """Entity id → state, of all that it knows."""
        answer: dict[str, str] = self._ask({})
        return answer

    def call(self, service: str, entity_id: str, **data: str) -> None:
        """Does what a person does by a click: `switch.turn_off`."""
        self._ask({"service": service, "data": {"entity_id": entity_id, **data}})

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self.log.read_text("utf-8")
        return json.loads(line)

    def __enter__(self) -> HomeAssistant:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._process, self._log:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(20)


def _python(version: str) -> Path:
    """An interpreter of this version; skips the test without one."""
    if sys.version.startswith(f"{version}."):
        return Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [
        *sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")),
        shutil.which(f"python{version}"),
    ]
    for candidate in filter(None, found):
        probe = subprocess.run([candidate, "-c", "import ensurepip"], capture_output=True, check=False)
        if probe.returncode == 0:
            return Path(candidate)
    pytest.skip(f"this Home Assistant needs Python {version}")
