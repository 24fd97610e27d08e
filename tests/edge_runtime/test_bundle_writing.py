import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.bundle_writing import check_target, digests, new_bundle
from edge_runtime.errors import BundleError


def write_bundle(out: Path, text: str, *, force: bool = False) -> None:
    with new_bundle(out, force=force) as folder:
        (folder / "bundle.json").write_text(text)


def test_the_folder_takes_its_name_when_all_is_written(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bundle"
    with new_bundle(out) as folder:
        (folder / "bundle.json").write_text("{}")
        assert not out.exists()
    assert [entry.name for entry in out.iterdir()] == ["bundle.json"]
    assert [entry.name for entry in out.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError], ids=["interrupt", "error"])
def test_an_error_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), new_bundle(tmp_path / "bundle"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_what_was_there(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", "old")
    with pytest.raises(RuntimeError):  # noqa: PT012, SIM117 - the manager sees a write, then the error
        with new_bundle(tmp_path / "bundle", force=True) as folder:
            (folder / "bundle.json").write_text("half of the new")
            raise RuntimeError
    assert (tmp_path / "bundle" / "bundle.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_rename_that_fails_brings_the_old_bundle_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "bundle", "old")
    rename = Path.rename

    def fails_on_the_new(path: Path, target: Path) -> Path:
        if ".partial-" in path.name:
            raise OSError("no")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_on_the_new)
    with pytest.raises(OSError, match="no"):
        write_bundle(tmp_path / "bundle", "new", force=True)
    assert (tmp_path / "bundle" / "bundle.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_force_replaces_a_bundle(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", "old")
    write_bundle(tmp_path / "bundle", "new", force=True)
    assert (tmp_path / "bundle" / "bundle.json").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


WRITES_AND_WAITS = """
import sys
from pathlib import Path
from edge_runtime.bundle_writing import new_bundle

with new_bundle(Path(sys.argv[1])) as folder:
    (folder / "model.onnx").write_text("half of it")
    print("writing", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_writer(out: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing a bundle."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_AND_WAITS, out],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


def test_what_a_killed_run_left_is_removed_by_the_next_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    out = tmp_path / "bundle"
    (tmp_path / ".bundle.partial-notes").mkdir()  # not one of ours
    with another_writer(out) as process:
        write_bundle(out, "first")
        (unfinished,) = tmp_path.glob(".bundle.partial-????????")
        assert (unfinished / "model.onnx").is_file()
        process.kill()
        process.wait()
        write_bundle(out, "second", force=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".bundle.partial-notes", "bundle"]
    assert (out / "bundle.json").read_text() == "second"


def test_a_bundle_that_a_killed_run_had_moved_away_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    write_bundle(out, "old")
    out.rename(tmp_path / ".bundle.replaced-01234567")
    (tmp_path / ".bundle.partial-01234567").mkdir()
    with pytest.raises(BundleError, match="is there already"):
        write_bundle(out, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]
    assert (out / "bundle.json").read_text() == "old"


@pytest.mark.parametrize("dangling", [False, True], ids=["to a bundle", "to nothing"])
def test_a_link_is_replaced_and_what_it_points_to_is_kept(dangling: bool, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    if not dangling:
        write_bundle(tmp_path / "elsewhere", "old")
    write_bundle(tmp_path / "link", "new", force=True)
    assert (tmp_path / "link" / "bundle.json").read_text() == "new"
    assert not (tmp_path / "link").is_symlink()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == (
        ["link"] if dangling else ["elsewhere", "link"]
    )
    assert dangling or (tmp_path / "elsewhere" / "bundle.json").read_text() == "old"


@pytest.mark.parametrize(
    ("content", "force", "problem"),
    [
        (None, False, None),
        ([], False, None),
        (["bundle.json"], False, "is there already"),
        (["bundle.json"], True, None),
        (["thesis.txt"], False, "no bundle"),
        (["thesis.txt"], True, "no bundle"),
    ],
    ids=["absent", "empty", "bundle", "bundle, force", "other", "other, force"],
)
def test_only_a_bundle_may_be_replaced_and_only_on_demand(
    content: list[str] | None, force: bool, problem: str | None, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if content is not None:
        out.mkdir()
        for name in content:
            (out / name).touch()
    if problem is None:
        check_target(out, force=force)
        write_bundle(out, "new", force=force)
        assert (out / "bundle.json").read_text() == "new"
    else:
        with pytest.raises(BundleError, match=problem):
            check_target(out, force=force)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path / "file" / "bundle", "new")


def test_digests_list_every_file_but_the_manifest_in_order(tmp_path: Path) -> None:
    for name in ("z.txt", "bundle.json", "deep/a.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"abc")
    assert [(d.path, d.size) for d in digests(tmp_path)] == [("deep/a.bin", 3), ("z.txt", 3)]
    # FIPS 180-2, appendix B.1
    assert digests(tmp_path)[0].sha256.startswith(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
