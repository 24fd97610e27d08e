"""How long from `pip install` to the first event at the broker, with the wizard's defaults: Return at each question.

    python tests/bench/bare_board.py

A fresh virtual environment, a real mosquitto, the wizard on a terminal of its own, the default window of a minute. The
broker's address is typed, since the bench's broker does not take the standard port.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ALLOWED_S, ALLOWED_QUESTIONS = 180.0, 6


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="roomtone-bare-board-") as name:
        folder = Path(name)
        broker, port = start_broker(folder)
        try:
            began_s = time.monotonic()
            subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
            install = [folder / "venv/bin/pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*install, f"{REPOSITORY}[provision]"], check=True)
            installed_s = time.monotonic() - began_s
            code, questions = wizard(folder, port)
            whole_s = time.monotonic() - began_s
        finally:
            broker.terminate()
            broker.wait()
    print(f"\npip install        {installed_s:6.1f} s")
    print(
        f"wizard to window   {whole_s - installed_s:6.1f} s   {questions} questions (at most {ALLOWED_QUESTIONS})"
    )
    print(f"together           {whole_s:6.1f} s   (at most {ALLOWED_S:.0f} s)")
    return code or int(whole_s > ALLOWED_S or questions > ALLOWED_QUESTIONS)


def start_broker(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto"
    broker = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return broker, port
        time.sleep(0.05)


def wizard(folder: Path, port: int) -> tuple[int, int]:
    """Exit code, and how many questions were asked."""
    process, terminal = pty.fork()
    if process == 0:
        program = str(folder / "venv/bin/roomtone")
        os.execv(program, [program, "provision", "--root", str(folder / "board")])
    shown, questions = b"", 0
    while True:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        shown += data
        if shown.rstrip(b" ").endswith(b"]:"):
            questions += 1
            is_broker = b"Broker:" in shown.splitlines()[-1]
            os.write(terminal, f"mqtt://127.0.0.1:{port}\n".encode() if is_broker else b"\n")
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), questions


if __name__ == "__main__":
    sys.exit(main())
