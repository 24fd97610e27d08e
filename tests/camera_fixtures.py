"""A network camera for tests: a real HTTP server that sends MJPEG and can misbehave."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest


def grey_jpeg(value: int, size: tuple[int, int] = (120, 160)) -> bytes:
    return cv2.imencode(".jpg", np.full((*size, 3), value, np.uint8))[1].tobytes()


class MjpegCamera:
    """Serves `multipart/x-mixed-replace` on a loopback port that stays the same over `stop` and `start`.

    Frame i is evenly grey with the value i modulo 200, `sizes` give height and width in turn.
    """

    def __init__(self) -> None:
        self.fps = 50.0
        self.sizes = [(120, 160)]
        self.frames_per_size = 30
        self.hung = threading.Event()  # connections stay open and silent
        self.status = 200
        self.served = 0  # frames
        self._port = 0
        self._server: http.server.ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/video"

    def start(self) -> None:
        camera, gone = self, threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                while camera.hung.is_set() and not gone.wait(0.02):
                    pass
                self.send_response(camera.status)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                while camera.status == 200 and not gone.wait(1 / camera.fps):
                    if camera.hung.is_set():
                        continue
                    size = camera.sizes[number // camera.frames_per_size % len(camera.sizes)]
                    jpeg = grey_jpeg(number % 200, size)
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                    except OSError:
                        return
                    number += 1
                    camera.served += 1

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = False  # so that `server_close` waits for them
            allow_reuse_address = True

        self._gone = gone
        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None:
            self._gone.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None


@pytest.fixture
def mjpeg_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    yield camera
    camera.stop()
