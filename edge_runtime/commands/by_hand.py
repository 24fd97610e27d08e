"""Commands that are typed beside a service: they look where the service keeps its things."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from edge_runtime.credential_files import VARIABLE, environment_beside
from edge_runtime.updates.starting import cli_state_directory


def environment_of_service(configurations: Iterable[Path], credentials: Path | None = None) -> dict[str, str]:
    """The environment as the service has it; the state directory is set for this process, too.

    Args:
        configurations: files or folders, as given to `--config`.
        credentials: folder of secrets that was named; else the configuration's own.
    """
    os.environ.setdefault("STATE_DIRECTORY", str(cli_state_directory()))
    environ = environment_beside(configurations)
    return environ if credentials is None else environ | {VARIABLE: str(credentials)}
