"""The address of a simulated classroom: `simulated://students=24,seed=7,width=1280`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from edge_runtime.errors import SourceUnavailableError

SCHEME: Final = "simulated"


def _yes_or_no(text: str) -> bool:
    answers = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in answers:
        raise ValueError(text)
    return answers[text.lower()]


_KEYS: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    "students": (int, "an integer"),
    "seed": (int, "an integer"),
    "width": (int, "an integer"),
    "height": (int, "an integer"),
    "fps": (float, "a number"),
    "seconds": (float, "a number"),
    "realtime": (_yes_or_no, "true or false"),
    "lesson_s": (float, "a number"),
    "teacher": (_yes_or_no, "true or false"),
}


def parse_address(uri: str) -> dict[str, Any]:
    """Reads the keys of an address; ranges are the classroom's own business.

    Args:
        uri: `simulated://` and then `key=value` pairs, separated by commas; none at all is legal.

    Returns:
        Arguments of `SimulatedClassroom`.

    Raises:
        SourceUnavailableError: another scheme, a key that is not known or comes twice, or a malformed value.
    """
    known = "known keys: " + ", ".join(f"{key} ({kind})" for key, (_, kind) in _KEYS.items())
    scheme, separator, text = uri.partition("://")
    if scheme.lower() != SCHEME or not separator:
        raise SourceUnavailableError(uri, f"does not begin with {SCHEME}://", hint=known)
    arguments: dict[str, Any] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in pair.partition("="))
        if not equals:
            raise SourceUnavailableError(uri, f"“{pair}” is not of the form key=value", hint=known)
        if key not in _KEYS:
            close = get_close_matches(key, list(_KEYS), n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise SourceUnavailableError(uri, f"“{key}” is not a key of it{meant}", hint=known)
        if key in arguments:
            raise SourceUnavailableError(uri, f"{key} is given twice", hint=known)
        convert, kind = _KEYS[key]
        try:
            arguments[key] = convert(value)
        except ValueError as exc:
            raise SourceUnavailableError(uri, f"{key} is “{value}”; it is {kind}", hint=known) from exc
    return arguments
