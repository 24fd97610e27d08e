"""The simulated classroom: drawn faces whose truth is known, for demonstrations, tests and data sets.

In the order in which a frame is made:

    address.py      `simulated://students=24,seed=7` → arguments
    classroom.py    `SimulatedClassroom`, the frame source: paced or as fast as possible
    desk.py         one seat: when its head must be painted anew; the sensor's noise
    lesson.py       scripted moods over time: what each face and head does
    controls.py     action units, gaze, and the expressions made of them
    appearance.py   who a person is, how a head is turned, how light falls
    scenery.py      seats in perspective, wall, desks, bodies
    face.py         `render_face`; one head on a canvas
      shape.py          68 landmarks in space, moved by action units, projected
      contours.py       outlines as splines through the landmarks
      skin.py           lit skin as a texture
      folds.py          folds and highlights that come and go
      features.py       eyes, brows, nostrils, mouth, glasses
      hair.py           hair, ears, neck
      strokes.py        polygons and lines with sub-pixel vertices
    truth.py        `GroundTruth`: what is really in a frame

    from edge_runtime.frames.simulation.classroom import SimulatedClassroom

    with SimulatedClassroom.from_uri("simulated://students=12,seed=7,seconds=10") as source:
        frame = source.read()
        source.truth().labels
"""
