"""Bundles of a simulated device: names only. What it is told to activate it “runs” at once, and it can go back.

So a rollout over a simulated fleet shows groups, passing over, pause and abort. It shows nothing of a bundle: none is
fetched, none is checked.
"""

from __future__ import annotations

import hashlib
from typing import Final

from pydantic import ValidationError

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UpdateError
from edge_runtime.publishing.requests import Exchange
from edge_runtime.updates.slot_table import Slot

_NO_NAME: Final = "a simulated device fetches nothing: name a bundle, as hafnet@1.2.0"


class SimulatedUpdates:
    """Takes the place of `RemoteUpdates`.

    Args:
        bundle: that it runs at first.

    Attributes:
        current: that it claims to run.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.current = Slot.holding(bundle)
        self._previous: Slot | None = None

    def report(self) -> dict[str, str | float | int]:
        """How an update stands, as a real device tells it."""
        return {"bundle": self.current.identity, "bundle_digest": self.current.digest, "phase": "idle"}

    def activate(self, exchange: Exchange) -> None:
        """Takes the bundle's name.

        Raises:
            UpdateError: it is no NAME@VERSION.
        """
        wanted = _named(exchange.request.bundle or "")
        if wanted.identity == self.current.identity:
            exchange.ok({**self.report(), "outcome": "already current"})
            return
        exchange.accepted({"phase": "begun"})
        self._previous, self.current = self.current, wanted
        exchange.ok({**self.report(), "outcome": "committed"})

    def rollback(self, exchange: Exchange) -> None:
        """Goes back to the former name; a bundle that is named and does not run here is left alone.

        Raises:
            UpdateError: there is nothing to roll back.
        """
        meant, rejected = exchange.request.bundle, self.current
        if meant is not None and not rejected.is_called(meant):
            exchange.ok({**self.report(), "outcome": "it does not run here"})
            return
        if self._previous is None:
            raise UpdateError("there is nothing to roll back")
        self.current, self._previous = self._previous, None
        exchange.ok({**self.report(), "rolled_back": rejected.identity})


def _named(identity: str) -> Slot:
    name, _, version = identity.partition("@")
    try:
        if not name or "/" in name:
            raise UpdateError(_NO_NAME)
        digest = hashlib.sha256(identity.encode()).hexdigest()
        return Slot(digest=digest, name=name, version=version)
    except ValidationError as exc:
        raise UpdateError(_NO_NAME) from exc
