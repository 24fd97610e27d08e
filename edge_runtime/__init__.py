"""The device: camera frames in, room-level emotion events out.

In the order in which data flows:

    frames/      cameras, films, the simulated classroom          → Frame
    faces/       detection, following, pupils, alignment, quality → Faces, Crops
    features/    what a network may want beside the crop
    inference/   ONNX Runtime and OpenVINO behind one protocol    → Probabilities
    room/        smoothing, windows, privacy                      → RoomWindow, ProtectedWindow
    publishing/  payloads, outbox, MQTT client                    → the broker
    agent.py     the loop that joins them; cli.py and commands/ the command
    cameras.py   several of them on one board

Around the loop: `updates/` brings new bundles, `provisioning/` sets a device up and says what is wrong with it,
`survey/` judges a camera's place, `profiling/` and `profiler/` tell where the time goes. On a server: `history/` keeps
what was published, `alerts/` and `dashboard/` show it, `fleet/` rolls bundles out, `simulated_fleet/` stands in for a
school.

`bundle.py` is the contract between a trained network and the device, `config.py` the one configuration, `errors.py`
the one exception tree. Nothing here imports torch, onnx or nncf.

    from edge_runtime.agent import Agent
    from edge_runtime.config import trial_config

    with Agent(trial_config()) as agent:  # the simulated classroom, until agent.stop() is called
        agent.run()
"""

import os

# ONNX Runtime's wheels since 1.32 report their use to its maker, unless told otherwise before they are loaded. What a
# classroom's device does is nobody's business: this package is imported before any engine, so it says no for all.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
