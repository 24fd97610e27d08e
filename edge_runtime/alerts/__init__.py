"""Rules that say when somebody should look: a room that is offline, a share that stays high, a slow device.

In the order in which data flows:

    rules.py        a TOML file, checked whole                                       → AlertRules, load_rules
    quiet.py        hours in which nobody is woken                                    → QuietHours
    watching.py     messages of one device → conditions with hysteresis               → DeviceWatch
    alert.py        what an alert says; its payload on MQTT                           → Alert, AlertEvent
    deliveries.py   webhook and e-mail, in a thread of their own, tried again         → Deliveries
    service.py      its own subscription, the rules, the deliveries, on one clock     → AlertService
    checking.py     `roomtone alerts check`

    with AlertService(mqtt, load_credentials(), load_rules(path)) as alerts:
        ...
"""
