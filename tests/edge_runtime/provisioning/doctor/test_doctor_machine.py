"""The board: readings of a file system made for the purpose, a real disk, a firmware tool of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.config import Config
from edge_runtime.provisioning.doctor import machine


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("millidegrees", "status"),
    [
        ("45000", "ok"),
        ("74900", "ok"),
        ("75000", "warn"),
        ("84900", "warn"),
        ("85000", "fail"),
        ("nan", "skipped"),
    ],
)
def test_heat_is_judged_by_where_boards_slow_down(tmp_path: Path, millidegrees: str, status: str) -> None:
    system = write(tmp_path, {"sys/class/thermal/thermal_zone0/temp": millidegrees})
    assert machine.temperature(85.0, system).status == status


def test_a_capped_clock_and_slowing_down_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no vcgencmd
    cpu = "sys/devices/system/cpu"
    assert machine.throttling(tmp_path).status == "skipped"
    write(tmp_path, {f"{cpu}/cpu0/thermal_throttle/core_throttle_count": "0\n"})
    assert machine.throttling(tmp_path).status == "ok"
    write(tmp_path, {f"{cpu}/cpu1/thermal_throttle/core_throttle_count": "7\n"})
    assert "7 times" in machine.throttling(tmp_path).what
    policy = f"{cpu}/cpufreq/policy0"
    write(tmp_path, {f"{policy}/scaling_max_freq": "1500000", f"{policy}/cpuinfo_max_freq": "2000000"})
    assert "75%" in machine.throttling(tmp_path).what


@pytest.mark.parametrize(
    ("word", "status", "words"),
    [
        pytest.param("0x0", "ok", "neither", id="never"),
        pytest.param("0x50005", "fail", "the supply voltage is too low, the CPU is slowed down", id="now"),
        pytest.param("0x80000", "warn", "since the start: the soft temperature limit", id="before"),
    ],
)
def test_a_raspberry_pi_is_asked_for_voltage_and_heat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, status: str, words: str
) -> None:
    tool = tmp_path / "vcgencmd"
    tool.write_text(f"#!/bin/sh\necho throttled={word}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    finding = machine.throttling(tmp_path)
    assert finding.status == status
    assert words in finding.what
    assert ("power supply" in finding.next_step) == (word == "0x50005")


def test_the_disk_is_tried_and_nothing_stays_there(tmp_path: Path) -> None:
    config = Config.model_validate({"outbox": {"path": tmp_path / "new" / "outbox.sqlite3"}})
    finding = machine.disk(config)
    assert finding.status == "ok"
    assert "is made at the first start" in finding.what
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_files_is_named() -> None:
    config = Config.model_validate({"outbox": {"path": "/proc/outbox.sqlite3"}})
    finding = machine.disk(config)
    assert finding.status == "fail"
    assert "/proc cannot be written by user" in finding.what
    assert "outbox.path" in finding.next_step


def test_little_room_is_told_before_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config.model_validate({"outbox": {"path": tmp_path / "outbox.sqlite3"}})
    for free, status in ((10e6, "fail"), (40e6, "warn"), (400e6, "ok")):
        usage = machine.shutil._ntuple_diskusage(0, 0, int(free))  # a full disk cannot be had here
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert machine.disk(config).status == status


@pytest.mark.parametrize(
    ("available_kb", "limit", "status"),
    [
        pytest.param(8_000_000, "max", "ok", id="plenty"),
        pytest.param(300_000, "max", "warn", id="little"),
        pytest.param(100_000, "max", "fail", id="none"),
        pytest.param(8_000_000, "300000000", "fail", id="a container's limit"),
    ],
)
def test_memory_is_the_least_of_machine_and_container(
    tmp_path: Path, available_kb: int, limit: str, status: str
) -> None:
    write(
        tmp_path,
        {
            "proc/meminfo": f"MemTotal: 9000000 kB\nMemAvailable: {available_kb} kB\n",
            "sys/fs/cgroup/memory.max": limit,
            "sys/fs/cgroup/memory.current": "150000000",
        },
    )
    assert machine.memory(tmp_path).status == status


def test_a_machine_that_tells_nothing_is_no_failure(tmp_path: Path) -> None:
    assert machine.memory(tmp_path).status == "skipped"
    assert machine.temperature(85.0, tmp_path).status == "skipped"
