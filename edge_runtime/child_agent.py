"""`roomtone run` as a child process, for the demo and for the trial at the end of provisioning."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_STOP_TIMEOUT_S: Final = 15.0


@contextmanager
def running_agent(
    config: Path, log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts it; when the block ends it is told to stop, and waited for.

    Args:
        config: file or folder.
        log: gets what it says.
        environ: its environment; this process's own when None.
    """
    command = [sys.executable, "-m", "edge_runtime", "run", "--config", str(config)]
    environ = os.environ if environ is None else environ
    with log.open("wb") as file:
        # A session of its own: Ctrl-C is for whoever started it, who then tells it to stop in good order.
        process = subprocess.Popen(command, stderr=file, env=dict(environ), start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def last_words(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """Why it ended, in its own sentence and hint, or what it logged last."""
    words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = next((at for at in reversed(range(len(words))) if words[at].startswith("roomtone: ")), None)
    if said is None:
        return f"ended with exit code {process.returncode}", "\n    ".join(words[-6:])
    return words[said].removeprefix("roomtone: "), " ".join(words[said + 1 :]).strip(" →")
