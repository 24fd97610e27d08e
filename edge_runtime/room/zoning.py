"""Who sits where: zones of students and of the teacher, as configured, on the faces of a frame.

zones = RoomZones(config.zones, reads_teacher=tells_teacher(config.deployment))
places = zones.places(faces.boxes_xyxy, width_px=1920, height_px=1080)
faces_that_are_read = faces.only(zones.is_read(places))

Without zones of students, everybody outside of the teacher's zone is a student. With them, only who sits in one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.config import DeploymentSection
from edge_runtime.room_sections import ZonesSection
from edge_runtime.zones import OUTSIDE, places_of

TEACHER: Final = 0  # the zones of students are 1, 2, …; `OUTSIDE` is −1

Places = npt.NDArray[np.int64]


def tells_teacher(deployment: DeploymentSection) -> bool:
    """Whether the one person in the teacher's zone may be read: by written agreement, or in simulation."""
    return bool(deployment.teacher_agreement.strip()) or deployment.purpose == "simulation"


class RoomZones:
    """The zones of one camera.

    Args:
        section: of the configuration.
        reads_teacher: faces in the teacher's zone are classified; otherwise they are left alone.

    Attributes:
        names: of the zones of students; zone `names[i]` is place `i + 1`.
        reads_teacher: as given.
    """

    def __init__(self, section: ZonesSection | None = None, *, reads_teacher: bool = False) -> None:
        section = section or ZonesSection()
        self.names = tuple(section.students)
        self.reads_teacher = reads_teacher
        # The teacher's comes first: where it overlaps a zone of students, nobody is taken for a student.
        self._polygons = [*filter(None, [section.teacher]), *section.students.values()]
        self._first = TEACHER if section.teacher is not None else TEACHER + 1

    def places(self, boxes_xyxy: npt.NDArray[np.float32], width_px: int, height_px: int) -> Places:
        """(N, 4) boxes in pixels of the frame → (N,) int64: the zone that holds each box's centre."""
        if not self._polygons:
            return np.full(len(boxes_xyxy), OUTSIDE, np.int64)
        centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
        places = places_of(self._polygons, centres / np.array([width_px, height_px], np.float32))
        return np.where(places == OUTSIDE, OUTSIDE, places + self._first)

    def are_students(self, places: Places) -> npt.NDArray[np.bool_]:
        """(N,) bool: who counts for the room."""
        return places > TEACHER if self.names else places != TEACHER

    def is_read(self, places: Places) -> npt.NDArray[np.bool_]:
        """(N,) bool: whose face is classified at all."""
        students = self.are_students(places)
        return students | (places == TEACHER) if self.reads_teacher else students
