"""Commands that are typed beside a service: they look where the service keeps its things."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.config_layers import camera_files
from edge_runtime.credential_files import VARIABLE, environment_beside
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.updates.starting import cli_state_directory


def environment_of_service(configurations: Sequence[Path], credentials: Path | None = None) -> dict[str, str]:
    """The environment as the service has it; the state directory is set for this process, too.

    Args:
        configurations: files or folders, as given to `--config`.
        credentials: folder of secrets that was named; else the configuration's own.

    Raises:
        ConfigurationError: the board has several cameras, and the configurations name none of them.
    """
    _check_camera_is_named(configurations)
    os.environ.setdefault("STATE_DIRECTORY", str(cli_state_directory()))
    environ = environment_beside(configurations)
    return environ if credentials is None else environ | {VARIABLE: str(credentials)}


def _check_camera_is_named(configurations: Sequence[Path]) -> None:
    files = camera_files(configurations)
    named = {path.resolve() for path in configurations}
    if files and named.isdisjoint(file.resolve() for file in files):
        names = ", ".join(file.stem for file in files)
        raise ConfigurationError(
            ", ".join(map(str, configurations)),
            [Fault("", f"its cameras are {names}, and this command looks at one of them")],
            hint=f"name it: --config {configurations[0]} --config {files[0]}",
        )
