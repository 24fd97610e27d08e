"""The files of the page: what it weighs, where it comes from, and that nothing is said outside of the strings."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge_runtime.dashboard.words import STATIC, strings

FOLDER = Path(str(STATIC))
SCRIPTS = sorted(FOLDER.glob("*.js"))


def test_the_chart_library_is_the_one_that_its_digest_names() -> None:
    lines = (FOLDER / "vendor" / "SHA256SUMS").read_text().splitlines()
    listed = dict(reversed(line.split()) for line in lines)
    assert set(listed) == {"uPlot.esm.js", "uPlot.min.css", "uPlot.LICENSE"}
    for name, digest in listed.items():
        assert hashlib.sha256((FOLDER / "vendor" / name).read_bytes()).hexdigest() == digest, name
    assert "MIT License" in (FOLDER / "vendor" / "uPlot.LICENSE").read_text()


def test_all_that_a_first_visit_could_load_is_below_150_kb_gzipped() -> None:
    # Charts and devices included; what a browser really loads is measured in test_pages.py.
    files = [
        file
        for file in FOLDER.rglob("*")
        if file.is_file() and file.suffix in (".js", ".css", ".html", ".json", ".svg")
    ]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) < 150_000


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_a_script_says_only_what_is_in_the_strings(file: Path) -> None:
    source = file.read_text()
    for key in re.findall(r"""\bsay\(\s*["'`]([a-z0-9_.]+)["'`]""", source):
        assert key in strings(), key
    for key in re.findall(r"""sayCount\(\s*["']([a-z0-9_.]+)["']""", source):
        assert {f"{key}.one", f"{key}.other"} <= strings().keys(), key
    for family in re.findall(r"""\b(?:say|sayWord)\(\s*[`"]([a-z_.]+?)\.?(?:\$\{|",)""", source):
        assert any(key.startswith(family) for key in strings()), family


def test_no_string_is_left_that_nobody_says() -> None:
    sources = [*SCRIPTS, *FOLDER.glob("*.html"), *FOLDER.parent.glob("*.py")]
    said = "".join(file.read_text() for file in sources)
    whole = set(re.findall(r"""["'`{]([a-z0-9_]+(?:\.[a-z0-9_]+)+)["'`}]""", said))
    counted = {f"{key}.{number}" for key in whole for number in ("one", "other")}
    # `state.${word}` in a script, f"verdict.{code}" here, and sayWord("health", word)
    built = {
        re.sub(r"\$?\{[^}]+\}", "[a-z0-9_]+", key.replace(".", r"\."))
        for key in re.findall(r"""[`"]([a-z0-9_]+(?:\.(?:[a-z0-9_]+|\$?\{[^}]+\}))+)[`"]""", said)
        if "{" in key
    } | {rf"{family}\.[a-z_]+" for family in re.findall(r'sayWord\("([a-z]+)"', said)}
    unsaid = [
        key
        for key in strings()
        if key not in whole | counted and not any(re.fullmatch(one, key) for one in built)
    ]
    assert unsaid == []


@pytest.mark.parametrize("file", [*SCRIPTS, *FOLDER.glob("*.html")], ids=lambda file: file.name)
def test_nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup(file: Path) -> None:
    source = file.read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", source
    )
    assert not re.search(r"""\s(?:style|on[a-z]+)=["']""", source), (
        "inline styles and handlers are what the policy forbids"
    )
    addresses = [
        url for url in re.findall(r"https?://[^\s\"'`]+", source) if "www.w3.org/2000/svg" not in url
    ]
    assert addresses == []


def test_the_strings_are_sentences_by_key() -> None:
    table = json.loads((FOLDER / "strings.en.json").read_text())
    assert all(isinstance(text, str) for text in table.values())
    assert list(dict.fromkeys(table)) == list(table)


def test_the_wheel_carries_the_page(tmp_path: Path, repository: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(repository),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "hatchling" in done.stderr:
        pytest.skip("hatchling, the build back end, is not installed beside the tests")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in FOLDER.rglob("*"):
        if file.is_file():
            assert f"edge_runtime/dashboard/static/{file.relative_to(FOLDER)}" in names
