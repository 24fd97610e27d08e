"""What was published, kept: windows, episodes, health, and who was there; in SQLite or PostgreSQL.

In the order in which data flows:

    intake.py       a message → a record, or the reason why it is none             → Intake
    records.py      what the collector hands to the store                           → Record
    collector.py    MQTT → store; acknowledges after the commit                     → Collector
    database.py     opens a database and brings it up to date (`migrations/`)        → open_database
    tables.py       its tables
    store.py        the one object that the others hold                              → open_store, HistoryStore
    writing.py      records → rows; what came twice, and what only claims to
    upkeep.py       hourly roll-ups, and retention
    reading.py      rows → points.py: WindowPoint, Episode, StatsPoint, RoomSummary
    collecting.py   `roomtone collect`

    from edge_runtime.history.store import open_store

    with open_store("sqlite:///history.sqlite3") as store:
        for room in store.rooms():
            points = store.windows(room.site, room.room, start_ts, end_ts, max_points=400)
"""
