"""What a board can carry: its costs per call, measured once, and from them the load of any configuration.

    perf.py      `perf.json`: what was measured on a board, checked when it is read
    work.py      the loop over given frames, its processor time by stage
    series.py    `roomtone profile device`: two minutes of measurements → `perf.json`
    model.py     a configuration → cores in use, linear in the costs and the rates
    plan.py      `roomtone profile plan`: does it fit, and what to change
    publishing.py  what a window costs on its way to the broker
    tables.py    the terminal
    page.py      docs/boards.md

Only boards with a file in `firmware_configs/perf/` are measured. Others are estimates, and say so.

    perf = read_perf(Path("firmware_configs/perf/x86-64-2-cores.json"))
    load(perf, Demand(cameras=2, faces=22)).cores
"""
