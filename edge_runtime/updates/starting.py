"""Which bundle a start runs: the current one if it is whole, trusted and right on this CPU, else the one before it."""

from __future__ import annotations

import logging
from dataclasses import replace

from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleError, EngineError
from edge_runtime.inference.opening import Choice, open_engine
from edge_runtime.updates.slots import Running, Slots

_log = logging.getLogger(__name__)


def start(slots: Slots, inference: InferenceSection) -> tuple[Running, Choice]:
    """Opens the bundle to run and its engine. Changes nothing in the slots.

    Returns:
        The bundle, and the engine that reproduces its golden outputs; `reason` of the choice says what was passed over.

    Raises:
        BundleError, EngineError, MissingExtraError: not even the bundle that ships runs.
    """
    passed_over: list[str] = []
    for running in slots.in_order():
        try:
            choice = open_engine(running.bundle, inference)
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
