"""Options of the command line that stand above the configuration file, checked by the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from edge_runtime.config import Config
from edge_runtime.config_faults import faults_of
from edge_runtime.errors import ConfigurationError
from edge_runtime.shipped import bundle_folder


def override(config: Config, changes: dict[str, dict[str, Any]]) -> Config:
    """A configuration with some keys replaced; values that are None change nothing.

    Args:
        config: to begin with.
        changes: section → key → value.

    Raises:
        ConfigurationError: the result breaks a rule.
    """
    document: dict[str, Any] = {}
    for name in type(config).model_fields:
        section: BaseModel = getattr(config, name)
        kept = {key: getattr(section, key) for key in section.model_fields_set}
        document[name] = kept | {
            key: value for key, value in changes.get(name, {}).items() if value is not None
        }
    try:
        return Config.model_validate(document)
    except ValidationError as exc:
        raise ConfigurationError("the command line", faults_of(exc)) from exc


def broker_section(broker: str | None) -> dict[str, Any]:
    """`--broker URL|none` as a change of `[mqtt]`; `none` is dealt with by `without_broker`."""
    return {"url": broker} if broker not in (None, "none") else {}


def without_broker(config: Config) -> Config:
    """The same configuration, publishing nothing."""
    return config.model_copy(update={"mqtt": type(config.mqtt)()})


def absolute_bundle(named: Path | None) -> Path | None:
    """A path of the command line is meant from the working directory; a shipped bundle has its name alone."""
    return None if named is None else bundle_folder(named).resolve()
