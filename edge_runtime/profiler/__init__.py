"""The profiler: the real agent at work, each span recorded, and what that says.

    measuring.py  runs the agent and records
    usage.py      what the kernel says meanwhile: processor time by thread, memory
    report.py     a run → the report, and its JSON
    layers.py     the network's layers in a call of their own: time, and the precision that ran
    floor.py      decoder, detector and batched inference bare, in the same run
    comparing.py  two reports: what changed, with intervals
    study.py      all of it in order, with a live table
    trace.py      Chrome Trace Event JSON, for Perfetto
    page.py       one HTML file
    tables.py     the terminal

Spans themselves are in `edge_runtime.profiling`, under all stages; this package stands above the agent.

    run = measure(config, seconds=30)
    report = summarize(run)
"""
