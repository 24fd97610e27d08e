"""The room: from probabilities per face to a window that may leave the device.

    smoothing.py    probabilities of a track over time
    context.py      what the room is doing; prior and reading of each activity
    zoning.py       which zone a face sits in, and whether it is read
    aggregation.py  tumbling windows; each track counts once          → RoomWindow
    privacy.py      minimum group, rounding, bands                    → ProtectedWindow
    index.py        P3's classroom activity and grade
    episodes.py     what lasted over several windows                  → EpisodeStep
    window.py       the two values

In use:

    window = aggregator.observe_frame(now_s, seen=len(faces))
    if window is not None:
        publish(protect(window, bundle.manifest.labels, config.room.min_group))
"""
