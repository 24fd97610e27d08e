"""The addresses under which cameras are known, and how they may be shown."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

NETWORK_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

# Everything up to the last @ is taken for credentials: a password typed without percent-encoding may hold / @
# ? or #, and masking too much of a path is harmless.
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)(?:([^/@:\s]*):.*@|[^/@\s]*@)", re.IGNORECASE | re.DOTALL)
_LOGIN = re.compile(r"^([a-z][a-z0-9+.-]*://)(.*)@", re.IGNORECASE | re.DOTALL)
_SECRET_PARAMETER = re.compile(
    r"([?&;][^=&;\s]*(?:pass|pwd|secret|token|key|auth)[^=&;\s]*=)[^&;#\s]*", re.IGNORECASE
)


def masked(url: str) -> str:
    """The address as it may stand in a log: password, access token and secret query parameters become `***`.

    >>> masked("rtsp://admin:pa/ss@10.0.0.7:554/live?token=abc")
    'rtsp://admin:***@10.0.0.7:554/live?token=***'
    """
    return _SECRET_PARAMETER.sub(r"\1***", _CREDENTIALS.sub(_without_password, url))


def _without_password(match: re.Match[str]) -> str:
    scheme, user = match[1], match[2]
    return f"{scheme}***@" if user is None else f"{scheme}{user}:***@"


def with_login(url: str, user: str, password: str | None) -> str:
    """The address with user and password in front of the host, percent-encoded; one that has a user stays as it is."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return url
    login = ":".join(quote(part, safe="") for part in (user, password) if part is not None)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))


def without_login(url: str) -> tuple[str, str | None, str | None]:
    """The address without user and password, and these two, decoded; None where there is none."""
    match = _LOGIN.match(url)
    if match is None:
        return url, None, None
    user, separator, password = match[2].partition(":")
    return f"{match[1]}{url[match.end() :]}", unquote(user), unquote(password) if separator else None


def is_network(source: str) -> bool:
    """Whether the address is the url of a stream."""
    return source.partition("://")[0].lower() in NETWORK_PORTS and "://" in source


def device_path(source: str) -> str | None:
    """The device file of a camera given by index or path (`/dev/v4l/by-id/…`); None for anything else."""
    if source.isascii() and source.isdigit():
        return f"/dev/video{int(source)}"
    is_device = source.startswith("/dev/") and not source.startswith("/dev/shm/")  # noqa: S108 - films may lie there
    return source if is_device else None


def endpoint(url: str) -> tuple[str, int]:
    """Host and port of a stream's url.

    Raises:
        ValueError: the url names no host, or a port that is no number from 1 to 65535.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("names no host")
    try:
        port = parts.port or NETWORK_PORTS[parts.scheme.lower()]
    except ValueError as exc:  # its own message would repeat what stands there, perhaps a piece of a password
        raise ValueError("has a port that is no number from 1 to 65535") from exc
    return parts.hostname, port
