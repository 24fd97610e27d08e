"""`roomtone doctor`: what is wrong with a device, and what to do about it.

check.py           a check, and what it finds: ok, warn, fail, skipped, with the next step
configuration.py   valid, and lawful
machine.py         heat, throttling, disk, memory
clock.py           set, kept by a time server, in step with others
camera.py          opens, rate, resolution, light
engine.py          digests, golden outputs of every variant on this CPU
certificates.py    key fits, dates
broker.py          name, connection, TLS, password, rights, listeners
doctor.py          all of them, in groups                         → Group
examination.py     groups side by side, each check within its time → Report
report.py          for people and for programs

config, found = read([Path("config.toml")])
report = examine(groups_of(found, config))
report.exit_code()
"""
