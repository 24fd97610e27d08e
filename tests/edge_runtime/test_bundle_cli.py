"""`roomtone bundle` as an installer types it: keys, signatures, slots, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import until
from update_parts import Versions, change_manifest, pack

from edge_runtime.bundle import default_bundle_path
from edge_runtime.updates.slots import Slots


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """The bundle that ships, under a later version."""
    (tmp_path / "versions").mkdir()
    return Versions(default_bundle_path(), tmp_path / "versions")("9.0.0", name="default")


def bundle(*arguments: object, state: Path | None = None) -> subprocess.CompletedProcess[str]:
    place = ["--state", str(state)] if state is not None else []
    command = [sys.executable, "-m", "edge_runtime", "bundle", *map(str, arguments), *place]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def test_a_bundle_is_signed_verified_and_refused_without_its_signature(new: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "k.pem", tmp_path / "p.pem"
    made = bundle("keygen", "--private", private, "--public", public)
    assert "require_signature" in made.stdout
    unsigned = bundle("verify", new, "--public-key", public)
    assert (unsigned.returncode, "bundle.sig" in unsigned.stderr) == (22, True)
    assert bundle("sign", new, "--key", private).returncode == 0
    assert "signed by the key" in bundle("verify", new, "--public-key", public).stdout
    change_manifest(new, version="9.0.1")
    assert bundle("verify", new, "--public-key", public).returncode == 22
    config = tmp_path / "site.toml"
    config.write_text(f'[updates]\nrequire_signature = true\npublic_key = "{public}"\n')
    refused = bundle("install", new, "--config", config, state=tmp_path / "state")
    assert refused.returncode == 22
    assert "not by the key" in refused.stderr


def test_an_installer_brings_a_bundle_from_install_to_rollback(new: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert "current    the bundle that ships" in bundle("list", state=state).stdout
    archive = pack(new, tmp_path / "b.tar")
    assert "next: roomtone bundle activate" in bundle("install", archive, state=state).stdout
    refused = bundle("commit", state=state)
    assert (refused.returncode, "has not been checked" in refused.stderr) == (20, True)
    checked = json.loads(bundle("activate", "--json", state=state).stdout)
    assert checked["outcome"] == "checked"
    assert [check["name"] for check in checked["checks"]] == ["labels", "quality", "golden", "speed"]
    assert bundle("outcome", "default@9.0.0", state=state).returncode == 21
    assert bundle("commit", state=state).returncode == 0
    table = json.loads(bundle("list", "--json", state=state).stdout)
    assert (table["current"]["version"], table["runs"]["slot"], table["floors"]) == (
        "9.0.0",
        "current",
        {"default": "9.0.0"},
    )
    assert "the bundle that ships runs" in bundle("rollback", state=state).stdout
    assert bundle("outcome", "default@9.0.0", state=state).returncode == 1


def test_a_bundle_that_is_refused_says_why_line_by_line(new: Path, tmp_path: Path) -> None:
    document = json.loads((new / "bundle.json").read_text())
    change_manifest(new, quality=document["quality"] | {"accuracy": 0.2})
    state = tmp_path / "state"
    bundle("install", new, state=state)
    refused = bundle("activate", state=state)
    assert refused.returncode == 20
    assert "FAIL quality" in refused.stdout
    assert "ok   golden" in refused.stdout
    assert "default 9.0.0 is refused: quality: accuracy 20.0%" in refused.stderr
    assert bundle("outcome", state=state).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["install", "nowhere"], 20, "no such file", id="no source"),
        pytest.param(["activate"], 20, "no candidate", id="nothing to activate"),
        pytest.param(["rollback"], 20, "nothing to roll back", id="nothing to roll back"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    done = bundle(*arguments, state=tmp_path / "state")
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_run_uses_the_slots_and_activate_waits_for_the_agent(new: Path, tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text(
        '[camera]\nsource = "simulated://students=4,seed=3,width=640,height=360,fps=8"\nrealtime = true\n'
        "[inference]\nreadable_width_px = 16\nclassify_rate_hz = 4\n[faces]\nscan_width_px = 640\n"
        "[updates]\nshadow_s = 0\nshadow_faces = 4\nhealth_window_s = 0\nmin_fps_ratio = 0\nmax_face_ms = 10000\n"
    )
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}
    state = tmp_path / "state"
    bundle("install", new, "--config", config, state=state)
    command = [sys.executable, "-m", "edge_runtime", "run", "--config", str(config), "--broker", "none"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as agent:
        try:
            assert until(Slots(state / "bundles").has_agent, 30)
            done = bundle("activate", "--config", config, state=state)
            assert done.returncode == 0, done.stderr
            assert "default 9.0.0 is committed and runs" in done.stdout
        finally:
            agent.terminate()
            agent.wait(20)
    assert Slots(state / "bundles").running().bundle.manifest.version == "9.0.0"
