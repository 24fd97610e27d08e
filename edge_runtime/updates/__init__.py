"""New bundles on a device: fetched, checked, tried on live frames, kept or sent back. What ran goes on running.

In the order in which a bundle comes:

    download.py     https, resumed where it broke                    → download
    archives.py     out of tar and zip, nothing unsafe               → unpack
    installing.py   a source becomes the candidate                   → install
    slot_table.py   current, previous, candidate, as a value         → SlotTable
    slots.py        the same on the disk: one small file             → Slots
    checks.py       labels, quality, golden outputs, speed           → examine
    activation.py   the checks, and what they do to the slots        → activate
    shadow.py       beside the current bundle, on live faces         → Shadow
    trial.py        in its place, for a while; then for good or back → Trials
    starting.py     which bundle a start runs                        → open_slots, start
    remote.py       all of it, asked for over MQTT                   → RemoteUpdates
    durable.py      the disk: on it, room for it, its refusals

    slots = open_slots(config.updates, state_directory())
    install(slots, "https://school.example/bundles/hafnet-1.2.0.tar", config.updates)
    activate(slots, config)      # the running agent does the rest
    slots.table().current
"""
