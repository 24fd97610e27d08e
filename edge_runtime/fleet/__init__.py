"""A new bundle for all devices of a broker, group by group, from a workstation. Needs nothing but MQTT.

groups.py   who is first: `canary=5%,rest`, by a hash of the device → parse_groups, assign
ledger.py   what happened to whom, in a file that a rollout goes on from → Ledger
link.py     the devices on the broker: who is there, questions and answers → FleetLink
rollout.py  asks, follows, counts, stops, rolls back → Rollout
status.py   how all devices are, now → ask_all
table.py    how it looks
"""
