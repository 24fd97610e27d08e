"""The alerts of a broker: a subscription of its own, the rules, and what they set off.

    with AlertService(config.mqtt, load_credentials(), load_rules(path)) as alerts:
        ...
        alerts.firing

It listens for itself, not through a collector: a collector of a group sees only some of the events, and an alert
should come when the database is away, too. Run it once for each broker: two services tell everything twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

from edge_runtime.alerts.alert import END_LIFETIME_S, Alert, AlertEvent
from edge_runtime.alerts.deliveries import Deliveries
from edge_runtime.alerts.rules import AlertRules, find_secrets
from edge_runtime.alerts.watching import DeviceWatch
from edge_runtime.config import MqttSection
from edge_runtime.errors import BrokerError
from edge_runtime.publishing.connection import Message
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.payloads import EmotionEvent, Stats, encode
from edge_runtime.publishing.subscription import Subscription
from edge_runtime.publishing.topics import ALERT_LEVEL, ROOT, Leaf, Topics, watch_pattern

log = logging.getLogger(__name__)

LEAVES: Final = (Leaf.AVAILABILITY, Leaf.STATS, Leaf.EMOTION)
OWN_PATTERN: Final = f"{ROOT}/{ALERT_LEVEL}/+/+/+/+"
TICK_S: Final = 1.0
SETTLE_S: Final = 2.0  # after a connection retained values come first; nothing is told before they are read
MAX_DEVICES: Final = 10_000


class AlertService:
    """See the module; a context manager that starts and ends it.

    Args:
        mqtt: the broker.
        credentials: user and password.
        rules: checked.
        secrets: of the actions; looked for in the environment when None.
        wall: unix time, s.

    Attributes:
        foreign: messages that were none of ours.

    Raises:
        ConfigurationError: there is no broker, or a secret is missing.
    """

    def __init__(
        self,
        mqtt: MqttSection,
        credentials: Credentials,
        rules: AlertRules,
        *,
        secrets: Mapping[str, str] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._rules, self._wall, self._quiet = rules, wall, rules.quiet_hours.hours()
        self.deliveries = Deliveries(rules, find_secrets(rules) if secrets is None else secrets)
        self._subscription = Subscription(
            Endpoint.from_section(mqtt, credentials),
            mqtt.protocol,
            [OWN_PATTERN, *(watch_pattern(leaf) for leaf in LEAVES)],
            name="roomtone-alerts",
        )
        self.foreign = 0
        self._devices: dict[tuple[str, str, str], DeviceWatch] = {}
        self._firing: dict[tuple[str, str, str, str], Alert] = {}
        self._held: dict[tuple[str, str, str, str], list[Alert]] = {}
        self._unsent: dict[str, tuple[bytes, int | None]] = {}
        self._connections = 0
        self._settled_s = 0.0
        self._tick_s = 0.0
        self._problem: BrokerError | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="roomtone-alerts", daemon=True)

    def __enter__(self) -> Self:
        self.deliveries.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._subscription.wake()
        self._thread.join()
        self.deliveries.__exit__(*exc_info)

    @property
    def firing(self) -> list[Alert]:
        """What lasts at present and was told since this service began."""
        return list(self._firing.copy().values())

    @property
    def problem(self) -> BrokerError | None:
        """What is wrong with the broker; None while all is well."""
        return self._problem

    def _run(self) -> None:
        with self._subscription:
            while not self._closing.is_set():
                try:
                    self._turn()
                except Exception:  # alerts that died in silence would be worse than one that is missing
                    log.exception("the alerts stumbled and go on")
                    self._closing.wait(TICK_S)

    def _turn(self) -> None:
        for message in self._subscription.next_messages(TICK_S):
            try:
                self._tell(self._take(message))
            except ValueError:
                self.foreign += 1
        self._look_at_broker()
        now_s = time.monotonic()
        if now_s - self._tick_s >= TICK_S and self._connections and now_s >= self._settled_s:
            self._tick_s = now_s
            now = self._wall()
            for watch in self._devices.values():
                self._tell(watch.tick(now))
            self._release(now)

    def _look_at_broker(self) -> None:
        if self._subscription.connections != self._connections:
            self._connections = self._subscription.connections
            self._settled_s = time.monotonic() + SETTLE_S
        problem = self._subscription.problem
        if problem is not None and str(problem) != str(self._problem):
            log.warning("%s (%s)", problem, problem.hint)
        self._problem = problem
        for topic, (payload, expiry_s) in list(self._unsent.items()):
            if self._subscription.publish(topic, payload, retain=True, expiry_s=expiry_s):
                del self._unsent[topic]

    def _take(self, message: Message) -> Sequence[Alert]:
        """What a message sets off.

        Raises:
            ValueError: it is none of ours.
        """
        now = self._wall()
        if message.topic.startswith(f"{ROOT}/{ALERT_LEVEL}/"):
            if message.is_retained and message.payload:
                self._restore(message)
            return ()
        address = Topics.parse(message.topic)
        if address is None:
            raise ValueError("not a topic of roomtone")
        place = (address.topics.site, address.topics.room, address.topics.device)
        if not message.payload or (message.is_retained and address.leaf is not Leaf.AVAILABILITY):
            return ()
        if address.leaf is Leaf.AVAILABILITY:
            if message.payload not in (b"online", b"offline"):
                raise ValueError("neither online nor offline")
            word = message.payload.decode()
            return self._watch(place, now).availability(word, now, is_retained=message.is_retained)
        content = Stats if address.leaf is Leaf.STATS else EmotionEvent
        payload = content.decode(message.payload, allow_new_keys=True)
        if (payload.site, payload.room, payload.device) != place:
            raise ValueError("speaks for another device than its topic")
        watch = self._watch(place, now)
        told = watch.stats(payload, now) if isinstance(payload, Stats) else watch.window(payload, now)
        return [*told, *watch.tick(now)]

    def _watch(self, place: tuple[str, str, str], now: float) -> DeviceWatch:
        watch = self._devices.get(place)
        if watch is None:
            if len(self._devices) >= MAX_DEVICES:
                raise ValueError(f"more than {MAX_DEVICES} devices")
            watch = self._devices[place] = DeviceWatch.under(self._rules.rule, *place, now)
        return watch

    def _restore(self, message: Message) -> None:
        """Takes up what was told before a restart; a rule that is gone leaves nothing behind."""
        told = AlertEvent.decode(message.payload, allow_new_keys=True)
        key = (told.site, told.room, told.device, told.rule)
        if "/".join((ROOT, ALERT_LEVEL, *key)) != message.topic:
            raise ValueError("speaks for another alert than its topic")
        if key in self._firing:
            return  # our own, back with a new connection
        watch = self._watch(key[:3], self._wall())
        if not watch.restore(told):
            self._publish(message.topic, b"", None)
        elif told.firing:
            rule = watch.conditions[told.rule].rule
            self._firing[key] = Alert(
                rule, *key[:3], "new", told.since_ts, told.ts, told.text, told.value, told.threshold
            )

    def _tell(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            is_quiet = self._quiet.covers(alert.ts) and not alert.rule.during_quiet_hours
            is_end = alert.phase == "end"
            log.info("%s %s: %s", "over:" if is_end else "alert:", alert.rule.name, alert.text)
            payload = encode(AlertEvent.of(alert, is_quiet=is_quiet))
            self._publish(alert.topic, payload, END_LIFETIME_S if is_end else None)
            if is_end:
                self._firing.pop(alert.key, None)
            else:
                self._firing[alert.key] = alert
            if not is_quiet:
                self.deliveries.put(alert)
            elif is_end and self._held.get(alert.key):
                self._held.pop(alert.key)  # it came and went while all were asleep
            else:
                self._held.setdefault(alert.key, []).append(alert)

    def _release(self, now: float) -> None:
        """When quiet hours are over, tells what still is so."""
        if self._held and not self._quiet.covers(now):
            held, self._held = self._held, {}
            for alerts in held.values():
                for alert in alerts:
                    self.deliveries.put(alert)

    def _publish(self, topic: str, payload: bytes, expiry_s: int | None) -> None:
        if not self._subscription.publish(topic, payload, retain=True, expiry_s=expiry_s):
            self._unsent[topic] = payload, expiry_s
