"""Where the time goes: `spans.py` measures the stages of the loop as it runs, cheaply enough to stay on.

`recording.py` keeps each span of a run; `edge_runtime.profiler` stands above the agent and makes the report.
"""
