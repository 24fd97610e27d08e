"""Which declared deployments are refused, as a table."""

from __future__ import annotations

import pytest

from edge_runtime.config import DeploymentSection
from edge_runtime.config_file import parse_config
from edge_runtime.errors import ConfigurationError, UnlawfulUseError
from edge_runtime.lawful import check_lawful


def deployment(jurisdiction="DE", setting="education", purpose="education"):
    return DeploymentSection(jurisdiction=jurisdiction, setting=setting, purpose=purpose)


# The 27 member states of the EU, by ISO 3166-1.
MEMBER_STATES = (
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905
)


@pytest.mark.parametrize("country", [*MEMBER_STATES, "IS", "LI", "NO", "EU", "EEA", "EL", "RE", "AX"])
def test_education_is_refused_everywhere_in_the_european_economic_area(country):
    with pytest.raises(UnlawfulUseError, match=r"Art\. 5\(1\)\(f\)") as caught:
        check_lawful(deployment(country))
    assert caught.value.exit_code == 3
    assert country in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "written", ["de", "De", " DE ", "DE-BY", "de_by", "unspecified", "Unspecified", "eu", "Eea"]
)
def test_the_way_a_country_is_written_opens_nothing(written):
    with pytest.raises(UnlawfulUseError):
        check_lawful(deployment(written))


def test_who_declares_no_country_is_treated_as_in_the_eu():
    with pytest.raises(UnlawfulUseError, match="unspecified"):
        check_lawful(DeploymentSection(purpose="research"))


@pytest.mark.parametrize("setting", ["education", "workplace"])
@pytest.mark.parametrize("purpose", ["research", "education", "wellbeing"])
def test_schools_and_workplaces_are_closed_to_ordinary_purposes(setting, purpose):
    with pytest.raises(UnlawfulUseError, match=f"{setting}.*{purpose}"):
        check_lawful(deployment(setting=setting, purpose=purpose))


@pytest.mark.parametrize("setting", ["education", "workplace"])
@pytest.mark.parametrize("purpose", ["medical", "safety", "simulation"])
def test_medical_safety_and_simulation_stay_open(setting, purpose):
    check_lawful(deployment(setting=setting, purpose=purpose))


@pytest.mark.parametrize("setting", ["healthcare", "laboratory", "other"])
def test_other_settings_are_not_what_the_article_prohibits(setting):
    check_lawful(deployment(setting=setting, purpose="research"))


@pytest.mark.parametrize("country", ["US", "US-CA", "GB", "CH", "JP", "IN", "BR"])
def test_the_article_does_not_reach_beyond_the_european_economic_area(country):
    check_lawful(deployment(country))


@pytest.mark.parametrize(
    "words", ["Germany", "Deutschland", "European Union", "DEU", "USA", "", "D", "12", "U S"]
)
def test_a_country_in_words_is_a_fault_and_not_a_way_out(words):
    with pytest.raises(ConfigurationError, match="ISO 3166-1"):
        parse_config(f'[deployment]\njurisdiction = "{words}"\n')


def test_the_default_declaration_is_a_simulation_and_lawful():
    check_lawful(DeploymentSection())
