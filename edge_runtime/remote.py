"""What a running device does when it is asked over MQTT.

Questions are always answered; what changes something is obeyed only with `[updates] allow_remote`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from edge_runtime.config import Config
from edge_runtime.errors import UpdateError
from edge_runtime.publishing.flat import Scalar
from edge_runtime.publishing.payloads import Stats
from edge_runtime.publishing.requests import Exchange, Handler
from edge_runtime.publishing.topics import Command
from edge_runtime.updates.trial import Trials

_HEALTH = ("health", "uptime_s", "fps", "frames", "outbox_rows", "outbox_dropped", "temperature_c", "rss_mb")
_PLACE = ("ts", "site", "room", "device", "schema")


class Updates(Protocol):
    """New bundles that are asked for: `RemoteUpdates` on a device, `SimulatedUpdates` where there is none."""

    def activate(self, exchange: Exchange) -> None: ...  # noqa: D102 - see the implementations

    def rollback(self, exchange: Exchange) -> None: ...  # noqa: D102


def request_handlers(
    config: Config,
    *,
    stats: Callable[[], Stats | None],
    identity: Callable[[], Mapping[str, Scalar]],
    reload: Callable[[], None] | None,
    trials: Trials | None,
    updates: Updates | None,
) -> dict[Command, Handler]:
    """A handler for each command.

    Args:
        config: in force.
        stats: the latest; None before the first.
        identity: which bundle runs, where no slots tell it.
        reload: reads the configuration again and restarts the agent with it; raises `ConfigurationError`. None: the
            agent was not started from a file.
        trials: of new bundles; None where the configuration names its bundle itself.
        updates: that are asked for; likewise.
    """

    def health_check(exchange: Exchange) -> None:
        latest = stats()
        told = {} if latest is None else latest.flat()
        health = {key: told[key] for key in _HEALTH if key in told} or {"health": "starting"}
        exchange.ok({**health, **(identity() if trials is None else trials.report())})

    def tell_stats(exchange: Exchange) -> None:
        latest = stats()
        if latest is None:
            exchange.error("there are no stats yet")
            return
        exchange.ok({key: value for key, value in latest.flat().items() if key not in _PLACE})

    def restart(exchange: Exchange) -> None:
        if reload is None:
            raise UpdateError("this agent was started without a configuration file")
        reload()
        exchange.ok({"outcome": "restarting"})

    def need_slots() -> Updates:
        if updates is None:
            raise UpdateError(
                "the configuration of this device names its bundle itself",
                hint="remove inference.bundle from it, and the device runs what its slots hold",
            )
        return updates

    def guarded(handler: Handler) -> Handler:
        def obey(exchange: Exchange) -> None:
            if not config.updates.allow_remote:
                raise UpdateError(
                    f"{exchange.command} is switched off on this device", hint="[updates] allow_remote = true"
                )
            handler(exchange)

        return obey

    return {
        "health_check": health_check,
        "stats": tell_stats,
        "reload": guarded(restart),
        "bundle/activate": guarded(lambda exchange: need_slots().activate(exchange)),
        "bundle/rollback": guarded(lambda exchange: need_slots().rollback(exchange)),
    }
