"""Why a camera does not open, in one sentence and a hint; OpenCV itself says only that it did not.

Runs in the camera's child process, where waiting for a network does no harm.
"""

from __future__ import annotations

import base64
import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from edge_runtime.frames.address import device_path, endpoint

_PATIENCE_S = 2.0  # for a connection, and again for the first line of the answer


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a camera, holding no password, and what to do about it."""

    what: str
    hint: str = ""


def explain(source: str) -> Problem | None:
    """Looks for the reason why a camera does not deliver.

    Takes up to 4 s, and the time of the name lookup, for a stream.

    Args:
        source: a camera index, a device file or the url of a stream.

    Returns:
        The reason, or None where nothing is wrong as far as can be seen from outside.
    """
    device = device_path(source)
    return explain_stream(source) if device is None else explain_device(Path(device))


def explain_device(device: Path) -> Problem | None:
    """Looks at a device file: existence, permission, and who else has it open."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
    except FileNotFoundError:
        others = ", ".join(str(path) for path in sorted(device.parent.glob("video*")))
        return Problem(
            f"{device} does not exist",
            f"there is {others}"
            if others
            else "no camera is known here: check cable, hub and `lsusb`; "
            "a container needs the device passed in",
        )
    except PermissionError:
        return Problem(f"{device} may not be opened by this user", "add the user to the group `video`")
    except OSError as exc:
        if exc.errno == errno.EBUSY:
            return _busy(device)
        if exc.errno in (errno.ENODEV, errno.ENXIO):
            return Problem(f"{device} has no device behind it", "unplug the camera and plug it in again")
        return Problem(f"{device} cannot be opened: {exc.strerror}")
    # Opening a camera that another program streams from succeeds; only starting the stream is refused.
    return _busy(device) if _holders(device) else None


def _busy(device: Path) -> Problem:
    holders = _holders(device)
    by = ", ".join(holders) or "another program"
    return Problem(
        f"{device} is busy: opened by {by}", "end that program, or let it share its stream by rtsp"
    )


def _holders(device: Path) -> list[str]:
    """Other processes with the file open, as far as this user may look into them."""
    target, holders = os.path.realpath(device), []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.readlink(fd) == target for fd in (process / "fd").iterdir()):
                holders.append(f"{(process / 'comm').read_text().strip()} (pid {process.name})")
        except OSError:  # another user's, or ended meanwhile
            continue
    return holders


def explain_stream(url: str) -> Problem | None:
    """Looks at a stream's server: name, connection, and its first line of answer."""
    try:
        host, port = endpoint(url)
    except ValueError as exc:
        return Problem(f"the url {exc}", "percent-encode / @ : ? and # in a password")
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE_S) as connection:
            return _explain_answer(connection, urlsplit(url), where)
    except socket.gaierror:
        return Problem(
            f"the name {host} is not known", "check the spelling and the DNS server, or give an IP"
        )
    except ConnectionRefusedError:
        return Problem(f"connection refused by {where}", "check the port, and that the camera's server is on")
    except TimeoutError:
        return Problem(f"no answer from {where}", "check the camera's power, cable, address and firewall")
    except OSError as exc:
        return Problem(f"no connection to {where}: {exc.strerror}", "check this device's own network")


def _explain_answer(connection: socket.socket, url: SplitResult, where: str) -> Problem | None:
    if url.scheme in ("https", "rtsps"):
        return None  # a TLS server says nothing before the handshake
    connection.settimeout(_PATIENCE_S)
    try:
        connection.sendall(_request(url, where))
        status = connection.recv(256).split(b"\r\n")[0].decode("ascii", "replace")
    except TimeoutError:
        return Problem(
            f"{where} accepts connections but does not answer", "check the port; restart the camera"
        )
    except OSError as exc:
        return Problem(f"{where} broke the connection: {exc.strerror}")
    code = status.partition(" ")[2][:3]
    if code in ("401", "403"):
        given = "does not accept the user and password" if url.password else "asks for a user and password"
        hint = f'camera.source = "{url.scheme}://user:password@{where}/…"'
        return Problem(f"{where} {given} ({status})", hint)
    if code == "404":
        return Problem(f"{where} has no stream at this path ({status})", "the camera's manual names the path")
    if not code.isdigit():
        return Problem(f"{where} does not speak {url.scheme}", "check the port and the scheme of the url")
    if int(code) >= 400:
        return Problem(f"{where} refuses the stream ({status})")
    return None


def _request(url: SplitResult, where: str) -> bytes:
    if url.scheme == "rtsp":
        plain = urlunsplit(url._replace(netloc=where))
        return f"DESCRIBE {plain} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode()
    target = urlunsplit(("", "", url.path or "/", url.query, ""))
    lines = [f"GET {target} HTTP/1.0", f"Host: {where}"]
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        lines.append(f"Authorization: Basic {base64.b64encode(credentials).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()
