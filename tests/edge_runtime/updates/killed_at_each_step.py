"""Kills an update at each of its steps, and starts the device after each. A script: it forks, and prints JSON lines.

    python killed_at_each_step.py STATE NEW_BUNDLE.tar PUBLIC_KEY

STATE holds a committed bundle. For each step n: a copy of STATE; a child that installs, activates, tries and commits
the new bundle and dies by SIGKILL before its n-th call that changes the disk; a second child that starts as the agent
does, verifies what runs, takes the update up again and ends it. A step is one call of C code (`write`, `fsync`,
`rename`, ...), seen by a profiler; being killed before a step is being killed after the one before it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401 - loaded once here instead of in each child

from edge_runtime.config import Config
from edge_runtime.errors import CandidateRefusedError
from edge_runtime.inference.opening import open_engine
from edge_runtime.updates import checks
from edge_runtime.updates.activation import activate
from edge_runtime.updates.installing import install
from edge_runtime.updates.starting import open_slots

CHANGES_THE_DISK = {
    "write", "truncate", "fsync", "sendfile", "rename", "replace", "mkdir", "unlink", "remove", "rmdir", "chown",
    "fchmod",
}  # fmt: skip
checks._ROUNDS = checks._LEAST_ROUNDS = 1  # type: ignore[misc] - how fast it is does not matter here
state, archive, public = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
# Speed is not what is tested here, and the machine may be busy.
config = Config.model_validate(
    {"updates": {"require_signature": True, "public_key": public, "max_face_ms": 10_000}}
)


def update(folder: Path) -> None:
    slots = open_slots(config.updates, folder)
    try:
        candidate = install(slots, archive, config.updates)
    except CandidateRefusedError:  # it was committed before the power went
        return
    activate(slots, config).require("the new bundle")
    slots.mark(candidate.digest, "checked", attempts=1)
    slots.mark(candidate.digest, "trial")
    slots.commit(candidate.digest)


def die_at(number: int) -> None:
    """SIGKILL for this process at its step of that number."""
    steps = 0

    def profile(_frame: Any, event: str, function: Any) -> None:
        nonlocal steps
        if event == "c_call" and getattr(function, "__name__", "") in CHANGES_THE_DISK:
            steps += 1
            if steps == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)


def start_and_go_on(folder: Path) -> None:
    """What the next start finds; dies with a message when it is not right."""
    slots = open_slots(config.updates, folder)
    slots.begin_run()
    running = slots.running()
    assert running.slot == "current", running
    assert not running.problem, running.problem
    open_engine(running.bundle, config.inference)  # golden outputs
    version = running.bundle.manifest.version
    update(folder)
    table = slots.table()
    assert table.current is not None
    assert table.current.version == "0.3.0", table
    assert table.candidate is None, table
    left = {path.name for path in slots.folder.iterdir()} - {".lock", "slots.json"} - table.in_use()
    assert not left, left
    print(json.dumps({"runs": version}), flush=True)


def in_child(work: Any) -> int:
    """Exit code, or minus the signal, of a fork that does this work."""
    if (child := os.fork()) == 0:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001 - a child never returns into the loop
            print(repr(exc), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


number, ended = 0, -signal.SIGKILL
while ended == -signal.SIGKILL:
    number += 1
    with tempfile.TemporaryDirectory(dir=state.parent) as name:
        folder = Path(name) / "state"
        shutil.copytree(state, folder)
        ended = in_child(lambda: (die_at(number), update(folder)))  # noqa: B023 - runs within this round
        assert ended in (0, -signal.SIGKILL), ended
        assert in_child(lambda: start_and_go_on(folder)) == 0, number  # noqa: B023
