"""Slots: one table, replaced whole; what runs is always whole and trusted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from update_parts import Versions

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.config import Config, UpdatesSection
from edge_runtime.errors import BundleTamperedError, CandidateRefusedError, UpdateError
from edge_runtime.updates.installing import install
from edge_runtime.updates.slot_table import version_key
from edge_runtime.updates.slots import MAX_ATTEMPTS, Slots
from edge_runtime.updates.starting import bundle_in_force

UPDATES = UpdatesSection()


def put(slots: Slots, folder: Path, *, commit: bool = True, waive: bool = False) -> str:
    """Installs a bundle, and commits it as if it had passed; its digest."""
    candidate = install(slots, str(folder), UPDATES, waivers=("version",) if waive else ())
    if commit:
        slots.mark(candidate.digest, "checked")
        slots.commit()
    return candidate.digest


def folders(slots: Slots) -> set[str]:
    return {path.name for path in slots.folder.iterdir() if path.is_dir()}


def test_before_the_first_update_the_bundle_that_ships_runs_and_nothing_is_written(slots: Slots) -> None:
    running = slots.running()
    assert (running.slot, running.problem) == ("shipped", "")
    assert running.bundle.digest == open_bundle(default_bundle_path()).digest
    assert not slots.folder.exists()


def test_an_installed_bundle_does_not_run_before_it_is_committed(slots: Slots, versions: Versions) -> None:
    digest = put(slots, versions("0.2.0"), commit=False)
    assert slots.running().slot == "shipped"
    with pytest.raises(UpdateError, match="has not been checked"):
        slots.commit()
    slots.mark(digest, "trial")
    assert slots.running().slot == "shipped"
    slots.commit()
    assert (slots.running().slot, slots.running().bundle.digest) == ("current", digest)


def test_a_commit_keeps_the_one_before_and_removes_the_one_before_that(
    slots: Slots, versions: Versions
) -> None:
    digests = [put(slots, versions(version)) for version in ("0.2.0", "0.3.0", "0.4.0")]
    table = slots.table()
    assert table.current is not None
    assert table.previous is not None
    assert [table.current.digest, table.previous.digest] == [digests[2], digests[1]]
    assert folders(slots) == {digests[1][:32], digests[2][:32]}


def test_rolling_back_goes_one_further_each_time_and_ends_at_what_ships(
    slots: Slots, versions: Versions
) -> None:
    first, second = put(slots, versions("0.2.0")), put(slots, versions("0.3.0"))
    assert slots.rollback("too sad").digest == second
    assert slots.running().bundle.digest == first
    assert slots.rollback("still too sad").digest == first
    assert slots.running().slot == "shipped"
    with pytest.raises(UpdateError, match="nothing to roll back"):
        slots.rollback("again")
    assert slots.table().rejected.reason == "still too sad"


def test_rolling_back_sends_back_the_activated_candidate_first_and_spares_one_that_only_waits(
    slots: Slots, versions: Versions
) -> None:
    first = put(slots, versions("0.2.0"))
    second = put(slots, versions("0.3.0"), commit=False)
    slots.mark(second, "trial")
    assert slots.rollback("no").digest == second
    assert slots.running().bundle.digest == first
    third = put(slots, versions("0.4.0"), commit=False)
    assert slots.rollback("no").digest == first
    assert slots.table().candidate.digest == third


def test_the_floor_rises_with_each_commit_and_never_falls(slots: Slots, versions: Versions) -> None:
    put(slots, versions("0.9.0"))
    put(slots, versions("0.10.0"))
    slots.rollback("worse")
    with pytest.raises(CandidateRefusedError, match=r"older than 0\.10\.0"):
        put(slots, versions("0.9.1"))
    assert slots.table().floors == {"tiny": "0.10.0"}
    put(slots, versions("0.9.1"), waive=True)
    assert slots.running().bundle.manifest.version == "0.9.1"
    assert slots.table().floors == {"tiny": "0.10.0"}


@pytest.mark.parametrize(("older", "newer"), [("0.9.0", "0.10.0"), ("0.9.9", "1.0.0"), ("1.2.3", "1.2.10")])
def test_versions_compare_as_numbers(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


def test_the_current_bundle_is_not_installed_again(slots: Slots, versions: Versions) -> None:
    folder = versions("0.2.0")
    put(slots, folder)
    with pytest.raises(CandidateRefusedError, match="already"):
        put(slots, folder)


def test_the_previous_bundle_comes_again_without_being_taken_away(slots: Slots, versions: Versions) -> None:
    folder = versions("0.2.0")
    first = put(slots, folder)
    put(slots, versions("0.3.0"))
    before = (slots.folder / first[:32]).stat().st_ino
    assert put(slots, folder, commit=False, waive=True) == first
    assert (slots.folder / first[:32]).stat().st_ino == before
    assert slots.table().previous.digest == first


def test_a_rotten_copy_of_a_bundle_is_replaced_by_an_install(slots: Slots, versions: Versions) -> None:
    folder = versions("0.2.0")
    digest = put(slots, folder, commit=False)
    (slots.folder / digest[:32] / "model.fp32.onnx").write_bytes(b"rot")
    put(slots, folder)
    assert slots.running().slot == "current"


def test_a_candidate_on_trial_is_not_replaced(slots: Slots, versions: Versions) -> None:
    digest = put(slots, versions("0.2.0"), commit=False)
    slots.mark(digest, "trial")
    with pytest.raises(UpdateError, match="on trial"):
        put(slots, versions("0.3.0"))


@pytest.mark.parametrize("file", ["model.fp32.onnx", "bundle.json", "golden.npz"])
def test_a_rotten_current_bundle_gives_way_to_the_previous_one(
    slots: Slots, versions: Versions, file: str
) -> None:
    first, second = put(slots, versions("0.2.0")), put(slots, versions("0.3.0"))
    path = slots.folder / second[:32] / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    running = slots.running()
    assert (running.slot, running.bundle.digest) == ("previous", first)
    assert "current" in running.problem


def test_when_nothing_installed_is_whole_the_bundle_that_ships_runs(slots: Slots, versions: Versions) -> None:
    for version in ("0.2.0", "0.3.0"):
        shutil.rmtree(slots.folder / put(slots, versions(version))[:32])
    running = slots.running()
    assert running.slot == "shipped"
    assert "current" in running.problem
    assert "previous" in running.problem


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema":"roomtone-slots/9"}', '{"schema":"roomtone-slots/1","x":1}']
)
def test_a_table_that_cannot_be_read_runs_what_ships_and_says_so(slots: Slots, text: str) -> None:
    slots.folder.mkdir(parents=True)
    (slots.folder / "slots.json").write_text(text)
    assert slots.running().slot == "shipped"
    assert "slots.json" in slots.running().problem
    with pytest.raises(UpdateError, match=r"slots\.json"):
        slots.table()


def test_another_bundle_in_the_folder_of_a_slot_is_not_run(slots: Slots, versions: Versions) -> None:
    digest = put(slots, versions("0.2.0"))
    shutil.rmtree(slots.folder / digest[:32])
    shutil.copytree(versions("0.2.1"), slots.folder / digest[:32])
    assert slots.running().slot == "shipped"


def test_the_table_is_plain_json(slots: Slots, versions: Versions) -> None:
    digest = put(slots, versions("0.2.0"))
    assert json.loads((slots.folder / "slots.json").read_text()) == {
        "schema": "roomtone-slots/1",
        "current": {"digest": digest, "name": "tiny", "version": "0.2.0"},
        "floors": {"tiny": "0.2.0"},
    }


def test_an_interrupted_trial_is_begun_again_and_given_up_after_some(
    slots: Slots, versions: Versions
) -> None:
    digest = put(slots, versions("0.2.0"), commit=False)
    slots.begin_run()
    assert slots.table().candidate.phase == "installed"
    for attempt in range(1, MAX_ATTEMPTS + 1):
        slots.mark(digest, "trial", attempts=attempt)
        slots.begin_run()
    assert slots.table().candidate is None
    assert "restarted" in slots.table().rejected.reason
    assert slots.running().slot == "shipped"


def test_one_agent_conducts_the_trials(slots: Slots, versions: Versions) -> None:
    assert slots.lock_as_agent() is None  # there is no folder
    put(slots, versions("0.2.0"), commit=False)
    assert not slots.has_agent()
    handle = slots.lock_as_agent()
    assert handle is not None
    assert slots.has_agent()
    assert slots.lock_as_agent() is None
    os.close(handle)
    assert not slots.has_agent()


def test_what_a_killed_process_left_is_swept_away_but_not_what_another_is_filling(
    slots: Slots, versions: Versions
) -> None:
    with slots.new_folder() as busy:
        dead = slots.folder / ".partial-dead"
        dead.mkdir()
        (slots.folder / ".slots.json.dead").touch()
        put(slots, versions("0.2.0"))
        assert busy.is_dir()
        assert not dead.exists()
        assert not (slots.folder / ".slots.json.dead").exists()


def test_a_changed_byte_is_not_installed(slots: Slots, versions: Versions) -> None:
    folder = versions("0.2.0")
    data = bytearray((folder / "model.fp32.onnx").read_bytes())
    data[100] ^= 1
    (folder / "model.fp32.onnx").write_bytes(data)
    with pytest.raises(BundleTamperedError):
        put(slots, folder)
    assert slots.table().candidate is None
    assert folders(slots) == set()


@pytest.fixture
def small_disk(tmp_path: Path):
    """A real disk of 10 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=10m", "none", str(folder)], check=False
    ).returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_with_10_mb_left_a_larger_bundle_is_refused_before_anything_is_written(
    small_disk: Path, versions: Versions
) -> None:
    slots = Slots(small_disk / "bundles")
    first = put(slots, versions("0.2.0"))
    with pytest.raises(UpdateError, match=r"MB left, the update needs \d+ MB"):
        put(slots, default_bundle_path())
    assert slots.running().bundle.digest == first
    assert folders(slots) == {first[:32]}


