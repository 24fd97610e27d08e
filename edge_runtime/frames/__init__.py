"""Where frames come from: cameras, streams, films, image folders and the simulated classroom.

In the order in which data flows:

    opening.py          one address of the configuration → the right source
    address.py          kinds of address; urls with their passwords masked
    live.py             a camera that may vanish and return: newest frame, stalls, restarts
      grabber_process.py    its child process, as the parent sees it
      handover.py           three slots of shared memory between the two
      grabber.py            the child: opens the camera, keeps only the newest frame
      diagnosis.py          why a camera does not open, in one sentence
    film.py             a film, as fast as possible or at its own pace
      containers.py         whether a film was cut short
    folder.py           a folder of images, one frame each
    simulation/         the simulated classroom
    pixels.py           whatever a decoder returns → (H, W, 3) uint8 in BGR order
    frame.py            `Frame`, and the protocol `FrameSource` that all of them fulfil

Nothing is imported here, so that the child process of a camera loads OpenCV and numpy only.

    from edge_runtime.config import CameraSection
    from edge_runtime.frames.frame import EndOfSource
    from edge_runtime.frames.opening import open_source

    with open_source(CameraSection(source="lesson.mp4")) as source:
        try:
            while True:
                frame = source.read()  # None: no frame within a second
        except EndOfSource:
            print(source.counters)
"""
