"""Secrets as files, one each, in `$CREDENTIALS_DIRECTORY`: what systemd's `LoadCredential=` gives a service.

Where several cameras share a process, a camera's own secret lies beside the common one, with the device in front of its
name: `greenfield.room-12.camera-1.mqtt_password`.

`roomtone provision` keeps them in `credentials/` beside the configuration, root's own, mode 0600. A command that is
given that configuration by hand finds them there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "CREDENTIALS_DIRECTORY"
FOLDER: Final = "credentials"
NAMES: Final = (
    "mqtt_username",
    "mqtt_password",
    "mqtt_client_cert",
    "mqtt_client_key",
    "camera_username",
    "camera_password",
)


def credential_path(name: str, environ: Mapping[str, str] | None = None, *, device: str = "") -> Path | None:
    """The file of a credential, if there is one.

    Args:
        name: one of `NAMES`.
        environ: the environment; the process's own when None.
        device: site.room.device, whose own file goes before the common one; empty: only that one is looked for.
    """
    folder = (os.environ if environ is None else environ).get(VARIABLE)
    if not folder:
        return None
    own = [f"{device}.{name}"] if device else []
    return next((path for file in (*own, name) if (path := Path(folder) / file).exists()), None)


def read_credential(name: str, environ: Mapping[str, str] | None = None, *, device: str = "") -> str | None:
    """A credential's text without the line's end that an editor adds; None where there is none. See `credential_path`.

    Raises:
        OSError: it is there and cannot be read.
        UnicodeDecodeError: it is no UTF-8 text.
    """
    path = credential_path(name, environ, device=device)
    # A password may well end with a space.
    return None if path is None else path.read_text(encoding="utf-8").rstrip("\r\n") or None


def environment_beside(
    configurations: Iterable[Path], environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment, with `$CREDENTIALS_DIRECTORY` set to a configuration's own folder of credentials.

    Args:
        configurations: files or folders, as given to `--config`.
        environ: to begin with; one that names credentials already stays as it is.
    """
    found = dict(os.environ if environ is None else environ)
    for path in configurations:
        folder = (path if path.is_dir() else path.parent) / FOLDER
        if VARIABLE not in found and folder.is_dir():
            found[VARIABLE] = str(folder)
    return found
