"""Names of schools and rooms as ids in topics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.config import DeviceSection
from edge_runtime.provisioning.naming import slug


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("north", "north"),
        ("North School", "north-school"),
        ("Grundschule Köln-Süd", "grundschule-koeln-sued"),
        ("Straße 5", "strasse-5"),
        ("École Saint-Étienne", "ecole-saint-etienne"),
        ("Škola č. 3", "skola-c-3"),
        ("Ærø Skole", "aeroe-skole"),
        ("  R 12 / B  ", "r-12-b"),
        ("Ko\u0308ln", "koeln"),
        ("x" * 80, "x" * 64),
        ("a" * 63 + " b", "a" * 63),
    ],
    ids=[
        "plain",
        "space",
        "umlauts",
        "sharp s",
        "accents",
        "carons",
        "ligatures",
        "signs",
        "combined",
        "long",
        "cut",
    ],
)
def test_a_name_becomes_an_id(name: str, identifier: str) -> None:
    assert slug(name) == identifier


@pytest.mark.parametrize("name", ["", "   ", "学校", "—", "🏫"])
def test_a_name_of_which_nothing_is_left_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Latin letters"):
        slug(name)


@given(st.text(max_size=100))
def test_whatever_is_left_is_a_level_of_a_topic(name: str) -> None:
    try:
        identifier = slug(name)
    except ValueError:
        return
    assert DeviceSection(site=identifier).site == identifier
    assert slug(identifier) == identifier
