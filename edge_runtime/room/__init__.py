"""The room: from probabilities per face to a window that may leave the device.

    smoothing.py    probabilities of a track over time
    aggregation.py  tumbling windows; each track counts once          → RoomWindow
    privacy.py      minimum group, rounding, bands                    → ProtectedWindow
    window.py       the two values

In use:

    window = aggregator.observe_frame(now_s, seen=len(faces))
    if window is not None:
        publish(protect(window, bundle.manifest.labels, config.room.min_group))
"""
