"""A power cut at any instant of an update leaves a device that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from update_parts import Keys, Versions, pack

from edge_runtime.bundle_signing import sign_bundle
from edge_runtime.config import UpdatesSection
from edge_runtime.updates.installing import install
from edge_runtime.updates.starting import open_slots

SCRIPT = Path(__file__).with_name("killed_at_each_step.py")


def test_killed_at_each_step_of_an_update_the_device_starts_with_a_bundle_that_verifies(
    versions: Versions, keys: Keys, tmp_path: Path
) -> None:
    old, new = versions("0.2.0"), versions("0.3.0")
    for folder in (old, new):
        sign_bundle(folder, keys.private)
    strict = UpdatesSection(require_signature=True, public_key=keys.public)
    slots = open_slots(strict, tmp_path / "state")
    candidate = install(slots, str(old), strict)
    slots.mark(candidate.digest, "checked")
    slots.commit()
    command = [
        sys.executable,
        str(SCRIPT),
        str(tmp_path / "state"),
        str(pack(new, tmp_path / "n.tar")),
        str(keys.public),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    ran = [json.loads(line)["runs"] for line in done.stdout.splitlines()]
    assert len(ran) >= 30  # points at which it was killed, and once not at all
    # The change from the old to the new bundle is one step: old before it, new after it.
    change = ran.index("0.3.0")
    assert ran == ["0.2.0"] * change + ["0.3.0"] * (len(ran) - change)


def test_what_a_table_names_is_on_the_disk_before_the_table_is(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 keeps what the kernel has not written yet; a power cut does not. Hence the order of these calls."""
    slots = open_slots(UpdatesSection(), tmp_path)
    told: list[str] = []
    fsync, rename, replace = os.fsync, Path.rename, Path.replace

    def name_of(handle: int) -> str:
        return str(Path(os.readlink(f"/proc/self/fd/{handle}")).relative_to(slots.folder))

    monkeypatch.setattr(
        os, "fsync", lambda handle: (told.append(f"sync {name_of(handle)}"), fsync(handle))[1]
    )
    for method, real in (("rename", rename), ("replace", replace)):
        monkeypatch.setattr(
            Path,
            method,
            lambda path, target, real=real: (told.append(f"name {target.name}"), real(path, target))[1],
        )
    candidate = install(slots, str(versions("0.2.0")), UpdatesSection())
    bundle, table = told.index(f"name {candidate.folder}"), told.index("name slots.json")
    synced = {entry.split("/")[-1] for entry in told[:bundle] if entry.startswith("sync ")}
    assert {"bundle.json", "model.fp32.onnx", "golden.npz", "MODEL_CARD.md"} <= synced
    assert told[bundle + 1] == "sync ."  # the folder's name
    assert bundle + 1 < table
    assert told[table - 1].startswith("sync .slots.json.")
    assert told[table + 1] == "sync ."
