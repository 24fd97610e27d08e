"""The outbox: what it takes is on disk, what it loses is counted."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from brokers import until

from edge_runtime.errors import OutboxError
from edge_runtime.publishing.outbox import MAX_IN_RAM, Outbox

MEGABYTE = 1_000_000
DAY = 86_400.0
NOW = 1_760_000_000.0
TOPIC = "roomtone/a/b/c/emotion"


@dataclass
class Clocks:
    """Both clocks of a device, moved by hand."""

    wall_s: float = NOW
    monotonic_s: float = 1000.0

    def passes(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds

    def reboots(self, *, off_s: float = 0.0) -> None:
        self.wall_s += off_s
        self.monotonic_s = 5.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def opened(
    path: Path, clocks: Clocks | None = None, *, max_bytes: int = MEGABYTE, max_age_s: float = DAY
) -> Outbox:
    clocks = clocks or Clocks()
    return Outbox(
        path,
        max_bytes=max_bytes,
        max_age_s=max_age_s,
        wall=lambda: clocks.wall_s,
        monotonic=lambda: clocks.monotonic_s,
    )


def add(outbox: Outbox, *names: str | int, size: int = 10) -> list[bool]:
    return [outbox.append(str(name), TOPIC, b"x" * size, NOW) for name in names]


def waiting(outbox: Outbox) -> list[str]:
    return [row.event_id for row in outbox.pending(100_000)]


def test_events_come_out_as_they_went_in_oldest_first(path: Path) -> None:
    with opened(path) as outbox:
        assert outbox.append("e1", TOPIC, b"\x00payload", 123.5)
        assert add(outbox, "e2", "e3") == [True, True]
        first, second = outbox.pending(2)
    assert (first.event_id, first.topic, first.payload, first.created_s) == (
        "e1",
        TOPIC,
        b"\x00payload",
        123.5,
    )
    assert second.event_id == "e2"


@pytest.mark.parametrize(("limit", "expected"), [(0, []), (1, ["e2"]), (5, ["e2", "e3"])])
def test_pending_goes_on_behind_what_was_sent(path: Path, limit: int, expected: list[str]) -> None:
    with opened(path) as outbox:
        add(outbox, "e1", "e2", "e3")
        sent = outbox.pending(1)[0].row_id
        assert [row.event_id for row in outbox.pending(limit, after=sent)] == expected


def test_only_what_is_acknowledged_leaves(path: Path) -> None:
    with opened(path) as outbox:
        add(outbox, "e1", "e2", "e3")
        outbox.acknowledge([outbox.pending(2)[1].row_id, 999])
        assert (waiting(outbox), len(outbox)) == (["e1", "e3"], 2)
    with opened(path) as outbox:
        assert waiting(outbox) == ["e1", "e3"]


def test_an_empty_outbox_says_so(path: Path) -> None:
    with opened(path) as outbox:
        numbers = outbox.statistics()
        assert (outbox.pending(5), len(outbox)) == ([], 0)
        assert (numbers.rows, numbers.oldest_s, numbers.dropped, numbers.recovered) == (0, None, 0, 0)


def test_numbers_are_never_given_twice_whatever_happens_between(path: Path) -> None:
    clocks = Clocks()
    given = []
    for _ in range(3):
        with opened(path, clocks) as outbox:
            given += [outbox.next_event_number() for _ in range(2)]
            add(outbox, "e")
        clocks.reboots(off_s=-3600)  # and the clock is set back each time
    assert len(set(given)) == 6
    assert [number.boot for number in given] == sorted(number.boot for number in given)
    assert [number.seq for number in given] == [1, 2, 3, 4, 5, 6]


def test_a_lost_file_does_not_lead_to_old_numbers(path: Path) -> None:
    clocks = Clocks()
    with opened(path, clocks) as outbox:
        before = outbox.next_event_number()
    path.unlink()
    clocks.passes(2)
    with opened(path, clocks) as outbox:
        assert outbox.next_event_number() != before


CHILD = """
import sys, time
from pathlib import Path
from edge_runtime.publishing.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), max_bytes=10_000_000, max_age_s=1e6)
while True:
    number = outbox.next_event_number()
    event_id = number.event_id("c")
    assert outbox.append(event_id, "t", b"x" * 600, time.time())
    print(event_id, flush=True)
