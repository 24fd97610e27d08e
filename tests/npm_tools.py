"""Programs of the npm registry that tests run: installed once, into a cache outside of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_TIMEOUT_S = 300


def npm_tool(package: str, version: str) -> Path:
    """The `node_modules` that holds this very version; skips the test where it cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip(f"{package} needs node and npm")
    folder = cache() / f"{package.replace('/', '-').lstrip('@')}-{version}"
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
        done = subprocess.run(
            [*command, f"{package}@{version}"],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"npm could not install {package}@{version}: {done.stderr.strip()[-300:]}")
        (folder / "installed").touch()
    return folder / "node_modules"


def cache() -> Path:
    """Where what tests install is kept from one run to the next; `ROOMTONE_TEST_CACHE` overrides it."""
    if given := os.environ.get("ROOMTONE_TEST_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "roomtone-tests"
