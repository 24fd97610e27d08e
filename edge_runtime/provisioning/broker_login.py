"""A login of the device's own: its user is its place, site/room/device; its password is drawn on it and stays there.

What the broker's admin gets is a line for mosquitto's password file, with a hash in the password's place.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

_ITERATIONS: Final = 101  # mosquitto's own; the password has 190 bits, so nothing is gained by more
_PASSWORD_BYTES: Final = 24
_SALT_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Login:
    """User and password for the broker."""

    username: str
    password: str = field(repr=False)


def new_login(place: str) -> Login:
    """Draws a password."""
    return Login(place, secrets.token_urlsafe(_PASSWORD_BYTES))


def password_file_line(login: Login, salt: bytes | None = None) -> str:
    """The line for mosquitto's password file, `user:$7$iterations$salt$hash`: PBKDF2 with SHA-512.

    Args:
        login: user and password.
        salt: 12 bytes; drawn when None.
    """
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", login.password.encode(), salt, _ITERATIONS)
    fields = (str(_ITERATIONS), base64.b64encode(salt).decode(), base64.b64encode(digest).decode())
    return f"{login.username}:$7${'$'.join(fields)}"
