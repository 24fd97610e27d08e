"""Faces: from a frame to aligned crops with their quality.

    view.py        a frame and its grey images, each made once
    detection.py   Haar cascades and YuNet over the whole frame
    scanning.py    the scan thread, which cameras may share
    following.py   optical flow and local search between scans
    tracking.py    which box is whose
    finder.py      the policy that joins these                         → Faces
    pupils.py      Haar eyes, Canny, Hough circle, geometric check
    landmarks.py   68 points and two pupils by a network               → Landmarks
      iris.py              Canny and Hough between the lids
      landmark_pupils.py   pupils for alignment, in the place of Haar eyes
      pose.py              yaw, pitch and roll of the head
    alignment.py   two pupils → one upright 96×96 crop, P1 §2.2
    quality.py     light on a face, focus, and whether it is turned away
    crops.py       readable faces → crops with quality                 → Crops
    precut.py      data sets of pre-cut faces through the same steps
    labelled.py    reading such data sets
    marked.py      data sets of faces with their landmarks

In use:

    with FaceFinder(config.faces, waits_for_scans=True) as finder:
        view = FrameView(frame)
        crops = CropMaker(template, readable_width_px=32).make(view, finder.find(view))
"""