"""


def test_what_was_taken_before_kill_9_is_in_the_file(path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        with child.stdout:
            told += [line.strip() for line in itertools.islice(child.stdout, 60)]
            os.kill(child.pid, signal.SIGKILL)
            told += [line.strip() for line in child.stdout if line.endswith("\n")]
        child.wait(10)
    with Outbox(path, max_bytes=10_000_000, max_age_s=1e6) as outbox:
        stored = waiting(outbox)
        assert outbox.next_event_number().event_id("c") not in stored
    assert len(told) >= 120
    assert len(set(stored)) == len(stored)
    assert [event_id for event_id in stored if event_id in set(told)] == told


def test_a_second_process_is_told_that_the_file_is_in_use(path: Path) -> None:
    with opened(path) as outbox:
        with pytest.raises(OutboxError, match="in use by another process") as caught:
            opened(path)
        assert "running already" in caught.value.hint
        assert add(outbox, "e1") == [True]
    opened(path).close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: path.mkdir(), "opened", id="a folder"),
        pytest.param(lambda path: None, "opened", id="no such folder"),
    ],
)
def test_a_path_that_cannot_be_used_is_a_clear_error(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "folder" if message == "opened" and make is not None else tmp_path
    make(path)  # type: ignore[operator]
    target = path if path.exists() else path / "outbox.sqlite3"
    with pytest.raises(OutboxError, match=message) as caught:
        opened(target)
    assert caught.value.hint


def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=2")
    db.close()
    with pytest.raises(OutboxError, match="format 2"):
        opened(path)
    assert path.exists()


def test_over_its_size_the_oldest_go_and_are_counted_for_good(path: Path) -> None:
    # 10 + 22 + 1 or 2 + 64 bytes a row: ten rows are 970 to 980 bytes
    with opened(path, max_bytes=990) as outbox:
        assert all(add(outbox, *range(25)))
        assert waiting(outbox) == [str(number) for number in range(15, 25)]
        assert outbox.statistics().dropped == 15
        assert outbox.statistics().size_bytes <= 990
    with opened(path, max_bytes=990) as outbox:
        assert (outbox.statistics().dropped, len(outbox)) == (15, 10)


def test_an_event_larger_than_the_outbox_is_counted_and_costs_no_other(path: Path) -> None:
    with opened(path, max_bytes=990) as outbox:
        add(outbox, "e1")
        assert add(outbox, "large", size=2000) == [False]
        assert waiting(outbox) == ["e1"]
    with opened(path, max_bytes=990) as outbox:
        assert outbox.statistics().dropped == 1


def test_the_files_stay_near_the_limit(path: Path) -> None:
    with opened(path, max_bytes=300_000) as outbox:
        for number in range(300):
            add(outbox, number, size=3500)
        on_disk = sum(file.stat().st_size for file in path.parent.iterdir())
    assert on_disk < 300_000 * 1.2 + 400_000  # rows do not fill pages; the write-ahead log; the reserve


def test_over_its_age_an_event_goes_and_is_counted(path: Path) -> None:
    clocks = Clocks()
    with opened(path, clocks, max_age_s=100) as outbox:
        add(outbox, "old")
        clocks.passes(60)
        add(outbox, "young")
        assert outbox.statistics().oldest_s == 60
        clocks.passes(60)
        assert waiting(outbox) == ["young"]
        assert outbox.statistics().dropped == 1


@pytest.mark.parametrize(
    ("wall_steps_s", "age_s"),
    [
        pytest.param(0.0, 50.0, id="none"),
        pytest.param(-30 * DAY, 50.0, id="back a month"),
        pytest.param(30 * DAY, 50.0, id="forward a month"),
    ],
)
def test_a_step_of_the_clock_while_running_changes_no_age(
    path: Path, wall_steps_s: float, age_s: float
) -> None:
    clocks = Clocks()
    with opened(path, clocks) as outbox:
        add(outbox, "e1")
        clocks.wall_s += wall_steps_s
        clocks.passes(50)
        assert outbox.statistics().oldest_s == pytest.approx(age_s)


@pytest.mark.parametrize(
    ("start_s", "off_s", "age_s"),
    [
        pytest.param(NOW, 3600.0, 3650.0, id="an hour off"),
        pytest.param(NOW, -30 * DAY, 50.0, id="back a month over the restart"),
        pytest.param(100.0, NOW, 50.0, id="from 1970 to today over the restart"),
        pytest.param(NOW, -NOW + 100, 50.0, id="from today to 1970 over the restart"),
    ],
)
def test_over_a_restart_age_grows_by_the_time_off_as_far_as_it_is_known(
    path: Path, start_s: float, off_s: float, age_s: float
) -> None:
    clocks = Clocks(wall_s=start_s)
    with opened(path, clocks) as outbox:
        add(outbox, "e1")
    clocks.reboots(off_s=off_s)
    with opened(path, clocks) as outbox:
        clocks.passes(50)
        assert outbox.statistics().oldest_s == pytest.approx(age_s)


def test_a_clock_that_stays_wrong_keeps_nothing_for_ever(path: Path) -> None:
    clocks = Clocks(wall_s=100.0)
    with opened(path, clocks) as outbox:
        add(outbox, "e1")
    for _ in range(5):
        clocks.reboots()
        clocks.wall_s = 100.0
        with opened(path, clocks) as outbox:
            clocks.passes(0.3 * DAY)
            left = waiting(outbox)
    assert left == []


@dataclass
class Disk:
    """A disk that another program fills; a blocked reserve stands for it where mounting is not permitted."""

    folder: Path
    outbox: Outbox
    is_real: bool

    def fill(self) -> None:
        if self.is_real:
            with (self.folder / "other").open("ab", buffering=0) as other, contextlib.suppress(OSError):
                while True:
                    other.write(b"x" * 4096)
        else:  # without its reserve the database does not grow
            (self.folder / "outbox.sqlite3.reserve").unlink()
            (self.folder / "outbox.sqlite3.reserve").mkdir()
            self.outbox._file.give_up_reserve()

    def free(self) -> None:
        if self.is_real:
            (self.folder / "other").unlink()
        else:
            (self.folder / "outbox.sqlite3.reserve").rmdir()


@pytest.fixture(params=["tmpfs", "no reserve"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Outbox, Disk]]:
    folder = tmp_path / "disk"
    folder.mkdir()
    is_real = request.param == "tmpfs"
    if is_real:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a tmpfs needs root")
    outbox = opened(folder / "outbox.sqlite3", max_bytes=50 * MEGABYTE)
    try:
        yield outbox, Disk(folder, outbox, is_real)
    finally:
        outbox.close()
        if is_real:
            subprocess.run(["umount", str(folder)], check=True)


def test_on_a_full_disk_the_newest_events_live_and_the_lost_are_counted(
    small_disk: tuple[Outbox, Disk],
) -> None:
    outbox, disk = small_disk
    add(outbox, *range(100), size=2000)
    disk.fill()
    add(outbox, *range(100, 250), size=2000)
    assert outbox.problem is None  # the oldest made room
    numbers = outbox.statistics()
    kept = waiting(outbox)
    assert kept == [str(number) for number in range(250 - len(kept), 250)]
    assert len(kept) + numbers.dropped == 250
    assert numbers.dropped > 0
    assert numbers.rows_in_ram <= MAX_IN_RAM


def test_when_the_disk_has_room_again_all_that_waits_is_written(small_disk: tuple[Outbox, Disk]) -> None:
    outbox, disk = small_disk
    disk.fill()
    add(outbox, *range(100), size=700)
    assert outbox.problem is None or "free space" in outbox.problem.hint
    lost = outbox.statistics().dropped
    disk.free()
    assert add(outbox, "last", size=700) == [True]
    numbers = outbox.statistics()
    assert (outbox.problem, numbers.rows_in_ram, numbers.dropped) == (None, 0, lost)
    assert waiting(outbox) == [*(str(number) for number in range(lost, 100)), "last"]


def test_a_full_disk_does_not_keep_events_from_the_network(small_disk: tuple[Outbox, Disk]) -> None:
    outbox, disk = small_disk
    add(outbox, *range(20), size=700)
    disk.fill()
    add(outbox, *range(20, 100), size=700)
    while rows := outbox.pending(7):
        outbox.acknowledge(row.row_id for row in rows)
    assert len(outbox) == 0


def corrupt_with_text(path: Path) -> None:
    path.write_bytes(b"this is not a database " * 500)


def corrupt_in_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 8] = b"\xa5" * (4096 * 5)
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096 * 6)


@pytest.mark.parametrize("damage", [corrupt_with_text, corrupt_in_the_middle, cut_short])
def test_a_corrupt_file_is_set_aside_and_a_new_one_begun(
    path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Clocks()
    with opened(path, clocks) as outbox:
        before = outbox.next_event_number()
        add(outbox, *range(100), size=700)
    damage(path)  # type: ignore[operator]
    clocks.reboots(off_s=10)
    with opened(path, clocks) as outbox:
        assert outbox.statistics().recovered == 1
        assert outbox.next_event_number() != before
        assert add(outbox, "new") == [True]
        assert waiting(outbox) == ["new"]
    assert (path.parent / "outbox.sqlite3.corrupt-1").exists()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    with opened(path, clocks) as outbox:
        assert (waiting(outbox), outbox.statistics().recovered) == (["new"], 1)


def test_a_second_corruption_keeps_the_first_file_too(path: Path) -> None:
    for _ in range(2):
        corrupt_with_text(path)
        opened(path).close()
    assert {file.name for file in path.parent.glob("*.corrupt-*")} == {
        "outbox.sqlite3.corrupt-1",
        "outbox.sqlite3.corrupt-2",
    }


def test_a_file_that_turns_corrupt_while_open_costs_what_it_held_and_no_more(path: Path) -> None:
    with opened(path, max_bytes=10 * MEGABYTE) as outbox:
        add(outbox, *range(200), size=20_000)  # more than SQLite's page cache holds
        data = path.stat().st_size
        with path.open("r+b") as file:
            file.write(b"\xa5" * data)
        with pytest.MonkeyPatch.context() as patch:  # the cache would hide it for a while
            patch.setattr(outbox, "_wall", lambda: NOW + 60)
            outbox._file._db.execute("PRAGMA shrink_memory")
            outbox.pending(100_000)
        assert add(outbox, "new") == [True]
        numbers = outbox.statistics()
        assert (waiting(outbox), numbers.dropped, numbers.recovered) == (["new"], 200, 1)


def test_two_threads_share_it(path: Path) -> None:
    with opened(path) as outbox:
        writers = [
            threading.Thread(target=lambda base=base: add(outbox, *range(base, base + 100)))
            for base in (0, 1000)
        ]
        for writer in writers:
            writer.start()
        taken: set[str] = set()

        def take() -> bool:
            rows = outbox.pending(20)
            taken.update(row.event_id for row in rows)
            outbox.acknowledge(row.row_id for row in rows)
            return len(taken) == 200

        assert until(take)
        for writer in writers:
            writer.join()
    assert taken == {str(number) for base in (0, 1000) for number in range(base, base + 100)}


def test_after_closing_an_event_is_refused_without_an_exception(path: Path) -> None:
    outbox = opened(path)
    outbox.close()
    outbox.close()
    assert add(outbox, "late") == [False]
    assert outbox.pending(1) == []
