"""All measured boards as a page of the docs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_runtime.capacity.model import error_of, load
from edge_runtime.capacity.perf import Perf
from edge_runtime.capacity.plan import cameras_that_fit
from edge_runtime.capacity.tables import CLASS, rows_by_engine, rows_by_height

_PAGE = """# Measured boards

<!-- Written by `make docs` (`roomtone profile boards --markdown`) from firmware_configs/perf/. Not by hand. -->

Processor time in milliseconds, with one thread; measured by `roomtone profile device`, which takes about two minutes
and brings its own simulated faces. Boards that are not here were not measured: run it there, and
`roomtone profile plan --device perf.json` answers for them ([profiling.md](profiling.md)).

"""


def boards_page(boards: Sequence[Perf]) -> str:
    """docs/boards.md."""
    return _PAGE + "\n".join(part for perf in boards for part in _board_section(perf))


def _board_section(perf: Perf) -> Iterator[str]:
    board, bundle = perf.board, perf.bundle
    packages = ", ".join(f"{name} {number}" for name, number in perf.versions.items())
    yield f"## {perf.name}\n"
    yield (
        f"{board.cpu or board.model}, {board.cores} cores, {board.memory_mb / 1024:.0f} GB, {board.instruction_set}; "
        f"{bundle.name} {bundle.version} (`{bundle.digest[:19]}…`), {packages}; {perf.measured_on}.\n"
    )
    yield from _markdown(("a call", "360p", "720p", "1080p", "4K"), rows_by_height(perf))
    scans = [row for row in perf.scan if row.threads == 1]
    yield from _markdown(
        ("scan width", *(f"{row.width_px} px" for row in scans)),
        [("a scan", [f"{row.base_ms:.1f} + {row.face_ms:.2f}/face" for row in scans])],
    )
    yield from _markdown(
        ("the network", "1 face", "8 faces", "8, on the clock, all cores"), rows_by_engine(perf)
    )
    fitting = cameras_that_fit(perf, CLASS)
    yield (
        f"One 1080p camera at 15 frames/s with a class of 22 takes {load(perf, CLASS).cores:.2f} cores at the rates "
        f"that ship (± {error_of(perf):.0%}); {fitting} such {'camera fits' if fitting == 1 else 'cameras fit'}.\n"
    )
    rows = [
        (
            check.source,
            [
                str(check.cameras),
                f"{check.height_px}p, {check.fps:g}/s",
                f"{check.faces:.1f}",
                f"{check.scan_rate_hz:g}, {check.classify_rate_hz:g}",
                f"{check.measured_cores:.3f}",
                f"{check.predicted_cores:.3f}",
                f"{check.measured_cores / check.predicted_cores - 1:+.0%}",
            ],
        )
        for check in perf.checks
    ]
    yield "Configurations that no cost was fitted to:\n"
    yield from _markdown(
        ("source", "cameras", "frames", "faces", "scans, classifications/s", "cores", "foretold", "off by"),
        rows,
    )


def _markdown(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for name, cells in rows:
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
