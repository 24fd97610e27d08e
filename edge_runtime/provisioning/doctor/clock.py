"""The clock: set, kept by somebody, and in step with others'. Windows do not need it; certificates and `ts` do."""

from __future__ import annotations

import ctypes
import http.client
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from edge_runtime.config import Config
from edge_runtime.frames.address import endpoint, is_network
from edge_runtime.provisioning.doctor.check import Check, Facts, Finding, fail, ok, skipped, warn
from edge_runtime.publishing.outbox import CLOCK_WAS_SET_S

_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_ASK_TIMEOUT_S: Final = 3.0
_NOTICEABLE_S: Final = 30.0  # an HTTP date has whole seconds, and may be cached
_WRONG_S: Final = 3600.0
_SET_HINT: Final = (
    "set up NTP: timedatectl set-ntp true; behind a firewall, name the school's own time server"
)
# Where dates may be had: scheme, host, port.
Server = tuple[str, str, int]


def clock_checks(config: Config) -> list[Check]:
    """Checks of the clock."""
    return [
        Check("clock", "clock", lambda: plausible(time.time())),
        Check("ntp", "time server", ntp, needs=("clock",)),
        Check("clock_offset", "clock against others", lambda: offset(servers_near(config)), needs=("clock",)),
    ]


def plausible(now_s: float) -> Finding:
    """Whether the year can be true.

    Args:
        now_s: unix time.
    """
    said = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s < CLOCK_WAS_SET_S:
        return fail(f"it says {said}: it was never set", _SET_HINT, ts=round(now_s))
    return ok(said, ts=round(now_s))


def ntp() -> Finding:
    """Whether somebody keeps the kernel's clock in step (chrony, systemd-timesyncd, ntpd: the kernel knows of all)."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # struct timex, all modes off
    except (OSError, AttributeError):
        state = -1
    if state < 0:
        return skipped("the kernel does not tell whether the clock is kept in step")
    if state == _TIME_ERROR:
        return warn("no time server keeps the clock in step", _SET_HINT, synchronised=0)
    return ok("kept in step by a time server", synchronised=1)


def servers_near(config: Config) -> list[Server]:
    """Hosts that the device talks to anyway and that may have a web server, whose answers are dated."""
    found: list[Server] = []
    if config.mqtt.url is not None and (host := urlsplit(config.mqtt.url).hostname):
        found += [("http", host, 80), ("https", host, 443)]
    source = config.camera.source.strip()
    scheme = source.partition("://")[0].lower()
    if is_network(source) and scheme in ("http", "https"):
        with suppress(ValueError):  # the camera's check says so
            found.append((scheme, *endpoint(source)))
    return found


def offset(servers: Iterable[Server]) -> Finding:
    """Compares with the date in a web server's answer, the first that has one; nobody new is asked."""
    for scheme, host, port in servers:
        if (others := _date_of(scheme, host, port)) is None:
            continue
        difference = time.time() - others
        size, side = abs(difference), "ahead of" if difference > 0 else "behind"
        facts: Facts = {"offset_s": round(difference, 1), "server": f"{host}:{port}"}
        if size >= _NOTICEABLE_S:
            worse = fail if size >= _WRONG_S else warn
            return worse(
                f"{size:.0f} s {side} {host}:{port}", f"one of the two is wrong; {_SET_HINT}", **facts
            )
        return ok(f"in step with {host}:{port}", **facts)
    return skipped("neither broker nor camera has a web server that tells its time")


def _date_of(scheme: str, host: str, port: int) -> float | None:
    connection = http.client.HTTPConnection(host, port, timeout=_ASK_TIMEOUT_S)
    if scheme == "https":
        # Only the date is read, and certificates cannot be judged by a clock that is in question.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_ASK_TIMEOUT_S, context=context)
    try:
        connection.request("HEAD", "/")
        answer = connection.getresponse()
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (OSError, http.client.HTTPException, TypeError, ValueError):
        return None
    finally:
        connection.close()
