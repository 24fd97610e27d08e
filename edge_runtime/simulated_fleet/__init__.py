"""A fleet of simulated devices that speak the real contract, for demos and for load. Nobody is in these rooms.

In the order in which data flows:

    lessons.py     a school day, and the tone of a room through it: exact windows     → Lessons
    updates.py     bundles that are names only                                        → SimulatedUpdates
    device.py      windows through the real privacy stage to payloads, real requests  → SimulatedDevice
    connections.py thousands of MQTT connections in one thread                        → FleetConnections
    running.py     `roomtone simulate fleet`: devices and connections on one clock    → run_fleet
    showing.py     the same in a terminal
    backfill.py    the same devices' past, straight into a history store              → backfill

What a window holds is made up; all that happens to it afterwards is the device's own code.
"""
