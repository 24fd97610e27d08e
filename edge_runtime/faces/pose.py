"""Head pose from landmarks: yaw, pitch and roll of all faces of a frame, in closed form.

Eye corners and nose keep their places in the head whatever the face does. A face is far from the camera against its
depth, so its image is a scaled parallel projection of them (DeMenthon & Davis 1995, "POS"): a linear system, one
least-squares solution for all faces, and the rotation nearest to it. No camera has to be calibrated for that.

Convention: at 0, 0, 0 the face looks straight into the camera; positive yaw turns it to the image's right, positive
pitch downwards, positive roll tilts it clockwise as seen in the image; R = R_z(roll) R_y(yaw) R_x(pitch).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import FloatArray

# The head in units of the pupils' distance: x to the image's right, y down, z to the camera. Landmark → x, y, z; of the
# image-right half and the middle line. Fitted, poses and shape in turns, to the marks of landmarks68.npz's training
# persons, beginning with proportions after Farkas 1994; what is left is 0.04 (0.05 with the proportions alone).
_HEAD: Final = {
    27: (0.00, -0.03, 0.20), 28: (0.00, 0.17, 0.35), 29: (0.00, 0.36, 0.52), 30: (0.00, 0.53, 0.56),
    33: (0.00, 0.735, 0.31), 35: (0.205, 0.695, 0.21),
    42: (0.325, 0.00, -0.09), 45: (0.73, -0.01, -0.19),
}  # fmt: skip
_OTHER_SIDE: Final = {31: 35, 39: 42, 36: 45}

PROFILE_YAW_DEG: Final = 40.0  # farther round, half of the face is not seen
LOOKING_DOWN_PITCH_DEG: Final = 25.0  # into a book: lids and brows are not seen as they are


@dataclass(frozen=True, slots=True)
class HeadPoses:
    """Of the faces of one frame, as parallel arrays; N = 0 is legal.

    Attributes:
        yaw_deg, pitch_deg, roll_deg: (N,) float32; NaN where the landmarks are unknown.
    """

    yaw_deg: FloatArray
    pitch_deg: FloatArray
    roll_deg: FloatArray

    def __len__(self) -> int:
        return len(self.yaw_deg)

    @property
    def is_profile(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: turned by more than 40°."""
        return np.abs(self.yaw_deg) > PROFILE_YAW_DEG

    @property
    def is_looking_down(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: nodded by more than 25°."""
        return self.pitch_deg > LOOKING_DOWN_PITCH_DEG


def head_poses(points_xy: FloatArray) -> HeadPoses:
    """Head poses of faces.

    Args:
        points_xy: (N, ≥ 68, 2) float32 in pixels, order of iBUG; NaN where unknown.
    """
    points = points_xy[:, _RIGID].astype(np.float64)
    centred = points - points.mean(axis=1, keepdims=True)
    known = np.isfinite(centred).all(axis=(1, 2))
    linear = np.einsum("ap,npb->nba", _INVERSE, np.where(known[:, None, None], centred, 0.0))  # (N, 2, 3)
    left, _, right = np.linalg.svd(linear, full_matrices=False)
    first, second = np.moveaxis(left @ right, 1, 0)  # the two rows of a rotation nearest to it
    third = np.cross(first, second)
    known &= np.abs(linear).max(axis=(1, 2)) > 0
    yaw = np.arcsin(np.clip(-third[:, 0], -1, 1))
    pitch = np.arctan2(-third[:, 1], third[:, 2])
    roll = np.arctan2(second[:, 0], first[:, 0])
    angles = np.where(known, np.rad2deg([yaw, pitch, roll]), np.nan).astype(np.float32)
    return HeadPoses(angles[0], angles[1], angles[2])


def _head_points() -> tuple[list[int], npt.NDArray[np.float64]]:
    points = dict(_HEAD) | {
        left: (-_HEAD[right][0], *_HEAD[right][1:]) for left, right in _OTHER_SIDE.items()
    }
    return list(points), np.array(list(points.values()))


_RIGID, _POINTS = _head_points()
_INVERSE: Final = np.linalg.pinv(_POINTS - _POINTS.mean(axis=0))  # (3, P)
