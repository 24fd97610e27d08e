"""What a declared deployment may be used for. Not legal advice: a refusal of what is plainly prohibited.

Regulation (EU) 2024/1689 (AI Act), Art. 5(1)(f), in force since 2 February 2025, prohibits inferring emotions
of natural persons in the areas of workplace and education institutions, except for medical or safety reasons.
It covers the EU and, once incorporated, the EEA. We found no source that exempts aggregates.
"""

from __future__ import annotations

from typing import Final, get_args

from edge_runtime.config import DeploymentSection, Purpose
from edge_runtime.errors import UnlawfulUseError

ARTICLE: Final = "Regulation (EU) 2024/1689 (AI Act), Art. 5(1)(f)"

# fmt: off
_MEMBER_STATES: Final = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT",
    "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
)
# fmt: on
# Where EU law applies under another country code: Åland, and the outermost regions of Art. 349 TFEU.
_TERRITORIES: Final = ("AX", "GF", "GP", "MF", "MQ", "RE", "YT")
_WHERE_PROHIBITED: Final = frozenset([*_MEMBER_STATES, *_TERRITORIES, "EL", "IS", "LI", "NO", "EU", "EEA"])
_OPEN_PURPOSES: Final = ("medical", "safety", "simulation")
_PROHIBITED_SETTINGS: Final = frozenset(["education", "workplace"])


def check_lawful(deployment: DeploymentSection) -> None:
    """Refuses a declared use that is prohibited where it is declared to be.

    An undeclared jurisdiction is treated as the EU's: silence must not open what the declaration would close.

    Raises:
        UnlawfulUseError: naming the article.
    """
    if deployment.purpose not in open_purposes(deployment):
        raise UnlawfulUseError(
            jurisdiction=deployment.jurisdiction,
            setting=deployment.setting,
            purpose=deployment.purpose,
            article=ARTICLE,
        )


def open_purposes(deployment: DeploymentSection) -> tuple[str, ...]:
    """The purposes that are not refused where this deployment is declared to be, whatever its own is."""
    country = deployment.jurisdiction.partition("-")[0]
    applies = country in _WHERE_PROHIBITED or country == "unspecified"
    if applies and deployment.setting in _PROHIBITED_SETTINGS:
        return _OPEN_PURPOSES
    return get_args(Purpose)
