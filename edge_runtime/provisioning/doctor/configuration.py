"""The configuration: readable, without faults, and for a use that the law leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_runtime.config import Config, trial_config
from edge_runtime.config_file import load_config
from edge_runtime.errors import ConfigurationError, UnlawfulUseError
from edge_runtime.lawful import check_lawful
from edge_runtime.provisioning.doctor.check import Check, Finding, fail, ok, warn


def read(paths: Sequence[Path]) -> tuple[Config | None, Finding]:
    """Reads a configuration; the finding says how that went.

    Args:
        paths: TOML files or folders of layers; the built-in trial when there is none.

    Returns:
        The configuration, or None where it has faults.
    """
    if not paths:
        return trial_config(), warn(
            "no --config: the built-in trial is looked at",
            "roomtone doctor --config FILE looks at this device's own",
        )
    try:
        config = load_config(*paths)
    except ConfigurationError as error:
        return None, fail(str(error), error.hint, faults=len(error.faults))
    return config, ok(f"{', '.join(map(str, paths))} is valid")


def lawful(config: Config) -> Finding:
    """Whether the declared use is prohibited where it is declared to be."""
    declared = config.deployment
    use = f"{declared.purpose} in {declared.setting}, {declared.jurisdiction}"
    try:
        check_lawful(declared)
    except UnlawfulUseError as error:
        return fail(str(error), error.hint)
    if declared.purpose != "simulation" and not declared.contact:
        hint = "deployment.contact: whom people in the room may ask"
        return warn(f"{use}: not refused, but nobody is named who answers questions", hint)
    return ok(f"{use}: not refused (this is no legal advice)")


def configuration_checks(found: Finding, config: Config | None) -> list[Check]:
    """The finding of `read`, and what follows from it."""
    checks = [Check("configuration", "configuration", lambda: found)]
    if config is not None:
        checks.append(Check("lawful", "declared use", lambda: lawful(config)))
    return checks
