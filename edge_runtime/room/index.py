"""The room's own index, P3 Tables 3–4: activities in [0, 1], and a grade.

P3 gives three scenarios with their numbers and no formula. This is ours. With P and N the positive and negative
activity of the students (the shares of labels of polarity +1 and −1), and T the teacher's activity:

    balance(P, N) = (1 + P − N) / 2              0: all negative, ½: neither or both alike, 1: all positive
    activity      = balance(P, N) · min(1, E / 0.75)

E is how engaging the lesson is: T where the teacher's activity is told, else the students' own balance, which
in the paper's rows follows the teacher's (T ≈ 1.1 P). 0.75 is the teacher of scenario 1 (0.7583): a teacher as
active as that takes nothing away. The paper's one number for the teacher is read as the balance of the
teacher's own face.

From the paper's rows this gives 0.6648, 0.3750, 0.1733 where the paper has 0.6753, 0.3826, 0.1846; the students
alone give 0.5893, 0.3319, 0.1501. The grades are the paper's in all six cases.

    Excellent ≥ 0.55 > Good ≥ 0.30 > Average     half-way between the paper's values, to the published step
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Grade = Literal["excellent", "good", "average"]
GRADES: Final[tuple[Grade, ...]] = get_args(Grade)

ACTIVE_TEACHER: Final = 0.75  # P3 Table 3, scenario 1: 0.7583, to the published step
# Half-way between 0.6753 and 0.3826 is 0.529, between 0.3826 and 0.1846 it is 0.284.
EXCELLENT_FROM: Final = 0.55
GOOD_FROM: Final = 0.30


def balance(positive: float, negative: float) -> float:
    """One number in [0, 1] for a positive and a negative activity in [0, 1]."""
    return min(1.0, max(0.0, (1 + positive - negative) / 2))


def classroom_activity(positive: float, negative: float, teacher: float | None = None) -> float:
    """P3's classroom emotional activity, in [0, 1]; see the module.

    Args:
        positive: activity of the students, in [0, 1].
        negative: likewise.
        teacher: activity of the teacher, in [0, 1]; None where it is not told.
    """
    students = balance(positive, negative)
    engagement = students if teacher is None else teacher
    return students * min(1.0, engagement / ACTIVE_TEACHER)


def grade_of(activity: float) -> Grade:
    """The grade of a classroom activity."""
    if activity >= EXCELLENT_FROM - 1e-9:
        return "excellent"
    return "good" if activity >= GOOD_FROM - 1e-9 else "average"
