"""What is really there in one frame of the simulated classroom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.frames.simulation.controls import FloatArray


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The faces of one frame as parallel arrays, in order of the seats; N = 0 is legal.

    Convention: pixels (x, y), pixel centres at integers. A box is the square that a frontal Haar cascade
        draws around
    such a face: its side, called the face's width, is the distance between the pupils / 0.37 before any
    turn of the head, and in a frontal face the pupils lie at 0.315 and 0.685 of its width and 0.405 of its
    height.

    Attributes:
        boxes_xyxy: (N, 4) float32.
        pupils_xy: (N, 2, 2) float32, image-left pupil first.
        landmarks_xy: (N, 68, 2) float32, order of iBUG.
        labels: (N,) str, one of `controls.EXPRESSIONS`; an expression counts from `lesson.LABEL_FROM` of
            its apex.
        valence: (N,) float32 in [−1, 1].
        arousal: (N,) float32 in [−1, 1].
        yaw_pitch_roll_deg: (N, 3) float32, see `appearance.Pose`.
        student: (N,) int64 seat, 0 is the image-left seat of the back row.

    Raises:
        ValueError: the arrays do not describe the same number of faces.
    """

    boxes_xyxy: FloatArray
    pupils_xy: FloatArray
    landmarks_xy: FloatArray
    labels: npt.NDArray[np.str_]
    valence: FloatArray
    arousal: FloatArray
    yaw_pitch_roll_deg: FloatArray
    student: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.boxes_xyxy)
        expected = {
            "boxes_xyxy": (n, 4),
            "pupils_xy": (n, 2, 2),
            "landmarks_xy": (n, 68, 2),
            "labels": (n,),
            "valence": (n,),
            "arousal": (n,),
            "yaw_pitch_roll_deg": (n, 3),
            "student": (n,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}; {n} faces need {shape}")

    def __len__(self) -> int:
        return len(self.boxes_xyxy)
