"""A device without a camera: the real publisher and the real request desk, and a memory of what was asked."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Self

from brokers import Mosquitto

from edge_runtime.publishing.client import Publisher
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.outbox import Outbox
from edge_runtime.publishing.payloads import Info
from edge_runtime.publishing.requests import Exchange, RequestDesk
from edge_runtime.publishing.topics import Topics

Behaviour = Literal[
    "commits", "sends back", "refuses", "loses the answer", "never ends", "is silent", "is unwell"
]
OLD = "hafnet@1.0.0"


class ThinDevice:
    """Obeys as its behaviour says; `running` is NAME@VERSION, `asked` what it was asked to activate."""

    def __init__(self, name: str, broker: Mosquitto, folder: Path, behaviour: Behaviour = "commits") -> None:
        self.name, self.behaviour, self.running = name, behaviour, OLD
        self.asked: list[str] = []
        self.commands: list[str] = []
        self.rejected: dict[str, str | float] = {}
        self._broker, self._folder, self._resources = broker, folder, ExitStack()

    def __enter__(self) -> Self:
        topics = Topics(*self.name.split("/"))
        with ExitStack() as opening:
            outbox = opening.enter_context(
                Outbox(
                    self._folder / f"{self.name.replace('/', '-')}.sqlite3", max_bytes=10**6, max_age_s=3600
                )
            )
            handlers = {
                "health_check": self._health,
                "bundle/activate": self._activate,
                "bundle/rollback": self._rollback,
            }
            desk = RequestDesk(topics, handlers, lambda response: publisher.respond(response))  # type: ignore[arg-type]
            publisher = opening.enter_context(
                Publisher(
                    self._broker.mqtt,
                    topics,
                    outbox,
                    Credentials(),
                    info=lambda: self._info(topics),
                    on_enabled=lambda on: None,
                    on_context=lambda word: None,
                    on_request=desk.take,
                )
            )
            opening.enter_context(desk)
            self._resources = opening.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._resources.close()

    def _info(self, topics: Topics) -> Info:
        name, version = self.running.split("@")
        return Info(
            ts=1.0,
            site=topics.site,
            room=topics.room,
            device=topics.device,
            window_s=60.0,
            detector="haar",
            bundle_name=name,
            bundle_version=version,
            bundle_digest="0" * 64,
            engine_backend="onnxruntime",
            engine_precision="fp32",
            engine_instruction_set="AVX2",
            engine_threads=1,
            engine_reason="",
            privacy_min_group=10,
            privacy_share_step=0.05,
            privacy_bands="0",
            deployment_jurisdiction="GB",
            deployment_setting="education",
            deployment_purpose="simulation",
        )

    def _health(self, exchange: Exchange) -> None:
        self.commands.append("health_check")
        if self.behaviour != "is silent":
            word = "camera_lost" if self.behaviour == "is unwell" else "ok"
            exchange.ok({"health": word, "bundle": self.running, "phase": "idle", **self.rejected})

    def _activate(self, exchange: Exchange) -> None:
        wanted = exchange.request.bundle or ""
        self.commands.append("bundle/activate")
        self.asked.append(wanted)
        if self.behaviour == "refuses":
            exchange.error("bundle/activate is switched off on this device")
            return
        identity = "hafnet@1.1.0" if "://" in wanted else wanted
        exchange.accepted({"phase": "checking", "candidate": identity})
        if self.behaviour == "never ends":
            return
        if self.behaviour == "sends back":
            self.rejected = {"rejected": identity, "rejected_reason": "shadow", "rejected_ts": time.time()}
            exchange.error("it was sent back: shadow")
            return
        self.running = identity
        if self.behaviour != "loses the answer":
            exchange.ok({"outcome": "committed", "bundle": identity})

    def _rollback(self, exchange: Exchange) -> None:
        self.commands.append("bundle/rollback")
        if exchange.request.bundle == self.running:
            self.running = OLD
        exchange.ok({"outcome": "it does not run here"})
