"""Bundles to update to, and a real HTTPS server that can misbehave."""

from __future__ import annotations

import http.server
import json
import shutil
import ssl
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

QUALITY = {
    "data": "a test set",
    "images": 1000,
    "accuracy": 0.7,
    "accuracy_low": 0.67,
    "accuracy_high": 0.73,
    "macro_f1": 0.6,
    "expected_calibration_error": 0.02,
}


def pack(folder: Path, archive: Path, *, prefix: str = "", mode: str = "w") -> Path:
    """A bundle's folder as a tar."""
    with tarfile.open(archive, mode) as out:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                out.add(path, f"{prefix}{path.relative_to(folder)}")
    return archive


def change_manifest(folder: Path, **changes: Any) -> Path:
    """Some keys of `bundle.json` changed; nothing else is made to fit."""
    document = json.loads((folder / "bundle.json").read_text("utf-8"))
    (folder / "bundle.json").write_text(json.dumps(document | changes, indent=2), "utf-8")
    return folder


class Versions:
    """Copies of the tiny bundle under other versions."""

    def __init__(self, original: Path, folder: Path) -> None:
        self._original, self._folder = original, folder

    def __call__(self, version: str, *, name: str = "tiny", **changes: Any) -> Path:
        target = self._folder / f"{name}-{version}-{len(list(self._folder.iterdir()))}"
        shutil.copytree(self._original, target)
        return change_manifest(target, name=name, version=version, **changes)


@dataclass(frozen=True)
class Keys:
    """PEM files of a key pair."""

    private: Path
    public: Path


@dataclass
class FileServer:
    """Serves one file over TLS, with ETag and Range as RFC 9110 has them.

    Attributes:
        data: the file.
        breaks_after: hang up after so many bytes of an answer; None: never.
        redirect: send everybody there.
        ranges: what each request asked for, None for the whole.
        status: of the answer, where it is not 200.
    """

    certificate: Path
    key: Path
    data: bytes = b""
    etag: str = '"one"'
    breaks_after: int | None = None
    redirect: str | None = None
    knows_ranges: bool = True
    tells_length: bool = True
    status: int = 200
    ranges: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        server_of_file = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                server_of_file.answer(self)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients of these tests hang up on purpose

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}/bundle.tar"

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.ranges.append(asked)
        handler.close_connection = True
        if self.redirect is not None:
            handler.send_response(302)
            handler.send_header("Location", self.redirect)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if self.status != 200:
            handler.send_error(self.status)
            return
        start = 0
        if asked is not None and self.knows_ranges and handler.headers.get("If-Range") == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.data):
                handler.send_error(416)
                return
        body = self.data[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", self.etag)
        if self.tells_length:
            handler.send_header("Content-Length", str(len(body)))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        handler.end_headers()
        handler.wfile.write(body if self.breaks_after is None else body[: self.breaks_after])
        handler.wfile.flush()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


StartServer = Callable[..., FileServer]
