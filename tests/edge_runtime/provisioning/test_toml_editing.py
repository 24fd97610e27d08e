"""Setting keys in files that people have edited."""

from __future__ import annotations

import tomllib

import pytest

from edge_runtime.errors import ConfigurationError
from edge_runtime.provisioning.toml_editing import updated

EDITED = """\
# by hand
schema = "roomtone-config/2"

[room]
window_s = 30  # short
[[zones.x]]
a = 1

[camera]
source = "0"
"""


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("", {"room.window_s": 5}, "[room]\nwindow_s = 5\n"),
        ("", {"schema": "x"}, 'schema = "x"\n'),
        ("# note\n", {"schema": "x", "a.b": 1}, '# note\nschema = "x"\n\n[a]\nb = 1\n'),
        ("[a]\nb = 1\n", {"a.b": 1}, "[a]\nb = 1\n"),
        ("[a]\nb = 1\n", {"a.b": 2}, "[a]\nb = 2\n"),
        ("[a]\nb = 1\n", {"a.c": "d"}, '[a]\nb = 1\nc = "d"\n'),
        ("[a]\nb = 1\n\n[e]\n", {"a.c": 2}, "[a]\nb = 1\nc = 2\n\n[e]\n"),
        ("[a]\nb = 1\n", {"top": 2}, "top = 2\n[a]\nb = 1\n"),
        ("[a]\nb = 1\nc = 2\n", {"a.b": None}, "[a]\nc = 2\n"),
        ("[a]\nb = 1\n", {"a.z": None}, "[a]\nb = 1\n"),
    ],
    ids=[
        "empty",
        "top",
        "both",
        "same",
        "changed",
        "added",
        "added before",
        "top before",
        "removed",
        "not there",
    ],
)
def test_only_what_differs_is_touched(text: str, values: dict[str, object], expected: str) -> None:
    assert updated(text, values) == expected


def test_what_people_wrote_stays() -> None:
    text = updated(
        EDITED,
        {"room.min_group": 12, "camera.source": "1", "device.site": "n"},
        notes={"device.site": "Nörd"},
    )
    assert "# by hand" in text
    assert "window_s = 30  # short" in text
    assert 'site = "n"  # Nörd' in text
    document = tomllib.loads(text)
    assert document["room"] == {"window_s": 30, "min_group": 12}
    assert document["zones"] == {"x": [{"a": 1}]}
    assert document["camera"] == {"source": "1"}


@pytest.mark.parametrize(
    ("text", "says"),
    [("[", "not valid TOML"), ("room = { window_s = 30 }\n", "cannot be set to 5 by itself")],
)
def test_what_cannot_be_changed_is_left_to_people(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        updated(text, {"room.window_s": 5})
