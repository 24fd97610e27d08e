"""The report as one HTML file that needs nothing else: time line, percentiles, faces, threads, memory, layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from edge_runtime.profiler.measuring import Run
from edge_runtime.profiler.report import WAITING, Report
from edge_runtime.profiling.recording import Span

_WIDTH: Final = 1100  # px of all drawings
_LEFT: Final = 190  # px for the names
_ROW: Final = 18  # px
_LONGEST_S: Final = 2.0  # of the time line
_COLOURS: Final = {
    "scan": "#3b6ea5",
    "decode": "#7a9e7e",
    "follow": "#c98b3b",
    "infer": "#a5473b",
    "pupils": "#7d5ba6",
    "align": "#4a9aa5",
    "confirm": "#8a6d3b",
    "frame": "#c9ccd1",
    "publish": "#3ba55d",
}
_STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1140px;padding:0 1rem;color:#1c2126;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}
td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #8884}td:first-child,th:first-child{text-align:left}
svg{width:100%;height:auto}text{font:12px system-ui,sans-serif;fill:currentColor}.dim{opacity:.6}
@media(prefers-color-scheme:dark){body{background:#16191c;color:#dfe3e8}}
"""


def page(run: Run, report: Report) -> str:
    """The file's text.

    Args:
        run: for the time line.
        report: for everything else.
    """
    what = report.what
    parts = [
        f"<h1>{escape(what['source'])}</h1>",
        f"<p>{escape(what['bundle'])} on {what['engine']} ({escape(what['instruction_set'])}, "
        f"threads: {what['engine_threads']}); {escape(report.device['cpu'])}, {report.device['cores']} cores.<br>"
        f"<b>{report.fps:.1f} frames/s</b>, {report.cpu_ms_per_frame:.1f} ms of processor time a frame, "
        f"{report.faces_mean:.1f} faces a frame. The spans took {report.overhead['cpu_share']:.2%} of it.</p>",
        _section("Time line", _timeline(run)),
        _section("Stages", _percentiles(report) + _stages(report)),
        _section("Analysis of a frame against its faces", _faces(report)),
        _section("Processor time by thread", _threads(report)),
        _section("Memory, queues and losses", _memory(run) + _held_and_lost(report)),
    ]
    if (floor := report.floor) is not None:
        share = floor.cpu_ms_per_frame / report.cpu_ms_per_frame
        parts.append(
            _section(
                "Floor",
                f"<p>Decoder, detector and network bare: {floor.cpu_ms_per_frame:.1f} ms of processor time a frame, "
                f"<b>{share:.2f}</b> of the loop's.</p>",
            )
        )
    if report.layers:
        rows = (
            (layer.name, layer.kind, layer.precision, f"{layer.ms:.3f}", f"{layer.share:.1%}")
            for layer in report.layers
        )
        head = ("layer", "kind", "precision", "ms", "share")
        parts.append(_section("Layers of one call, measured apart", _table(head, rows)))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>roomtone profile</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>{"".join(parts)}</html>\n'
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _svg(height: float, body: str, label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _bar(x: float, y: float, width: float, height: float, stage: str, title: str) -> str:
    colour = _COLOURS.get(stage, "#9aa3ad")
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.6):.1f}" height="{height:.1f}" fill="{colour}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _timeline(run: Run) -> str:
    """Two seconds of the middle of the run, a lane for each thread, parts under the whole."""
    length_s = min(_LONGEST_S, run.ended_s - run.began_s)
    from_s = (run.began_s + run.ended_s - length_s) / 2
    scale = (_WIDTH - _LEFT) / length_s
    shown = [
        span
        for span in run.spans
        if span.ended_s > from_s and span.begun_s < from_s + length_s and span.stage not in WAITING
    ]
    body, top = [], 4.0
    for thread in sorted({span.thread for span in shown}):
        lane = sorted(
            (span for span in shown if span.thread == thread), key=lambda span: (span.begun_s, -span.ended_s)
        )
        deepest = 0
        body.append(_text(0, top + 13, thread if len(thread) <= 26 else thread[:25] + "…"))
        open_ones: list[Span] = []
        for span in lane:
            while open_ones and open_ones[-1].ended_s <= span.begun_s:
                open_ones.pop()
            depth = len(open_ones)
            deepest = max(deepest, depth)
            begun_s, ended_s = max(span.begun_s, from_s), min(span.ended_s, from_s + length_s)
            x, width = _LEFT + (begun_s - from_s) * scale, (ended_s - begun_s) * scale
            title = f"{span.stage} {span.duration_s * 1000:.2f} ms"
            body.append(_bar(x, top + depth * _ROW, width, _ROW - 3, span.stage, title))
            if width > 45:
                body.append(_text(x + 3, top + depth * _ROW + 12, span.stage))
            open_ones.append(span)
        top += (deepest + 1) * _ROW + 8
    for tenth in range(11):
        x = _LEFT + (_WIDTH - _LEFT) * tenth / 10
        body.append(_text(x, top + 12, f"{length_s * 1000 * tenth / 10:.0f} ms", "end" if tenth else "start"))
    return _svg(top + 18, "".join(body), "spans of two seconds by thread")


