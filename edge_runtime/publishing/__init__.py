"""From a protected window to the broker, and nothing lost in silence.

In the order in which data flows:

    topics.py       where each message goes, with its QoS and retain flag       → Topics, Leaf, DELIVERY
    flat.py         flat JSON: one level, stable types, no unknown keys         → FlatPayload, encode
    payloads.py     all that may leave the device                               → EmotionEvent, EpisodeEvent,
                    (emotion.py, episode.py; placed.py what they share)           Info, Stats
    contract.py     which payload travels on which leaf; asyncapi.py and contract_files.py publish it
    discovery.py    the device described to Home Assistant                      → Discovery
    outbox.py       the disk queue until the broker's PUBACK                    → Outbox
    outbox_file.py  its SQLite file: rows and ledger in one transaction; outbox_snapshot.py reads it from outside
    retained.py     the latest value of each retained topic
    drain.py        which events go out next, and what each answer does; pacing.py how fast
    credentials.py  user and password                                           → load_credentials
    endpoint.py     where the broker is; its refusals and silences in sentences
    connection.py   one MQTT connection, from TCP to goodbye; fallback.py which version of MQTT
    inbox.py        what the device is told, and what it obeys                  → Inbox
    requests.py     the desk where requests are answered (request_payloads.py)  → RequestDesk
    client.py       the thread that joins them                                  → Publisher
    subscription.py what others publish, over lost connections                  → Subscription
    forgetting.py   what a broker still keeps of a device that is gone          → BrokerMemory
    board.py        what a watcher sees of all rooms; watch.py `roomtone watch` → RoomBoard, watch

    from edge_runtime.publishing.client import Publisher
    from edge_runtime.publishing.credentials import load_credentials
    from edge_runtime.publishing.outbox import Outbox
    from edge_runtime.publishing.payloads import EmotionEvent
    from edge_runtime.publishing.topics import Topics

    topics = Topics("north-school", "r12", "camera-1")
    with (
        Outbox(path, max_bytes=64_000_000, max_age_s=72 * 3600) as outbox,
        Publisher(
            config.mqtt,
            topics,
            outbox,
            load_credentials(),
            info=info,
            on_enabled=shutter.set,
            on_context=context.set,
        ) as publisher,
    ):
        number = outbox.next_event_number()
        publisher.submit(EmotionEvent.from_window(window, topics=topics, number=number, ts=ended, min_group=10))
        publisher.flush(timeout_s=5.0)
"""
