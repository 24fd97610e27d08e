"""A subscription to what others publish, on a real broker with its limits as they come."""

from __future__ import annotations

import pytest
from brokers import Listener, Mosquitto, until

from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.subscription import Subscription

TOPICS = 1500  # Mosquitto queues 1000 messages of QoS 1 for a client


@pytest.mark.broker
def test_who_looks_at_the_present_gets_more_retained_values_than_a_broker_queues(
    mosquitto: Mosquitto,
) -> None:
    with Listener(mosquitto, pattern="nothing") as speaker:
        last = [speaker.client.publish(f"value/{n}", b"x", qos=1, retain=True) for n in range(TOPICS)][-1]
        last.wait_for_publish(10)
    endpoint = Endpoint.from_section(mosquitto.mqtt, Credentials())
    seen: set[str] = set()
    with Subscription(endpoint, "5", ["value/#"], name="onlooker", qos=0) as subscription:
        subscription.connect()

        def all_came() -> bool:
            seen.update(message.topic for message in subscription.next_messages(0.1))
            return len(seen) == TOPICS

        assert until(all_came)


@pytest.mark.broker
def test_a_subscription_is_made_again_with_its_connection(mosquitto: Mosquitto) -> None:
    endpoint = Endpoint.from_section(mosquitto.mqtt, Credentials())
    seen: list[bytes] = []
    with Subscription(endpoint, "auto", ["value"], name="onlooker", reconnect_max_s=1.0) as subscription:
        subscription.connect()
        mosquitto.stop()
        assert until(lambda: subscription.next_messages(0.05) or not subscription.is_connected)
        assert subscription.problem is not None
        mosquitto.start()
        assert until(lambda: subscription.next_messages(0.05) or subscription.is_connected)
        with Listener(mosquitto, pattern="nothing") as speaker:
            speaker.client.publish("value", b"again", qos=1, retain=True)

            def came() -> bool:
                seen.extend(message.payload for message in subscription.next_messages(0.05))
                return bool(seen)

            assert until(came)
    assert seen == [b"again"]
    assert subscription.problem is None
