"""The demo's lesson: zones that fit the simulated classroom, and a teacher's panel that says what the class is doing.

The simulated lesson is a pure function of time, so the panel knows from the first window when each phase begins;
it says so on `context/set`, as a real panel, a timetable or Home Assistant would.
"""

from __future__ import annotations

import threading
import time
from typing import Final, Self

from edge_runtime.frames.simulation.lesson import phase_at
from edge_runtime.publishing.connection import Connection, Message
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.payloads import EmotionEvent
from edge_runtime.publishing.topics import Topics
from edge_runtime.room_sections import ZonesSection
from edge_runtime.timetable import Activity

_LOOK_EVERY_S: Final = 0.25

# Rows, and the desk at the wall, of `simulated://students=24,teacher=true`.
DEMO_ZONES: Final = ZonesSection(
    students={
        "back": ((0.0, 0.15), (0.87, 0.15), (0.87, 0.36), (0.0, 0.36)),
        "front": ((0.0, 0.36), (0.87, 0.36), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)),
    },
    teacher=((0.88, 0.2), (1.0, 0.2), (1.0, 0.48), (0.88, 0.48)),
)


class LessonPanel:
    """Publishes the activity of each phase of the lesson; a context manager with a thread of its own.

    Args:
        endpoint: the demo's broker.
        topics: of the demo's device.
        lesson_s: length of the simulated lesson.
    """

    def __init__(self, endpoint: Endpoint, topics: Topics, lesson_s: float) -> None:
        self._topics, self._lesson_s = topics, lesson_s
        self._began_unix_s: float | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-lesson", daemon=True)
        self._connection = Connection(
            endpoint, client_id="demo-lesson", protocol="3.1.1", wake=lambda: None, on_message=self._take
        )

    def _take(self, message: Message) -> None:
        """The first window ends `window_s` after the lesson began."""
        if self._began_unix_s is None:
            event = EmotionEvent.decode(message.payload)
            self._began_unix_s = event.ts - event.window_s

    def _run(self) -> None:
        said: Activity | None = None
        while not self._closing.wait(_LOOK_EVERY_S):
            if self._began_unix_s is None:
                continue
            activity = phase_at(time.time() - self._began_unix_s, self._lesson_s).activity
            if activity != said:
                said = activity
                self._connection.publish(self._topics.context_set, activity.encode(), qos=1, retain=False)

    def __enter__(self) -> Self:
        self._connection.open()
        self._connection.subscribe(self._topics.emotion)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._thread.join()
        self._connection.close()
