"""`--set FIELD=VALUE`, as all training commands read it."""

from __future__ import annotations

from edge_runtime.errors import ConfigurationError, Fault


def changes_of(given: list[str]) -> dict[str, int | float | str]:
    """`["heads=2", "affinity_weight=0"]` as values of the kinds that they look like.

    Raises:
        ConfigurationError: one of them is not FIELD=VALUE.
    """
    changes: dict[str, int | float | str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigurationError("the command line", [Fault("--set", f"{text!r} is not FIELD=VALUE")])
        changes[name] = next((kind(value) for kind in (int, float) if _is_a(kind, value)), value)
    return changes


def _is_a(kind: type[int] | type[float], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
