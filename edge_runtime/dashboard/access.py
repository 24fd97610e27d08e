"""Who may see the dashboard: everybody on this machine, who knows the token, or whom a proxy vouches for.

    Access()                                     # loopback only; nobody is asked
    Access(token="…")                            # a login page, then a cookie; or `Authorization: Bearer`
    Access(user_header="x-forwarded-user")       # a proxy has asked, and says who it is

The cookie holds a keyed digest of a fixed text, not the token: who steals it cannot learn the token, a new
token ends all logins, and the server remembers nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal, Self

from starlette.requests import HTTPConnection

from edge_runtime.errors import ConfigurationError, Fault

COOKIE: Final = "roomtone"
COOKIE_LIFETIME_S: Final = 30 * 24 * 3600
MIN_TOKEN_CHARACTERS: Final = 16
LOOPBACK: Final = "127.0.0.1"
THIS_MACHINE: Final = (LOOPBACK, "::1")
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - with a token only
_MAKE_ONE: Final = "make one with: (umask 077; openssl rand -hex 24 > {path})"

Ruling = Literal["welcome", "ask", "refuse"]


@dataclass(frozen=True, slots=True)
class Access:
    """See the module.

    Attributes:
        token: what a user must know; None: no login.
        user_header: request header in which a proxy names its user; None: no proxy.
        proxies: addresses that are believed when they send it.
    """

    token: str | None = field(default=None, repr=False)
    user_header: str | None = None
    proxies: tuple[str, ...] = THIS_MACHINE

    @classmethod
    def chosen(cls, *, token: str | None, user_header: str | None, proxies: Sequence[str] | None) -> Self:
        """From the command line's options.

        Raises:
            ConfigurationError: they do not go together.
        """
        faults = []
        if token is not None and user_header is not None:
            faults.append(Fault("--user-header", "and --token-file exclude each other"))
        if proxies and user_header is None:
            faults.append(Fault("--proxy", "means something with --user-header only"))
        if faults:
            raise ConfigurationError("the command line", faults, hint="roomtone dashboard --help shows both")
        return cls(token, user_header, tuple(proxies or THIS_MACHINE))

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked."""
        return self.token is None and self.user_header is None

    def rule(self, request: HTTPConnection) -> Ruling:
        """Lets a request in, asks for the token, or refuses what no login would mend."""
        if self.user_header is not None:
            is_proxy = request.client is not None and request.client.host in self.proxies
            return "welcome" if is_proxy and request.headers.get(self.user_header) else "refuse"
        if self.token is None:
            return "welcome"
        shown = request.cookies.get(COOKIE, "")
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_known = _equal(shown, self.cookie) or (scheme.lower() == "bearer" and self.is_token(given))
        return "welcome" if is_known else "ask"

    def is_token(self, given: str) -> bool:
        """Compares in a time that does not tell how much of it is right."""
        return self.token is not None and _equal(given.strip(), self.token)

    @property
    def cookie(self) -> str:
        """What the browser keeps after the login."""
        key = (self.token or "").encode()
        return hmac.new(key, b"roomtone dashboard, cookie 1", hashlib.sha256).hexdigest()


def _equal(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())


def read_token(path: Path) -> str:
    """The token of a file.

    Raises:
        ConfigurationError: it cannot be read, or is short enough to be guessed.
    """
    hint = _MAKE_ONE.format(path=path)
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "is not UTF-8 text"
        raise ConfigurationError("--token-file", [Fault(str(path), f"{reason}")], hint=hint) from exc
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        problem = f"holds no token: {MIN_TOKEN_CHARACTERS} or more printable ASCII characters"
        raise ConfigurationError("--token-file", [Fault(str(path), problem)], hint=hint)
    return token


def bind_address(access: Access, host: str | None) -> str:
    """Where to listen: what was asked for if it is safe; else loopback, or everywhere with a token.

    Raises:
        ConfigurationError: others could reach it, and nobody would be asked.
    """
    if host is None:
        return EVERYWHERE if access.token is not None else LOOPBACK
    if access.is_open and not _is_loopback(host):
        fault = Fault("--host", f"{host} can be reached from other machines, and nobody would be asked")
        raise ConfigurationError(
            "the command line",
            [fault],
            hint="add --token-file FILE, or --user-header NAME behind a proxy that asks who it is",
        )
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
