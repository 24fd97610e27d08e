"""Activating a candidate: the checks that need no live frame, and what their outcome does to the slots."""

from __future__ import annotations

from edge_runtime.config import Config
from edge_runtime.errors import ConfigurationError, UpdateError
from edge_runtime.room.episodes import check_kinds
from edge_runtime.updates.checks import Examination, examine
from edge_runtime.updates.slot_table import Waiver
from edge_runtime.updates.slots import Slots


def activate(slots: Slots, config: Config, waivers: tuple[Waiver, ...] = ()) -> Examination:
    """Examines the candidate on this CPU against what runs, and sends it on to the agent if it passed.

    The running agent, or the next one that starts, sees it beside the current bundle on live frames, then runs it on
    trial (`edge_runtime.updates.trial`). A candidate that did not pass stays installed and is never committed.

    Args:
        slots: of this device.
        config: its configuration.
        waivers: what the operator allows beside what was allowed at the install.

    Returns:
        All checks, passed or not.

    Raises:
        UpdateError: there is no candidate, it is on trial already, or the configuration names a bundle itself.
        BundleError: its files are not what was installed.
        ConfigurationError: it does not tell an episode that is configured.
    """
    check_slots_are_used(config)
    candidate = slots.table().candidate
    if candidate is None:
        raise UpdateError("there is no candidate", hint="roomtone bundle install SOURCE brings one")
    if candidate.phase == "trial":
        raise UpdateError(f"{candidate} is on trial already", hint="roomtone bundle list shows how it does")
    bundle = slots.open(candidate)
    allowed = tuple(sorted({*candidate.waivers, *waivers}))
    try:
        check_kinds(config.episodes.thresholds, bundle.manifest.labels)
    except ConfigurationError as exc:
        slots.refuse(str(exc), candidate.digest)
        raise
    examination = examine(bundle, slots.running().bundle, config.inference, config.updates, allowed)
    if examination.reasons:
        slots.refuse("; ".join(examination.reasons), candidate.digest)
    else:
        slots.mark(candidate.digest, "checked", attempts=0)
    return examination


def check_slots_are_used(config: Config) -> None:
    """Refuses work on slots that nothing would run from.

    Raises:
        UpdateError: `inference.bundle` is set.
    """
    if config.inference.bundle is not None:
        raise UpdateError(
            f"the configuration names its bundle itself: inference.bundle = {config.inference.bundle}",
            hint="remove that key, and the device runs what its slots hold",
        )
