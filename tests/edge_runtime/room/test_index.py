"""The index against P3's own rows: the three grades, and how near it comes to the paper's three numbers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.room.index import EXCELLENT_FROM, GOOD_FROM, balance, classroom_activity, grade_of


@dataclass(frozen=True)
class Scenario:
    """One column of P3 Table 3, with the classroom's evaluation of Table 4."""

    teacher: float
    positive: tuple[float, float, float]
    negative: tuple[float, float, float]
    activity: float
    grade: str


SCENARIOS = (
    Scenario(0.7583, (0.6475, 0.5684, 0.7853), (0.3246, 0.4531, 0.2345), 0.6753, "excellent"),
    Scenario(0.5637, (0.4826, 0.4985, 0.5829), (0.5338, 0.5642, 0.4726), 0.3826, "good"),
    Scenario(0.3875, (0.3902, 0.3784, 0.2946), (0.6383, 0.6284, 0.7836), 0.1846, "average"),
)
scenarios = pytest.mark.parametrize("scenario", SCENARIOS, ids=["scenario 1", "scenario 2", "scenario 3"])
activities = st.floats(0, 1)


def index_of(scenario: Scenario, *, with_teacher: bool) -> float:
    positive, negative = sum(scenario.positive) / 3, sum(scenario.negative) / 3
    return classroom_activity(positive, negative, scenario.teacher if with_teacher else None)


@scenarios
@pytest.mark.parametrize("with_teacher", [True, False], ids=["with teacher", "students alone"])
def test_the_papers_rows_get_the_papers_grades(scenario, with_teacher):
    assert grade_of(index_of(scenario, with_teacher=with_teacher)) == scenario.grade


@scenarios
def test_the_papers_numbers_are_met_within_twelve_thousandths(scenario):
    assert index_of(scenario, with_teacher=True) == pytest.approx(scenario.activity, abs=0.012)


@scenarios
def test_without_a_teacher_the_papers_numbers_are_met_within_nine_hundredths(scenario):
    assert index_of(scenario, with_teacher=False) == pytest.approx(scenario.activity, abs=0.09)


def test_the_borders_lie_half_way_between_the_papers_numbers_to_the_published_step():
    excellent, good, average = (scenario.activity for scenario in SCENARIOS)
    assert pytest.approx((excellent + good) / 2, abs=0.025) == EXCELLENT_FROM
    assert pytest.approx((good + average) / 2, abs=0.025) == GOOD_FROM


@pytest.mark.parametrize(
    ("positive", "negative", "teacher", "activity"),
    [
        pytest.param(0.0, 0.0, None, 1 / 3, id="everybody neutral: half of half over three quarters"),
        pytest.param(1.0, 0.0, None, 1.0, id="everybody happy"),
        pytest.param(0.0, 1.0, 1.0, 0.0, id="no teacher makes up for a class in tears"),
        pytest.param(0.5, 0.5, 0.75, 0.5, id="an active teacher takes nothing away"),
        pytest.param(0.5, 0.5, 1.0, 0.5, id="nor does a more active one add to it"),
        pytest.param(1.0, 0.0, 0.0, 0.0, id="a lesson that nobody gives"),
    ],
)
def test_the_index_worked_out_by_hand(positive, negative, teacher, activity):
    assert classroom_activity(positive, negative, teacher) == pytest.approx(activity)


@given(positive=activities, negative=activities, teacher=st.none() | activities, more=activities)
def test_the_index_stays_in_its_range_and_grows_with_what_is_good(positive, negative, teacher, more):
    here = classroom_activity(positive, negative, teacher)
    assert 0 <= here <= 1
    assert classroom_activity(max(positive, more), negative, teacher) >= here - 1e-12
    assert classroom_activity(positive, max(negative, more), teacher) <= here + 1e-12
    assert 0 <= balance(positive, negative) <= 1


@pytest.mark.parametrize(
    ("activity", "grade"),
    [
        (0.0, "average"),
        (0.25, "average"),
        (0.3, "good"),
        (0.5, "good"),
        (0.55, "excellent"),
        (1.0, "excellent"),
    ],
)
def test_a_border_belongs_to_the_better_grade(activity, grade):
    assert grade_of(activity) == grade
    assert grade_of(round(activity * 20) / 20) == grade
