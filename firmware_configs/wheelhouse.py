#!/usr/bin/env python3
"""Builds a wheelhouse: roomtone and all that it needs as wheels, for boards that never see the internet.

    make wheelhouse ARCH=aarch64                      # into dist/wheelhouse-aarch64
    make wheelhouse ARCH=x86_64 EXTRAS=provision,openvino
    python firmware_configs/wheelhouse.py aarch64 --python 3.11 --python 3.13

Only wheels, nothing is compiled: neither here nor on the board. Several versions of Python go into one wheelhouse, so
that it serves Debian 12 (3.11) and 13 (3.13) alike. Needs nothing but Python and pip.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# glibc of the boards: 2.31 is Debian 11's and JetPack 5's, 2.36 Debian 12's, 2.41 Debian 13's; pip wants each named.
GLIBC = {"old": range(17, 32), "usual": range(17, 37)}
ARCHITECTURES = ("aarch64", "x86_64")
INSTALL = """\
#!/bin/sh
# Installs roomtone from this folder, without internet: sudo sh install.sh [/opt/roomtone]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
(cd "$here" && sha256sum --check --quiet SHA256SUMS)
python3 -m venv "${1:-/opt/roomtone}"
"${1:-/opt/roomtone}/bin/pip" install --no-index --find-links "$here" 'roomtone[EXTRAS]'
"${1:-/opt/roomtone}/bin/roomtone" --help >/dev/null
echo "next: sudo ${1:-/opt/roomtone}/bin/roomtone provision"
"""


def platform_options(architecture: str, python: str, glibc: str = "usual") -> list[str]:
    """What pip is told about a board."""
    if architecture not in ARCHITECTURES:
        raise SystemExit(f"ARCH is one of {', '.join(ARCHITECTURES)}, not {architecture!r}")
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in reversed(GLIBC[glibc])]
    tags = [*platforms, f"manylinux2014_{architecture}"]
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    return options + [word for tag in tags for word in ("--platform", tag)]


def build(architecture: str, out: Path, pythons: list[str], extras: str, glibc: str) -> None:
    """Fills the folder."""
    out.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        print("building roomtone's own wheel ...", flush=True)
        run([*pip, "wheel", "-q", "--no-deps", "--wheel-dir", folder, str(REPOSITORY)])
        (own,) = Path(folder).glob("roomtone-*.whl")
        for python in pythons:
            print(f"fetching wheels for {architecture}, Python {python} ...", flush=True)
            wanted = f"{own}[{extras}]" if extras else str(own)
            run(
                [
                    *pip,
                    "download",
                    "-q",
                    *platform_options(architecture, python, glibc),
                    "--dest",
                    str(out),
                    wanted,
                ]
            )
    wheels = sorted(out.glob("*.whl"))
    sums = [f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n" for wheel in wheels]
    (out / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    (out / "install.sh").write_text(INSTALL.replace("EXTRAS", extras).replace("[]", ""), encoding="utf-8")
    size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
    print(f"{out}: {len(wheels)} wheels, {size:.0f} MB; on the board: sudo sh install.sh")


def run(command: list[str]) -> None:
    """Runs pip, and ends with its exit code when it fails."""
    if code := subprocess.run(command, check=False).returncode:
        raise SystemExit(code)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("architecture", choices=ARCHITECTURES)
    parser.add_argument("--out", type=Path, help="folder; dist/wheelhouse-ARCH when absent")
    parser.add_argument(
        "--python", action="append", help="version of the boards; may be repeated; 3.11 and 3.13"
    )
    parser.add_argument("--extras", default="provision", help="extras of roomtone, with commas")
    parser.add_argument(
        "--glibc", choices=GLIBC, default="usual", help="old: boards with glibc 2.31, such as JetPack 5"
    )
    given = parser.parse_args()
    out = given.out or REPOSITORY / "dist" / f"wheelhouse-{given.architecture}"
    build(given.architecture, out, given.python or ["3.11", "3.13"], given.extras, given.glibc)


if __name__ == "__main__":
    main()