def test_a_disk_that_fills_up_meanwhile_loses_nothing(
    small_disk: Path, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = Slots(small_disk / "bundles")
    first = put(slots, versions("0.2.0"))
    monkeypatch.setattr("edge_runtime.updates.installing.need_room", lambda folder, needed: None)
    with pytest.raises(UpdateError, match="the disk is full"):
        put(slots, default_bundle_path())
    assert slots.running().bundle.digest == first
    assert folders(slots) == {first[:32]}
    put(slots, versions("0.3.0"))


def test_a_read_only_disk_is_named_and_what_is_there_runs(small_disk: Path, versions: Versions) -> None:
    slots = Slots(small_disk / "bundles")
    first = put(slots, versions("0.2.0"))
    second = put(slots, versions("0.3.0"), commit=False)
    slots.mark(second, "trial")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for change in (
        lambda: put(slots, versions("0.4.0")),
        slots.commit,
        lambda: slots.rollback("no"),
        slots.begin_run,
    ):
        with pytest.raises(UpdateError, match="read-only"):
            change()
    assert slots.running().bundle.digest == first


def test_whoever_only_looks_sees_the_bundle_that_a_start_would_try_first(
    slots: Slots, versions: Versions, tiny_bundle: Path
) -> None:
    def in_force(**inference: object) -> tuple[str, str]:
        config = Config.model_validate({"inference": inference, "updates": {"directory": str(slots.folder)}})
        bundle, problem = bundle_in_force(config)
        return f"{bundle.manifest.name} {bundle.manifest.version}", problem

    assert in_force()[0].startswith("default ")
    put(slots, versions("0.2.0"))
    assert in_force() == ("tiny 0.2.0", "")
    assert in_force(bundle=tiny_bundle) == ("tiny 0.1.0", "")  # a configured one stands above the slots
    current = slots.table().current
    assert current is not None
    (slots.folder / current.folder / "MODEL_CARD.md").write_text("changed")
    name, problem = in_force()
    assert name.startswith("default ")
    assert "MODEL_CARD.md is not the recorded file" in problem
