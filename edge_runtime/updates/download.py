"""Downloads over HTTPS that go on where they were cut off.

What has come is kept in `<name>.part`, with the server's ETag beside it: the next try asks for the rest (RFC 9110
§14.2 `Range`, §13.1.5 `If-Range`), and a server whose file has changed meanwhile sends it whole. Never plain HTTP,
also not by a redirect.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from edge_runtime import __version__
from edge_runtime.errors import UpdateError
from edge_runtime.updates.durable import adopt, need_room, worded

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where the server says

TRIES: Final = 4  # in one call; between two of them the connection has a moment to come back
_PAUSE_S: Final = 1.0
_TIMEOUT_S: Final = 30.0
_CHUNK: Final = 1 << 18
_STALE_S: Final = 30 * 86_400.0


def download(
    url: str,
    folder: Path,
    *,
    max_bytes: int,
    ca_file: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Fetches a file, or the rest of one.

    Args:
        url: https only.
        folder: of this and earlier downloads; made when absent.
        max_bytes: a longer file is refused.
        ca_file: PEM of the authority that signed the server's certificate; the system's own when None.
        progress: told after each chunk.

    Returns:
        The file, whole; the caller removes it.

    Raises:
        UpdateError: no https, a redirect away from it, the server refuses, the file is too long, or the connection
            broke `TRIES` times; what has come is kept, and the next call goes on there.
    """
    if urlsplit(url).scheme != "https":
        raise UpdateError(f"{shown(url)} is not https", hint="bundles are fetched over https only")
    with worded(f"{folder} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
        adopt(folder)
    _drop_stale(folder)
    part = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
    opener = _opener(ca_file)
    for attempt in range(TRIES):
        try:
            _fetch(opener, url, part, max_bytes, progress)
        except (OSError, http.client.HTTPException) as exc:
            problem = _problem(url, exc, part)
            if not _is_transient(exc) or attempt == TRIES - 1:
                raise problem from exc
            time.sleep(_PAUSE_S * attempt)
        else:
            _note(part).unlink(missing_ok=True)
            whole = part.with_suffix(".bundle")
            part.replace(whole)
            return whole
    raise AssertionError  # the last try returned or raised


def _fetch(
    opener: urllib.request.OpenerDirector, url: str, part: Path, max_bytes: int, progress: Progress
) -> None:
    """One connection. Raises whatever ends it early."""
    have, etag = _so_far(part)
    request = urllib.request.Request(url, headers={"User-Agent": f"roomtone/{__version__}"})  # noqa: S310 - https
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", etag)
    try:
        response = opener.open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        exc.close()
        if (
            exc.code == 416 and have
        ):  # RFC 9110 §15.5.17: there is nothing behind what we have, so it is no good
            part.unlink(missing_ok=True)
            raise ConnectionError("the part that was kept does not fit any more") from exc
        raise
    with response:
        start = _start(response, have)
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        if max(total or 0, start) > max_bytes:
            raise _too_long(url, max_bytes)
        with worded(f"{shown(url)} cannot be kept in {part.parent}"):
            need_room(part.parent, (total or start) - start)
            _note(part).write_text(json.dumps({"etag": response.headers.get("ETag", "")}), "utf-8")
        _receive(response, part, start=start, total=total, url=url, max_bytes=max_bytes, progress=progress)


def _start(response: http.client.HTTPResponse, have: int) -> int:
    """Where the answer begins in the file."""
    if response.status != 206:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != have:
        raise http.client.HTTPException("it sent another part than was asked for")
    return have


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    *,
    start: int,
    total: int | None,
    url: str,
    max_bytes: int,
    progress: Progress,
) -> None:
    done = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while chunk := response.read(_CHUNK):
            done += len(chunk)
            if done > max_bytes:
                raise _too_long(url, max_bytes)
            with worded(f"{shown(url)} cannot be kept in {part.parent}"):
                file.write(chunk)
                file.flush()
            progress(done, total)
    if total is not None and done < total:  # a read after the connection broke just ends
        raise http.client.IncompleteRead(b"", total - done)


def _drop_stale(folder: Path) -> None:
    """Removes what nobody has gone on with for a month."""
    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()


def _so_far(part: Path) -> tuple[int, str]:
    """Bytes that can be gone on from, and the ETag they belong to; a weak one does not name bytes."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        etag = str(json.loads(_note(part).read_text("utf-8"))["etag"])
        if etag and not etag.startswith("W/"):
            return part.stat().st_size, etag
    return 0, ""


def _note(part: Path) -> Path:
    return part.with_suffix(".json")


def _opener(ca_file: Path | None) -> urllib.request.OpenerDirector:
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as exc:
        raise UpdateError(f"updates.ca_file {ca_file} cannot be used", hint="give a PEM file") from exc
    return urllib.request.build_opener(_HttpsOnly, urllib.request.HTTPSHandler(context=context))


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never away from https."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        """See the base class.

        Raises:
            UpdateError: the new address is not https.
        """
        if urlsplit(newurl).scheme != "https":
            fp.close()
            raise UpdateError(
                f"{shown(req.full_url)} redirects to {shown(newurl)}, which is not https",
                hint="tell whoever runs the server; nothing was fetched",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_transient(exc: Exception) -> bool:
    if isinstance(exc, urllib.error.HTTPError):
        return exc.code in (408, 429, 500, 502, 503, 504)
    reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    return not isinstance(reason, ssl.SSLCertVerificationError)


def _problem(url: str, exc: Exception, part: Path) -> UpdateError:
    if isinstance(exc, urllib.error.HTTPError):
        return UpdateError(f"{shown(url)}: the server says {exc.code} {exc.reason}", hint="check the address")
    reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    if isinstance(reason, ssl.SSLCertVerificationError):
        return UpdateError(
            f"{shown(url)}: its certificate is not trusted: {reason.verify_message}",
            hint="[updates] ca_file must be the certificate of the authority that signed the server's; "
            "check the device's clock too",
        )
    have, _ = _so_far(part)
    kept = f"; {have / 1e6:.1f} MB are kept, and the next try goes on there" if have else ""
    return UpdateError(f"{shown(url)}: the connection failed: {reason}{kept}", hint="try again")


def _too_long(url: str, max_bytes: int) -> UpdateError:
    return UpdateError(
        f"{shown(url)} is longer than {max_bytes / 1e6:.0f} MB", hint="[updates] max_bundle_mb allows more"
    )


def shown(url: str) -> str:
    """A url without user, password and query, which may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
