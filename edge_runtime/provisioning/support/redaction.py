"""Taking secrets out of text that goes to strangers: what is known to be secret, and what looks like it.

Two nets. *Known*: this device's own passwords and keys, and the people who are named in `[deployment]`, wherever and
however they are written (plain, as in a url, as in JSON, in HTTP's Basic). *Likely*: urls with credentials,
`password = …`, private keys, long runs of base64 and lines that are no text, which may be a picture.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from edge_runtime.config import Config
from edge_runtime.credential_files import read_credential
from edge_runtime.frames.address import masked

MASK: Final = "***"
_SHORT: Final = (
    4  # a shorter secret is only masked where it stands alone, or it would take every other word with it
)

_NAME: Final = r"[A-Za-z0-9_.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|credential)s?"
_VALUE: Final = r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,;\"'}\]]+)"
_KEY_BLOCK: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_AUTHORIZATION: Final = re.compile(
    r"(authorization\s*[=:]\s*)(?:basic|bearer|digest)?[ \t]*[^\n]+", re.IGNORECASE
)
_OPTION: Final = re.compile(rf"(--{_NAME}[ =]|\s-P )\s*{_VALUE}", re.IGNORECASE)
_ASSIGNMENT: Final = re.compile(rf"([\"']?\b{_NAME}[\"']?\s*[=:]\s*){_VALUE}", re.IGNORECASE)
_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_NO_TEXT: Final = re.compile(r"[^\n]*[\x00-\x08\x0e-\x1f\x7f\ufffd][^\n]*")
_LONG_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]{160,}={0,2}")
_SECRET_VARIABLE: Final = re.compile(r"(?:.*_)?(?:PASSWORD|PASSPHRASE|SECRET|TOKEN|KEY)", re.IGNORECASE)


class Redactor:
    """Masks secrets in text.

    Args:
        secrets: known ones; empty ones are passed over.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets if secret for form in _forms(secret)}
        # The longest first: one secret may be a part of another.
        self._known = [
            re.compile(re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)")
            for form in sorted(known, key=len, reverse=True)
        ]

    def __call__(self, text: str) -> str:
        """The text without them."""
        text = _NO_TEXT.sub("[a line that is no text, left out]", _COLOURS.sub("", text))
        text = _KEY_BLOCK.sub(f"[private key {MASK}]", text)
        for known in self._known:
            text = known.sub(MASK, text)
        text = _URL.sub(lambda found: masked(found[0]), text)
        text = _AUTHORIZATION.sub(rf"\1{MASK}", text)
        text = _OPTION.sub(rf"\1{MASK}", text)
        text = _ASSIGNMENT.sub(rf"\1{MASK}", text)
        return _LONG_RUN.sub(lambda found: f"[{len(found[0])} characters left out]", text)


def _forms(secret: str) -> set[str]:
    """How a secret may be written."""
    quoted = json.dumps(secret)[1:-1]
    return {secret, secret.strip(), quote(secret, safe=""), quote(secret), unquote(secret), quoted} - {""}


def secrets_of(config: Config | None, environ: Mapping[str, str]) -> list[str]:
    """All secrets of this device that can be known here.

    Args:
        config: in force; None where it has faults.
        environ: with passwords, or the folder that holds them.
    """
    found = [value for name, value in environ.items() if _SECRET_VARIABLE.fullmatch(name)]
    for who in ("mqtt", "camera"):
        with suppress(OSError, UnicodeDecodeError):
            if (password := read_credential(f"{who}_password", environ)) is not None:
                found += [password, _basic(read_credential(f"{who}_username", environ) or "", password)]
    if config is not None:
        found += _of_url(config.camera.source)
        # People's names are no stranger's business either.
        found += [config.deployment.contact, config.deployment.teacher_agreement]
    return found


def _of_url(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        user, password = parts.username or "", parts.password
    except ValueError:
        return []
    values = [value for name, value in parse_qsl(parts.query) if "***" in masked(f"x://y?{name}=z")]
    if password:
        plain = unquote(password)
        values += [password, plain, _basic(unquote(user), plain)]
    return values


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
