from pathlib import Path

import pytest

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.commands.overrides import absolute_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleError
from edge_runtime.shipped import bundle_folder, shipped_bundle


def test_a_shipped_bundle_has_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bundle_folder(Path("default")) == default_bundle_path()
    assert absolute_bundle(Path("default")) == default_bundle_path().resolve()
    assert InferenceSection(bundle=Path("default")).bundle == default_bundle_path()
    assert open_bundle(Path("default")).folder == default_bundle_path()


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    assert bundle_folder(Path("default")) == Path("default")
    with pytest.raises(BundleError):
        open_bundle(Path("default"))


@pytest.mark.parametrize("named", ["else/default", "/else/default", "unknown", ".", ".."])
def test_whatever_is_no_bare_name_is_a_path(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bundle_folder(Path(named)) == Path(named)


def test_the_small_bundle_is_smaller_and_does_the_same() -> None:
    default, small = (open_bundle(shipped_bundle(name)).manifest for name in ("default", "small"))
    assert small.label_names == default.label_names
    assert small.architecture.parameters <= 1.5e6
    assert small.architecture.multiply_adds <= 120e6
    assert small.architecture.multiply_adds < default.architecture.multiply_adds
