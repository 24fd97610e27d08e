"""The support bundle: one archive with what a maintainer asks for first, and nothing that is nobody's business.

Every part is text and goes through the redactor; no part is a file copied as it is, so no frame, no crop, no key and
no event can be among them.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from edge_runtime import __version__
from edge_runtime.config import Config
from edge_runtime.config_file import to_toml
from edge_runtime.errors import RoomtoneError
from edge_runtime.file_writing import write_whole
from edge_runtime.frames.address import masked
from edge_runtime.outlet import outbox_path
from edge_runtime.provisioning.doctor.report import Report
from edge_runtime.provisioning.support.facts import hardware, versions
from edge_runtime.provisioning.support.redaction import Redactor, secrets_of
from edge_runtime.publishing.outbox_snapshot import is_held, snapshot
from edge_runtime.status_file import read_status, status_folders
from edge_runtime.updates.starting import bundle_in_force

UNIT: Final = "roomtone"
LOG_LINES: Final = 2000
_JOURNAL_S: Final = 20.0
_LARGEST_LOG: Final = 4_000_000  # characters of one log, its end

_ABOUT: Final = """\
Support bundle of roomtone {version}, made {when}.

In it:
{parts}

Not in it: pictures, faces, events, passwords, keys, names of people. Passwords that this device knows, what looks like
one, and the contact and the teacher's agreement of [deployment], are replaced by ***. Names of the site, the room,
hosts and files are as they are. Look into it before you send it.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the archive.

    Attributes:
        name: in the archive.
        about: what it is, in a few words.
        text: redacted.
    """

    name: str
    about: str
    text: str


def collect(
    paths: Sequence[Path],
    config: Config | None,
    report: Report,
    environ: Mapping[str, str],
    *,
    logs: Sequence[Path] = (),
    log_lines: int = LOG_LINES,
) -> list[Part]:
    """Everything, redacted.

    Args:
        paths: the configuration's files and folders.
        config: what they say; None where they have faults.
        report: the doctor's.
        environ: where secrets are known from.
        logs: files to take in beside systemd's journal.
        log_lines: of each log, the last.
    """
    redact = Redactor(secrets_of(config, environ))
    parts = [
        ("doctor.json", "what roomtone doctor found", _json(report.to_json())),
        ("versions.json", "roomtone, Python, packages, system", _json(versions())),
        ("hardware.json", "board, processor, memory, cameras", _json(hardware())),
        ("journal.txt", f"the last {log_lines} lines of the service's log", _journal(log_lines)),
        *(
            (f"logs/{number}-{log.name}", f"the end of {log}", _tail(log, log_lines))
            for number, log in enumerate(logs)
        ),
    ]
    if config is not None:
        parts += [
            ("configuration.toml", "in force, defaults filled in", _configuration(config)),
            ("outbox.json", "how many events wait; not the events", _json(_outbox(config))),
            ("status.json", "what the agent said last", _json(_status(config))),
            ("bundle.json", "network, labels, digests", _json(_bundle(config))),
        ]
    files = [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    parts += [
        (f"configured/{number}-{file.name}", "as written", _tail(file, LOG_LINES))
        for number, file in enumerate(files)
    ]
    return [Part(name, about, redact(text)) for name, about, text in parts]


def write(parts: Sequence[Part], out: Path) -> None:
    """Writes the archive, whole or not at all, readable by its owner only.

    Raises:
        RoomtoneError: it cannot be written.
    """
    when = time.strftime("%Y-%m-%d %H:%M:%S %z")
    listed = "\n".join(f"  {part.name:<24} {part.about}" for part in parts)
    about = Part("about.txt", "", _ABOUT.format(version=__version__, when=when, parts=listed))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in (about, *parts):
            archive.writestr(part.name, part.text.encode("utf-8", "replace"))
    try:
        write_whole(out, buffer.getvalue(), mode=0o600)
    except OSError as exc:
        raise RoomtoneError(f"{out} cannot be written: {exc.strerror}", hint="name another place") from exc


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def _configuration(config: Config) -> str:
    camera = config.camera.model_copy(update={"source": masked(config.camera.source)})
    return to_toml(config.model_copy(update={"camera": camera}))


def _outbox(config: Config) -> dict[str, Any]:
    path = outbox_path(config)
    facts: dict[str, Any] = {"path": str(path), "in_use": is_held(path)}
    if not os.path.isfile(path):
        return facts | {"problem": "there is none, or this user may not look"}
    try:
        return facts | asdict(snapshot(path))
    except RoomtoneError as error:
        return facts | {"problem": str(error)}


def _status(config: Config) -> dict[str, Any]:
    status = read_status(status_folders(config), config)
    return {"problem": "no agent has written one"} if status is None else status.model_dump(mode="json")


def _bundle(config: Config) -> dict[str, Any]:
    try:
        bundle, problem = bundle_in_force(config)
    except RoomtoneError as error:
        return {"problem": str(error), "hint": error.hint}
    return {
        "folder": str(bundle.folder),
        "digest": bundle.digest,
        "problem": problem,
        "manifest": bundle.manifest.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _journal(lines: int) -> str:
    tool = shutil.which("journalctl")
    if tool is None:
        return "journalctl is not installed here\n"
    command = [tool, "--unit", UNIT, "--lines", str(lines), "--no-pager", "--output", "short-iso", "--quiet"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_JOURNAL_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as exc:
        return f"the journal cannot be read: {exc}\n"
    return done.stdout[-_LARGEST_LOG:] or f"the journal has nothing of the unit {UNIT}. {done.stderr}\n"


def _tail(file: Path, lines: int) -> str:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")[-_LARGEST_LOG:]
    except OSError as exc:
        return f"{file} cannot be read: {exc.strerror}\n"
    return "\n".join(text.splitlines()[-lines:]) + "\n"
