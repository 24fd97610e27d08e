"""The demo's lesson: its panel speaks to a real broker, its zones fit the classroom that is drawn."""

from __future__ import annotations

import time

import numpy as np
import pytest
from brokers import Listener, Mosquitto, until

from edge_runtime.demo_lesson import DEMO_ZONES, LessonPanel
from edge_runtime.frames.simulation.classroom import SimulatedClassroom
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.payloads import EmotionEvent, EventNumber, encode
from edge_runtime.publishing.topics import Topics
from edge_runtime.room.window import Band, ProtectedWindow
from edge_runtime.room.zoning import TEACHER, RoomZones

TOPICS = Topics("trial", "demo", "camera-1")


def first_window(ts: float) -> EmotionEvent:
    silent = ProtectedWindow(0, 1, False, 25, True, Band(1, 9), Band(1, 9), {}, {}, None, None, None, None)
    return EmotionEvent.from_window(silent, topics=TOPICS, number=EventNumber(1, 1), ts=ts, min_group=10)


@pytest.mark.broker
def test_the_panel_says_what_the_lesson_is_doing_as_it_goes_on(mosquitto: Mosquitto) -> None:
    endpoint = Endpoint.from_section(mosquitto.mqtt, Credentials())
    with Listener(mosquitto) as listener, LessonPanel(endpoint, TOPICS, lesson_s=6.0):
        listener.client.publish(TOPICS.emotion, encode(first_window(time.time())), qos=1)
        # The lesson began a second ago: arrival until 0.9 s, lecture until 2.4 s, then the hard task.
        assert until(lambda: len(listener.payloads(TOPICS.context_set)) >= 3)
        assert listener.payloads(TOPICS.context_set)[:3] == [b"lecture", b"task", b"discussion"]


def test_the_zones_hold_the_rows_and_the_teacher_of_the_drawn_classroom() -> None:
    with SimulatedClassroom(students=24, seed=7, teacher=True) as source:
        source.read()
        truth = source.truth()
    zones = RoomZones(DEMO_ZONES)
    places = zones.places(truth.boxes_xyxy, 1920, 1080)
    assert zones.names == ("back", "front")
    assert places[-1] == TEACHER
    assert np.bincount(places[:-1]).tolist() == [0, 8, 16]
