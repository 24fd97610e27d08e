import errno
from pathlib import Path

import pytest
import torch
from export_parts import make_network

from export.checkpoints import CheckpointError, load_checkpoint, load_weights, save_checkpoint


def test_weights_and_facts_come_back_as_they_were(tmp_path: Path) -> None:
    weights = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor(7)}  # one of them not contiguous
    save_checkpoint(tmp_path / "c.safetensors", weights, {"labels": ["é", "b"]})
    stored = load_checkpoint(tmp_path / "c.safetensors")
    assert stored.facts == {"labels": ["é", "b"]}
    assert stored.weights.keys() == weights.keys()
    assert all(torch.equal(stored.weights[name], weights[name]) for name in weights)


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (ran,)  # type: ignore[return-value]

    torch.save(Trap(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors") as found:
        load_checkpoint(tmp_path / "model.pt")
    assert "pickle" in found.value.hint
    assert not ran.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.9], ids=["empty", "header cut", "weights cut"])
def test_a_truncated_file_is_named(share: float, checkpoint: Path, tmp_path: Path) -> None:
    data = checkpoint.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors: cannot be read"):
        load_checkpoint(cut)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(tmp_path / "nothing.safetensors")


def test_another_class_count_says_which_tensors_differ(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"classifier\.weight is \(7, 64\), not \(8, 64\)"):
        load_weights(make_network(num_classes=8), load_checkpoint(checkpoint), checkpoint)


def test_another_architecture_says_which_tensors_are_missing_and_too_many(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"missing \(bias, weight\).* too many \(attention"):
        load_weights(torch.nn.Linear(3, 3), load_checkpoint(checkpoint), checkpoint)


def test_an_interrupted_save_keeps_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"a": torch.zeros(1)}, {})
    monkeypatch.setattr("export.checkpoints.os.replace", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"a": torch.ones(1)}, {})
    assert load_checkpoint(path).weights["a"].item() == 0


def test_a_full_disk_keeps_the_file_before_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"a": torch.zeros(1)}, {})
    monkeypatch.setattr("export.checkpoints.os.replace", _no_space)
    with pytest.raises(CheckpointError, match=r"cannot be written: .*No space left") as found:
        save_checkpoint(path, {"a": torch.ones(1)}, {})
    assert "make room" in found.value.hint
    assert [file.name for file in tmp_path.iterdir()] == ["c.safetensors"]
    assert load_checkpoint(path).weights["a"].item() == 0


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
