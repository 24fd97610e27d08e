from pathlib import Path

import pytest

from calibration.sealing import MAGIC, forget, is_sealed, seal, unseal
from edge_runtime.errors import ConfigurationError

SECRET = b"the pixels of a face" * 50


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def sealed(tmp_path: Path, state: Path) -> Path:
    path = tmp_path / "room.sealed"
    seal(SECRET, path, state)
    return path


def test_what_was_sealed_comes_back_and_is_not_on_the_disk(sealed: Path, state: Path) -> None:
    data = sealed.read_bytes()
    assert is_sealed(data)
    assert b"pixels of a face" not in data
    assert unseal(data, sealed, state) == SECRET


def test_file_and_key_are_the_owners_only(sealed: Path, state: Path) -> None:
    (key,) = state.iterdir()
    assert {path.stat().st_mode & 0o777 for path in (sealed, key)} == {0o600}


def test_two_files_have_two_keys(sealed: Path, state: Path, tmp_path: Path) -> None:
    seal(SECRET, tmp_path / "other.sealed", state)
    assert len({key.read_bytes() for key in state.iterdir()}) == 2
    assert sealed.read_bytes()[len(MAGIC) :] != (tmp_path / "other.sealed").read_bytes()[len(MAGIC) :]


def test_on_another_device_it_is_useless(sealed: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"its key .* cannot be read"):
        unseal(sealed.read_bytes(), sealed, tmp_path / "elsewhere")


@pytest.mark.parametrize("place", [len(MAGIC) + 9, len(MAGIC) + 30, -1], ids=["nonce", "content", "tag"])
def test_a_changed_byte_is_noticed(place: int, sealed: Path, state: Path) -> None:
    data = bytearray(sealed.read_bytes())
    data[place] ^= 1
    with pytest.raises(ConfigurationError, match="was changed, cut short"):
        unseal(bytes(data), sealed, state)


@pytest.mark.parametrize("length", [len(MAGIC) + 8, len(MAGIC) + 12, len(MAGIC) + 40])
def test_a_file_cut_short_is_noticed(length: int, sealed: Path, state: Path) -> None:
    with pytest.raises(ConfigurationError, match="was changed, cut short"):
        unseal(sealed.read_bytes()[:length], sealed, state)


def test_nothing_is_written_over_and_no_key_is_left_behind(sealed: Path, state: Path) -> None:
    before = sealed.read_bytes()
    with pytest.raises(ConfigurationError, match="is there already"):
        seal(b"another", sealed, state)
    assert sealed.read_bytes() == before
    assert len(list(state.iterdir())) == 1


def test_forgetting_takes_the_key_and_the_file(sealed: Path, state: Path) -> None:
    forget(sealed, state)
    assert not sealed.exists()
    assert list(state.iterdir()) == []


def test_a_file_that_is_not_sealed_is_never_deleted(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "faces.npz"
    path.write_bytes(b"PK\x03\x04")
    forget(path, state)
    assert path.exists()
