"""A film as a network camera: motion JPEG over HTTP, for as many readers as come.

`python tests/bench/http_camera.py FILM` prints its address and serves until its standard input ends. Frames are encoded
once, before that.
"""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from loops import all_frames

from edge_runtime.frames.film import Film

FPS = 25.0


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends the film over and over, each frame when it is due; a slow reader falls behind, as with a camera."""

    jpegs: list[bytes]

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """One reader."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        began_s, number = time.monotonic(), 0
        try:
            while True:
                jpeg = self.jpegs[number % len(self.jpegs)]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                number += 1
                time.sleep(max(0.0, began_s + number / FPS - time.monotonic()))
        except OSError:
            return  # the reader has gone


@contextmanager
def serving(film: Path) -> Iterator[str]:
    """The address of such a camera in a process of its own."""
    command = [sys.executable, __file__, str(film)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None  # noqa: PT018 - both are pipes
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def main() -> None:
    """See the module."""
    with Film(Path(sys.argv[1])) as film:
        Handler.jpegs = [cv2.imencode(".jpg", frame.image_bgr)[1].tobytes() for frame in all_frames(film)]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}/film", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
