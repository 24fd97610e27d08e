"""Container, cloud-init, Ansible, RAUC and Mender: what can be held against something real is."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from update_parts import Versions, pack

from edge_runtime.bundle import default_bundle_path
from edge_runtime.updates.slots import Slots


@pytest.fixture
def folder(repository: Path) -> Path:
    return repository / "firmware_configs"


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Keyword and the rest of each instruction, in order; comments gone, lines joined."""
    lines = [line for line in dockerfile.read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()
    ]


# The container. Building it needs a registry; hadolint says of it what can be said without.


def test_the_container_runs_as_nobody_in_particular_and_tells_its_health(folder: Path) -> None:
    steps = instructions(folder / "docker/Dockerfile")
    last_stage = steps[max(n for n, (word, _) in enumerate(steps) if word == "FROM") :]
    told = dict(last_stage)
    assert told["USER"] == "10001:10001"
    assert json.loads(told["ENTRYPOINT"]) == ["roomtone"]
    assert json.loads(told["CMD"])[0] == "run"
    assert told["STOPSIGNAL"] == "SIGTERM"  # the window that is open is closed and sent
    assert "roomtone health" in told["HEALTHCHECK"]
    assert {word for word, _ in steps} & {"ADD", "MAINTAINER"} == set()


def test_every_base_image_and_copied_path_is_named_exactly(folder: Path, repository: Path) -> None:
    steps = instructions(folder / "docker/Dockerfile")
    python = next(value for word, value in steps if word == "ARG").partition("=")[2]
    assert re.fullmatch(r"3\.\d+-slim-[a-z]+", python)
    ignored = (folder / "docker/Dockerfile.dockerignore").read_text().split()
    for sources in (value.split()[:-1] for word, value in steps if word == "COPY" and "--from" not in value):
        for source in sources:
            assert (repository / source).exists(), source
            assert f"!{source}" in ignored


def test_everything_that_the_wheel_is_made_of_is_copied(folder: Path, repository: Path) -> None:
    build = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    steps = instructions(folder / "docker/Dockerfile")
    copied = {source for word, value in steps if word == "COPY" for source in value.split()[:-1]}
    assert {*wheel["packages"], *wheel["force-include"], "pyproject.toml", "README.md", "LICENSE"} <= copied


