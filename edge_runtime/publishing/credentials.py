"""User and password of the broker: from the environment or systemd, never from the configuration.

Each of the two is looked for in `ROOMTONE_MQTT_USERNAME` / `ROOMTONE_MQTT_PASSWORD` first, then in the files
`mqtt_username` / `mqtt_password` of `$CREDENTIALS_DIRECTORY` (systemd `LoadCredential=`). A certificate and its key may
lie there too, as `mqtt_client_cert` and `mqtt_client_key`; `mqtt.client_cert` and `mqtt.client_key` go before them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.credential_files import credential_path, read_credential
from edge_runtime.errors import ConfigurationError, Fault


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What the device shows to the broker; `repr` tells whether there is a password, not which."""

    username: str | None = None
    password: str | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    def __repr__(self) -> str:
        return (
            f"Credentials(username={self.username!r}, password={'None' if self.password is None else '***'})"
        )


def load_credentials(environ: Mapping[str, str] | None = None, *, device: str = "") -> Credentials:
    """Finds user and password; both are None when the operator gave none.

    Args:
        environ: the environment; the process's own when None.
        device: site.room.device, whose own files go before the common ones.

    Raises:
        ConfigurationError: a credentials file exists and cannot be read, there is a certificate without its key, or a
            password without a user (MQTT 3.1.1 §3.1.2.9 does not allow that).
    """
    environ = os.environ if environ is None else environ
    faults: list[Fault] = []
    found: dict[str, str | None] = {}
    for name in ("mqtt_username", "mqtt_password"):
        try:
            found[name] = environ.get(f"ROOMTONE_{name.upper()}") or read_credential(
                name, environ, device=device
            )
        except OSError as exc:
            faults.append(Fault(name, f"cannot be read: {exc.strerror}"))
        except UnicodeDecodeError:
            faults.append(Fault(name, "is not UTF-8 text"))
    if not faults and found["mqtt_password"] and not found["mqtt_username"]:
        faults.append(Fault("mqtt_username", "is missing, although there is a password"))
    files = [
        credential_path(name, environ, device=device) for name in ("mqtt_client_cert", "mqtt_client_key")
    ]
    if (files[0] is None) != (files[1] is None):
        faults.append(Fault("mqtt_client_cert", "and mqtt_client_key go together, one of them is missing"))
    if faults:
        raise ConfigurationError(
            "the broker's credentials",
            faults,
            hint="set ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD, "
            "or check the files of $CREDENTIALS_DIRECTORY",
        )
    return Credentials(found["mqtt_username"], found["mqtt_password"], *files)
