"""Boards by what their kernels tell, and the profile that each gets."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from edge_runtime.board import Board, read_board
from edge_runtime.config import Config
from edge_runtime.config_file import load_config
from edge_runtime.device_profile import find_profile, load_profile, profile_names, profiles_folder
from edge_runtime.errors import ConfigurationError
from edge_runtime.publishing.contract_files import schema_folder

BOARDS = Path(__file__).with_name("boards")
ARCHITECTURES = {"x86-64-avx2": "x86_64", "x86-64-vnni": "x86_64", "intel-n100": "x86_64"}


def board(name: str) -> Board:
    return read_board(BOARDS / name, ARCHITECTURES.get(name, "aarch64"))


@pytest.mark.parametrize("name", profile_names())
def test_each_board_gets_its_own_profile(name: str) -> None:
    assert find_profile(board(name)).name == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("raspberry-pi-5", "Raspberry Pi 5 Model B Rev 1.0, Cortex-A76, 4 cores, 8 GB, aarch64"),
        ("rk3588", "Radxa ROCK 5B, Cortex-A55 + Cortex-A76, 8 cores, 15 GB, aarch64"),
        ("intel-n100", "MINI PC, Intel(R) N100, 4 cores, 15 GB, x86_64"),
    ],
)
def test_a_board_says_what_it_is(name: str, shown: str) -> None:
    assert str(board(name)) == shown


def test_a_machine_that_tells_nothing_is_read_all_the_same(tmp_path: Path) -> None:
    nothing = read_board(tmp_path, "riscv64")
    assert nothing == Board("", "", "riscv64", frozenset(), 0, 0)
    with pytest.raises(ConfigurationError, match=r"none of .* fits this board: 0 cores"):
        find_profile(nothing)


def test_this_very_machine_has_a_profile() -> None:
    assert find_profile(read_board()).name in profile_names()


@pytest.mark.parametrize("name", profile_names())
def test_every_figure_has_its_source_or_is_called_an_estimate(name: str) -> None:
    document = tomllib.loads((profiles_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    figures = [
        figure
        for section in ("camera", "faces", "inference", "stats", "board")
        for figure in document[section].values()
    ]
    assert len(figures) >= 12
    for figure in figures:
        assert bool(figure.get("source")) != (figure.get("estimated") is True and bool(figure["why"])), figure


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_a_valid_configuration(name: str) -> None:
    profile = load_profile(name)
    config = Config.model_validate(profile.configuration)
    assert config.inference.prefer[-1].startswith("onnxruntime"), (
        "the engine of the core, so that it always runs"
    )
    assert config.stats.hot_c <= profile.throttles_c


@pytest.mark.parametrize("name", profile_names())
def test_only_products_added_in_16_bits_saturate(name: str) -> None:
    wide = {"avx512_vnni", "avx_vnni", "asimd"}
    assert load_profile(name).saturates == (not board(name).flags & wide)


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        ("{ value = 2 }", "needs either source or estimated"),
        ('{ value = 2, source = "a data sheet", estimated = true }', "needs either source or estimated"),
        ("{ value = 2, estimated = true }", "does not say why"),
        ('{ value = 2, sauce = "a data sheet" }', "inference.threads.sauce"),
        ("2", "inference.threads"),
    ],
)
def test_a_figure_without_a_source_is_a_fault(tmp_path: Path, figure: str, says: str) -> None:
    text = (profiles_folder() / "rk3588.toml").read_text(encoding="utf-8")
    lines = [
        line if not line.startswith("threads =") else f"threads = {figure}" for line in text.splitlines()
    ]
    (tmp_path / "mine.toml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says):
        load_profile("mine.toml", tmp_path)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("raspberry-pi-9", "none of intel-n100, jetson-orin-nano"),
        ("missing.toml", "cannot be read"),
        ("broken.toml", "not valid TOML"),
    ],
)
def test_a_profile_that_cannot_be_had_is_a_fault_of_the_file_that_names_it(
    tmp_path: Path, wanted: str, says: str
) -> None:
    (tmp_path / "broken.toml").write_text("[")
    (tmp_path / "config.toml").write_text(f'\nprofile = "{wanted}"\n')
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_config(tmp_path / "config.toml")
    assert caught.value.faults[0].line == 2


def test_an_installed_wheel_holds_the_profiles_the_unit_and_the_contract(
    repository: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(tmp_path),
    ]
    done = subprocess.run([*command, str(repository)], capture_output=True, text=True, check=False)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("the package index, which has hatchling, cannot be reached")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    assert "edge_runtime/firmware_configs/systemd/roomtone.service" in names
    contract = {f"edge_runtime/schemas/{path.name}" for path in schema_folder().iterdir()}
    assert len(contract) > 2
    assert contract <= names
    program = "from edge_runtime.device_profile import *; print(*profile_names(), profiles_folder())"
    script = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); {program}",
    ]
    told = subprocess.run(script, capture_output=True, text=True, check=True).stdout.split()
    assert told[:-1] == profile_names()
    assert Path(told[-1]).is_relative_to(tmp_path)