@pytest.mark.parametrize(("code", "verdict"), [(0, 0), (21, 0), (1, 1)])
def test_a_broker_that_is_away_does_not_make_the_container_ill(
    folder: Path, tmp_path: Path, code: int, verdict: int
) -> None:
    check = dict(instructions(folder / "docker/Dockerfile"))["HEALTHCHECK"]
    command = json.loads(check[check.index("CMD ") + 4 :])
    program(tmp_path / "roomtone", f"exit {code}")
    done = subprocess.run(command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
    assert done.returncode == verdict


def tool(name: str) -> str:
    """A program of the tests, from beside this Python or from the system."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed; its wheel comes with roomtone[dev] on x86-64")
    return found


def test_hadolint_finds_nothing(folder: Path) -> None:
    command = [tool("hadolint"), str(folder / "docker/Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_composed_container_has_a_camera_and_nothing_else(folder: Path) -> None:
    (service,) = yaml.safe_load((folder / "docker/compose.yaml").read_text())["services"].values()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
    assert all(device.startswith("/dev/video") for device in service["devices"])
    assert service["mem_limit"] == service["memswap_limit"]


# cloud-init.


@pytest.fixture
def user_data(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "cloud-init/user-data").read_text("utf-8"))


def test_cloud_init_accepts_the_user_data(folder: Path) -> None:
    program = shutil.which("cloud-init")
    if program is None:
        pytest.skip("cloud-init is not installed; apt-get install cloud-init")
    command = [program, "schema", "--config-file", str(folder / "cloud-init/user-data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_answers_of_cloud_init_provision_a_device(user_data: dict[str, Any], tmp_path: Path) -> None:
    files = {file["path"]: file for file in user_data["write_files"]}
    answers = files["/etc/roomtone-answers.toml"]
    assert answers["permissions"] == "0600"
    assert provisioned(answers["content"], tmp_path)["room"] == "room-12"
    install = files[user_data["runcmd"][0][0]]
    assert shell_faults(install["content"]) == ""
    assert "/etc/roomtone-answers.toml" in install["content"]


def provisioned(answers: str, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "answers.toml").write_text(answers)
    command = [sys.executable, "-m", "edge_runtime", "provision", "--answers", str(tmp_path / "answers.toml")]
    command += ["--yes", "--json", "--no-check", "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Ansible. Syntax and lint are checked by hand (docs/fleet.md): ansible-core is too much for the tests.


def test_the_role_asks_for_what_it_uses_and_uses_what_it_asks_for(folder: Path) -> None:
    role = folder / "ansible/roles/roomtone"
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    texts = [
        path.read_text("utf-8") for path in role.rglob("*") if path.is_file() and "defaults" not in path.parts
    ]
    used = set(re.findall(r"\broomtone_[a-z]+\b", " ".join(texts)))
    registered = {"roomtone_provisioned", "roomtone_health", "roomtone_archive"}
    assert used - registered == set(defaults)
    example = yaml.safe_load((folder / "ansible/hosts.example.yml").read_text())["roomtone"]
    assert set(example["vars"]) <= set(defaults)


def test_every_command_of_the_role_is_one_of_ours(folder: Path) -> None:
    from edge_runtime.commands.bundle import app as bundle

    names = {
        command.name or command.callback.__name__
        for command in bundle.registered_commands
        if command.callback
    }
    for group in bundle.registered_groups:
        assert group.typer_instance is not None
        names |= {
            c.name or c.callback.__name__ for c in group.typer_instance.registered_commands if c.callback
        }
    tasks = yaml.safe_load((folder / "ansible/roles/roomtone/tasks/main.yml").read_text())
    commands = [
        task["ansible.builtin.command"]["argv"] for task in walk(tasks) if "ansible.builtin.command" in task
    ]
    assert commands
    for argv in commands:
        assert argv[0].endswith("/bin/roomtone")
        assert argv[1] in ("provision", "health") or (argv[1] == "bundle" and argv[2] in names)


def walk(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [inner for task in tasks for inner in [task, *walk(task.get("block", []))]]


def test_the_answers_of_ansible_provision_a_device(folder: Path, tmp_path: Path) -> None:
    # The template is `key = value as JSON`, which TOML reads alike for texts, numbers and flags.
    example = yaml.safe_load((folder / "ansible/hosts.example.yml").read_text())["roomtone"]
    told = {key.removeprefix("roomtone_"): value for key, value in example["vars"].items()}
    host = example["hosts"]["r12-camera"]
    told |= {"room": host["roomtone_room"]}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in sorted(told.items()))
    assert tomllib.loads(text) == told
    assert provisioned(text, tmp_path)["site"] == "my-school"


# Mender and RAUC: our scripts, run; their own programs are played by scripts that note how they were called.


def program(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def roomtone(tmp_path: Path) -> dict[str, str]:
    """The environment in which the scripts find the real roomtone, and the slots of a device."""
    command = program(tmp_path / "roomtone", f'exec {shlex.quote(sys.executable)} -m edge_runtime "$@"')
    state = tmp_path / "state"
    return {**os.environ, "ROOMTONE": str(command), "ROOMTONE_OPTIONS": f"--state {state}"}


def mender(
    folder: Path, environment: dict[str, str], state: str, update: Path
) -> subprocess.CompletedProcess[str]:
    command = [str(folder / "mender/roomtone-bundle"), state, str(update)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def update(tmp_path: Path) -> Path:
    """What Mender unpacked: a bundle that is the one that ships, under a later version."""
    (tmp_path / "versions").mkdir()
    new = Versions(default_bundle_path(), tmp_path / "versions")("9.9.9", name="default")
    for name in ("files", "tmp"):
        (tmp_path / "update" / name).mkdir(parents=True)
    pack(new, tmp_path / "update/files/default-9.9.9.tar")
    return tmp_path / "update"


def test_mender_installs_waits_and_commits(folder: Path, roomtone: dict[str, str], update: Path) -> None:
    assert mender(folder, roomtone, "SupportsRollback", update).stdout == "Yes\n"
    assert mender(folder, roomtone, "NeedsArtifactReboot", update).stdout == "No\n"
    assert mender(folder, roomtone, "Download", update).returncode == 0
    installed = mender(folder, roomtone, "ArtifactInstall", update)
    assert installed.returncode == 0, installed.stderr
    slots = Slots(Path(roomtone["ROOMTONE_OPTIONS"].split()[1]) / "bundles")
    assert slots.table().candidate.phase == "checked"
    assert (
        mender(folder, roomtone, "ArtifactCommit", update).returncode == 21
    )  # had the state script not waited
    slots.commit()  # as the agent does at the end of the trial
    assert mender(folder, roomtone, "ArtifactCommit", update).returncode == 0
    assert mender(folder, roomtone, "ArtifactRollback", update).returncode == 0
    assert slots.running().slot == "shipped"


def test_mender_learns_that_a_bundle_was_sent_back(
    folder: Path, roomtone: dict[str, str], update: Path
) -> None:
    assert mender(folder, roomtone, "ArtifactInstall", update).returncode == 0
    slots = Slots(Path(roomtone["ROOMTONE_OPTIONS"].split()[1]) / "bundles")
    slots.reject("it disagreed")
    assert mender(folder, roomtone, "ArtifactCommit", update).returncode == 1
    assert mender(folder, roomtone, "ArtifactRollback", update).returncode == 0
    assert slots.running().slot == "shipped"


@pytest.mark.parametrize(
    ("health", "outcome", "code"),
    [(0, 0, 0), (1, 0, 1), (21, 0, 21), (0, 21, 21), (0, 1, 0)],
    ids=["well", "ill", "ask again", "on trial", "well, a bundle was sent back"],
)
def test_the_state_script_of_mender_has_its_exit_codes(
    folder: Path, tmp_path: Path, health: int, outcome: int, code: int
) -> None:
    command = program(tmp_path / "roomtone", f'[ "$1" = health ] && exit {health}\nexit {outcome}')
    script = folder / "mender/ArtifactCommit_Enter_50_roomtone"
    done = subprocess.run([str(script)], env={**os.environ, "ROOMTONE": str(command)}, check=False)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("codes", "calls"),
    [
        pytest.param([0], ["status mark-good"], id="well"),
        pytest.param([21, 21, 0], ["status mark-good"], id="well after a while"),
        pytest.param([1] * 5, ["status mark-bad", "reboot"], id="ill"),
        pytest.param([21] * 5, ["status mark-good"], id="the broker is away"),
    ],
)
def test_rauc_is_told_how_the_new_system_does(
    folder: Path, tmp_path: Path, codes: list[int], calls: list[str]
) -> None:
    (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
    take = f'code=$(head -n 1 {tmp_path}/codes); sed -i 1d {tmp_path}/codes; exit "${{code:-{codes[-1]}}}"'
    program(tmp_path / "roomtone", take)
    program(tmp_path / "rauc", f'echo "$@" >> {tmp_path}/calls')
    program(tmp_path / "reboot", f"echo reboot >> {tmp_path}/calls")
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "ROOMTONE": str(tmp_path / "roomtone"),
        "REBOOT": str(tmp_path / "reboot"),
        "PATIENCE": "3",
        "PAUSE": "1",
    }
    script = folder / "rauc/roomtone-mark-good"
    subprocess.run([str(script)], env=environment, timeout=30, check=True)
    assert (tmp_path / "calls").read_text().splitlines() == calls


@pytest.mark.parametrize(
    "script", ["mender/roomtone-bundle", "mender/ArtifactCommit_Enter_50_roomtone", "rauc/roomtone-mark-good"]
)
def test_a_script_is_plain_sh_and_may_be_run(folder: Path, script: str) -> None:
    path = folder / script
    assert path.read_text().startswith("#!/bin/sh\n")
    assert os.access(path, os.X_OK)
    assert shell_faults(path.read_text()) == ""


def shell_faults(script: str) -> str:
    command = [tool("shellcheck"), "--shell", "sh", "-"]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False).stdout
