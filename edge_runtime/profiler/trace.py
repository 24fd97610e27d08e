"""Chrome Trace Event JSON: spans on the time line of their threads; ui.perfetto.dev and chrome://tracing open it.

How many faces there were at which moment is left out: a trace is a file that gets passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edge_runtime.profiler.layers import Layer
from edge_runtime.profiler.measuring import Run

_PROCESS: Final = 1
_LAYERS: Final = "layers of one call, measured apart"


def trace_document(run: Run, layers: Sequence[Layer] = ()) -> dict[str, Any]:
    """The trace as a document for `json.dumps`.

    Args:
        run: recorded.
        layers: of the network; laid under the `infer` span whose time is the median, as one call takes them.
    """
    names = sorted({span.thread for span in run.spans})
    numbers = {name: number for number, name in enumerate(names, 1)}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": _PROCESS, "tid": 0, "args": {"name": "roomtone"}}
    ]
    for name in [*names, *([_LAYERS] if layers else [])]:
        number = numbers.setdefault(name, len(numbers) + 1)
        events.append(
            {"ph": "M", "name": "thread_name", "pid": _PROCESS, "tid": number, "args": {"name": name}}
        )
    origin_s = run.began_s
    for span in sorted(run.spans, key=lambda span: span.begun_s):
        events.append(
            {
                "ph": "X",
                "name": span.stage,
                "cat": "stage",
                "pid": _PROCESS,
                "tid": numbers[span.thread],
                "ts": round((span.begun_s - origin_s) * 1e6, 1),
                "dur": round(span.duration_s * 1e6, 1),
                "args": {"cpu_ms": round(span.cpu_s * 1000, 3)},
            }
        )
    calls = sorted((span for span in run.spans if span.stage == "infer"), key=lambda span: span.duration_s)
    if layers and calls:
        moment_us = (calls[len(calls) // 2].begun_s - origin_s) * 1e6
        for layer in layers:
            events.append(
                {
                    "ph": "X",
                    "name": layer.name,
                    "cat": "layer",
                    "pid": _PROCESS,
                    "tid": numbers[_LAYERS],
                    "ts": round(moment_us, 1),
                    "dur": round(layer.ms * 1000, 1),
                    "args": {"kind": layer.kind, "precision": layer.precision},
                }
            )
            moment_us += layer.ms * 1000
    return {
        "displayTimeUnit": "ms",
        "otherData": {"bundle": f"{run.info.bundle_name}@{run.info.bundle_version}"},
        "traceEvents": events,
    }
