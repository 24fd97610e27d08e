"""Files before and after: states, permissions, full and read-only disks."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from provisioning_parts import nobody

from edge_runtime.errors import ProvisioningError
from edge_runtime.provisioning.plan import Command, File, Plan, check_space


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small disk of its own; needs the right to."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a disk")
        return folder

    yield mounted
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def test_a_plan_writes_what_differs_and_then_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "gone").write_text("gone")
    plan = Plan(
        (
            File(tmp_path / "a/new", b"new", 0o644, "a file"),
            File(tmp_path / "a/b/secret", b"s3cret", 0o600, "a secret", is_secret=True),
            File(tmp_path / "old", b"changed", 0o644, "a file"),
            File(tmp_path / "gone", None, 0o600, "a file"),
        )
    )
    assert [file.state for file in plan.files] == ["new", "new", "changed", "to remove"]
    assert len(plan.write()) == 4
    assert (tmp_path / "old").read_text() == "changed"
    assert not (tmp_path / "gone").exists()
    assert stat.S_IMODE((tmp_path / "a/b/secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700
    assert plan.write() == []


def test_a_secret_that_others_may_read_is_not_as_it_should_be(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"s3cret")
    secret.chmod(0o644)
    plan = Plan((File(secret, b"s3cret", 0o600, "a secret", is_secret=True),))
    plan.write()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_plan_shows_everything_but_secrets(tmp_path: Path) -> None:
    files = (
        File(tmp_path / "a", b"x = 1\n", 0o644, "text"),
        File(tmp_path / "b", b"s3cret", 0o600, "key", is_secret=True),
    )
    shown = "\n".join(Plan(files, (Command(("systemctl", "restart"), "start"),)).lines(with_contents=True))
    assert "| x = 1" in shown
    assert "(secret)" in shown
    assert "s3cret" not in shown
    assert "run        systemctl restart  (start)" in shown
    assert not list(tmp_path.iterdir())


def test_a_read_only_disk_is_told_with_what_to_do(mount: Callable[[str], Path]) -> None:
    folder = mount("size=1m,ro")
    with pytest.raises(ProvisioningError, match="read-only file system") as caught:
        Plan((File(folder / "etc/site.toml", b"x", 0o644, "text"),)).write()
    assert "remount" in caught.value.hint


def test_a_full_disk_is_told_and_what_was_there_stays(mount: Callable[[str], Path]) -> None:
    folder = mount("size=64k")
    (folder / "site.toml").write_bytes(b"before")
    with pytest.raises(ProvisioningError, match="no space left"):
        Plan((File(folder / "site.toml", b"x" * 100_000, 0o644, "text"),)).write()
    assert (folder / "site.toml").read_bytes() == b"before"
    assert [path.name for path in folder.iterdir()] == ["site.toml"]


def test_a_disk_with_10_mb_left_is_refused_before_anything_is_written(mount: Callable[[str], Path]) -> None:
    folder = mount("size=10m")
    with pytest.raises(ProvisioningError, match=r"only 10 MB are left .*, 20 are needed") as caught:
        check_space(folder / "var/lib/roomtone")
    assert "make room" in caught.value.hint
    check_space(folder, needed_mb=5)


def test_a_folder_of_another_user_is_told_with_sudo_in_mind(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir(mode=0o700)
    with nobody(), pytest.raises(ProvisioningError, match="permission denied") as caught:
        Plan((File(tmp_path / "etc/roomtone/site.toml", b"x", 0o644, "text"),)).write()
    assert "sudo" in caught.value.hint
