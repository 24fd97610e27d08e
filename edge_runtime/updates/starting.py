"""A start: where the slots are, and which bundle runs.

The current one if it is whole, trusted and right on this CPU, else the one before it, else the one that ships.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.bundle_signing import check_signature
from edge_runtime.config import Config, InferenceSection, UpdatesSection
from edge_runtime.errors import BundleError, EngineError
from edge_runtime.inference.opening import Choice, Opener
from edge_runtime.inference.tuning import open_tuned_engine
from edge_runtime.state_directory import state_directory
from edge_runtime.updates.slots import Running, Slots

_log = logging.getLogger(__name__)

SERVICE_STATE: Final = Path("/var/lib/roomtone")  # StateDirectory=roomtone of the unit
SERVICE_CONFIGURATION: Final = Path("/etc/roomtone")  # where `roomtone provision` writes


def open_slots(settings: UpdatesSection, state: Path) -> Slots:
    """The slots of a device.

    Args:
        settings: say whose signature every bundle needs.
        state: the device's state directory.
    """
    folder = settings.directory or state / "bundles"
    public = settings.public_key
    if not settings.require_signature or public is None:
        return Slots(folder)
    return Slots(folder, lambda bundle: check_signature(bundle, public))


def cli_state_directory() -> Path:
    """The state directory that a command means: the service's, where there is one on this machine."""
    is_beside = "STATE_DIRECTORY" not in os.environ and SERVICE_STATE.is_dir()
    return SERVICE_STATE if is_beside else state_directory()


def cli_configuration() -> list[Path]:
    """The configuration that a command means which names neither one nor a state: the service's, beside a service."""
    is_beside = cli_state_directory() == SERVICE_STATE and SERVICE_CONFIGURATION.is_dir()
    return [SERVICE_CONFIGURATION] if is_beside else []


def open_here(bundle: Bundle, inference: InferenceSection) -> Choice:
    """`open_tuned_engine` with what was measured on this device: the `Opener` of whoever shares with nobody."""
    return open_tuned_engine(bundle, inference, state_directory())


def start(slots: Slots, inference: InferenceSection, opens: Opener = open_here) -> tuple[Running, Choice]:
    """Opens the bundle to run and its engine. Changes nothing in the slots.

    Args:
        slots: of the device.
        inference: how to run it.
        opens: the engine.

    Returns:
        The bundle, and the engine that reproduces its golden outputs; `reason` of the choice says what was passed over.

    Raises:
        BundleError, EngineError, MissingExtraError: not even the bundle that ships runs.
    """
    passed_over: list[str] = []
    for running in slots.in_order():
        try:
            choice = opens(running.bundle, inference)
        except (BundleError, EngineError) as exc:
            if running.slot == "shipped":
                raise
            _log.error("the bundle of the slot “%s” does not run here: %s", running.slot, exc)
            passed_over.append(f"{running.slot}: {exc}")
            continue
        if running.problem:
            _log.error("%s; the bundle of the slot “%s” runs", running.problem, running.slot)
        notes = "; ".join(filter(None, (running.problem, *passed_over)))
        return running, replace(choice, reason=f"{choice.reason}; {notes}"[:500]) if notes else choice
    raise AssertionError  # the bundle that ships is the last of them


def bundle_in_force(config: Config) -> tuple[Bundle, str]:
    """The bundle that a start would try first, for those who only look; no engine is opened.

    Returns:
        The bundle, and why it is not the one that it should be; empty when it is.

    Raises:
        BundleError: the configured bundle cannot be opened.
    """
    if (named := config.inference.bundle) is not None:
        return open_bundle(named), ""
    running = open_slots(config.updates, cli_state_directory()).running()
    return running.bundle, running.problem