def _percentiles(report: Report) -> str:
    """Bars from 0 to the p95, a tick at the median, a thin line to the p99."""
    rows = [row for row in report.stages if not row.is_waiting]
    longest = max((row.p99_ms for row in rows), default=1.0) or 1.0
    scale = (_WIDTH - _LEFT - 150) / longest
    body = []
    for index, row in enumerate(rows):
        y = 4 + index * _ROW
        title = f"{row.stage}: p50 {row.p50_ms:.2f}, p95 {row.p95_ms:.2f}, p99 {row.p99_ms:.2f} ms"
        body += [
            _text(0, y + 12, row.stage),
            _bar(_LEFT, y, row.p95_ms * scale, _ROW - 5, row.stage, title),
            f'<path d="M{_LEFT + row.p95_ms * scale:.1f} {y + 6}H{_LEFT + row.p99_ms * scale:.1f}'
            f'M{_LEFT + row.p50_ms * scale:.1f} {y - 1}v{_ROW - 3}" stroke="currentColor" fill="none"/>',
            _text(_LEFT + row.p99_ms * scale + 6, y + 12, f"{row.p50_ms:.2f} / {row.p95_ms:.2f} ms"),
        ]
    return _svg(8 + len(rows) * _ROW, "".join(body), "median, 95th and 99th percentile of each stage")


def _stages(report: Report) -> str:
    rows = (
        (
            row.stage + (" (waiting)" if row.is_waiting else ""),
            row.thread,
            str(row.count),
            *(f"{ms:.2f}" for ms in (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)),
            f"{row.wall_share:.1%}",
            f"{row.cpu_share:.1%}",
        )
        for row in report.stages
    )
    return _table(("stage", "thread", "spans", "p50 ms", "p95", "p99", "max", "wall", "cpu"), rows)


def _faces(report: Report) -> str:
    """A dot for each number of faces that was seen: the median; a line up to the p95."""
    if not report.latency_by_faces:
        return "<p>No face was classified.</p>"
    height, most_faces = 240.0, max(50, *(row.faces for row in report.latency_by_faces))
    most_ms = max(row.p95_ms for row in report.latency_by_faces) or 1.0
    body = [f'<path d="M{_LEFT} 5V{height}H{_WIDTH}" stroke="currentColor" fill="none" class="dim"/>']
    for row in report.latency_by_faces:
        x = _LEFT + row.faces / most_faces * (_WIDTH - _LEFT - 10)
        y50, y95 = (height - ms / most_ms * (height - 20) for ms in (row.p50_ms, row.p95_ms))
        title = f"{row.faces} faces, {row.frames} frames: p50 {row.p50_ms:.1f}, p95 {row.p95_ms:.1f} ms"
        body.append(
            f'<path d="M{x:.1f} {y50:.1f}V{y95:.1f}" stroke="currentColor" class="dim"/>'
            f'<circle cx="{x:.1f}" cy="{y50:.1f}" r="4" fill="#a5473b"><title>{title}</title></circle>'
        )
    for faces in range(0, most_faces + 1, 10):
        body.append(
            _text(_LEFT + faces / most_faces * (_WIDTH - _LEFT - 10), height + 16, str(faces), "middle")
        )
    body += [_text(0, 15, f"{most_ms:.0f} ms"), _text(0, height, "0 ms"), _text(0, height + 16, "faces")]
    return _svg(height + 24, "".join(body), "time of a frame's analysis by number of faces")


def _memory(run: Run) -> str:
    """Resident memory over the run; the axis begins at nought."""
    if len(points := run.usage.rss_mb) < 2:
        return ""
    height, most_mb, longest_s = 120.0, max(mb for _, mb in points), points[-1][0]
    line = " ".join(
        f"{_LEFT + s / longest_s * (_WIDTH - _LEFT - 10):.1f},{height - mb / most_mb * (height - 20):.1f}"
        for s, mb in points
    )
    body = [
        f'<path d="M{_LEFT} 5V{height}H{_WIDTH}" stroke="currentColor" fill="none" class="dim"/>',
        f'<polyline points="{line}" fill="none" stroke="#3b6ea5" stroke-width="2"/>',
        _text(0, 25, f"{most_mb:.0f} MB resident"),
        _text(0, height, "0 MB"),
        _text(_LEFT, height + 16, "0 s"),
        _text(_WIDTH - 10, height + 16, f"{longest_s:.0f} s", "end"),
    ]
    return _svg(height + 24, "".join(body), "resident memory over the run")


def _held_and_lost(report: Report) -> str:
    memory, queues = report.memory, report.queues
    rows = [
        ("page faults a frame", f"{memory['page_faults_per_frame']:.0f}"),
        ("lasting Python objects a frame", f"{memory['python_blocks_per_frame']:.1f}"),
        (
            "decoded frames that wait, mean and most",
            f"{queues['decoded_ahead_mean']:.1f}, {queues['decoded_ahead_max']:.0f}",
        ),
        ("events in the outbox at the end", f"{queues['outbox_rows']:.0f}"),
        *((f"frames or events lost: {reason}", str(count)) for reason, count in report.drops.items()),
        *((f"frame to result, {name[:-3]}", f"{ms:.0f} ms") for name, ms in report.latency.items()),
        ("what a span costs", f"{report.overhead['span_us']:.2f} µs"),
    ]
    return _table(("", ""), rows)


def _threads(report: Report) -> str:
    return _table(("thread", "share"), ((name, f"{share:.1%}") for name, share in report.threads.items()))
