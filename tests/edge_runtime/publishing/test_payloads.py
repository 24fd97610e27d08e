"""What may leave the device, and that nothing else can."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from publishing_parts import TOPICS, episode, event, info, schema_faults, stats, whole_event, window
from pydantic import ValidationError

from edge_runtime.publishing.flat import FlatPayload, encode
from edge_runtime.publishing.payloads import (
    PAYLOADS,
    EmotionEvent,
    EpisodeEvent,
    EventNumber,
    Info,
    Stats,
    band_table,
)
from edge_runtime.publishing.request_payloads import Request, Response
from edge_runtime.room.window import Band, RoomWindow

SAMPLES: list[Any] = [
    pytest.param(event(), id="emotion"),
    pytest.param(event(suppressed=True), id="emotion suppressed"),
    pytest.param(event(partial=True, ts=0.0), id="emotion partial"),
    pytest.param(whole_event(), id="emotion whole"),
    pytest.param(episode(), id="episode new"),
    pytest.param(episode(8, phase="end"), id="episode end"),
    pytest.param(info(), id="info"),
    pytest.param(info().model_copy(update={"deployment_contact": "Müller, r 3"}), id="info with contact"),
    pytest.param(stats(), id="stats"),
    pytest.param(
        stats(rss_mb=96.5, temperature_c=61.0, outbox_oldest_s=0.0, latencies_ms={}), id="stats full"
    ),
]
WIRE = {
    "schema": "roomtone-emotion/1",
    "ts": 1760000060.0,
    "site": "north-school",
    "room": "r12",
    "device": "camera-1",
    "event_id": "camera-1-7-1",
    "boot": 7,
    "seq": 1,
    "window_s": 60.0,
    "partial": 0,
    "suppressed": 0,
    "seen_min": 20,
    "seen_max": 24,
    "readable_min": 15,
    "readable_max": 19,
    "min_group": 10,
    "dominant": "neutral",
    "valence": 0.15,
    "arousal": -0.05,
    "confidence": 0.7,
    "share_neutral": 0.55,
    "share_happy": 0.3,
    "share_sad": 0.15,
    "reading_interest": 0.85,
    "reading_anxiety": 0.15,
}
TOLD = ("dominant", "valence", "arousal", "confidence")
# What `whole_event` says more than `event`.
MORE = {
    "context": "task",
    "context_prior": 1,
    "positive_activity": 0.3,
    "negative_activity": 0.15,
    "classroom_activity": 0.45,
    "grade": "good",
    "teacher_activity": 0.6,
    "intensity": 0.4,
    "dominance": -0.1,
    "zone_front_suppressed": 0,
    "zone_front_readable_min": 10,
    "zone_front_readable_max": 14,
    "zone_front_positive_activity": 0.35,
    "zone_front_negative_activity": 0.1,
    "zone_front_valence": 0.2,
    "zone_front_arousal": 0.1,
    "zone_back_suppressed": 1,
    "zone_back_readable_min": 1,
    "zone_back_readable_max": 9,
}
EPISODE = json.loads(encode(episode()))
GOLDENS = sorted((Path(__file__).parent / "goldens").glob("*/*.json"))


def test_a_window_becomes_this_very_json() -> None:
    assert json.loads(encode(event())) == WIRE


def test_a_window_that_tells_all_becomes_this_very_json() -> None:
    assert json.loads(encode(whole_event())) == WIRE | MORE


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_payload_of_an_earlier_roomtone_is_still_read_and_valid(golden: Path) -> None:
    wire = json.loads(golden.read_bytes())
    (payload_class,) = (known for known in PAYLOADS if wire["schema"] == known.SCHEMA_ID)
    assert json.loads(encode(payload_class.decode(golden.read_bytes()))).items() >= wire.items()
    assert schema_faults(wire, payload_class.json_schema()) == []


def test_there_are_goldens_of_every_payload() -> None:
    assert {json.loads(golden.read_bytes())["schema"] for golden in GOLDENS} == {
        payload_class.SCHEMA_ID for payload_class in PAYLOADS
    }


@pytest.mark.parametrize("key", MORE)
def test_a_suppressed_window_admits_none_of_the_later_keys(key: str) -> None:
    wire = json.loads(encode(event(suppressed=True))) | {key: MORE[key]}
    assert schema_faults(wire, EmotionEvent.json_schema()) != []
    with pytest.raises(ValueError, match="nothing but"):
        EmotionEvent.decode(json.dumps(wire).encode())


@pytest.mark.parametrize(
    "missing", [*(key for key in MORE if key.startswith("zone_")), "context", "context_prior", "grade"]
)
def test_keys_that_belong_together_are_not_told_alone(missing: str) -> None:
    wire = {key: value for key, value in (WIRE | MORE).items() if key != missing}
    with pytest.raises(ValueError, match=r"without|zone"):
        EmotionEvent.decode(json.dumps(wire).encode())


@pytest.mark.parametrize("missing", ["context", "context_prior", "grade", "positive_activity"])
def test_the_schema_too_knows_which_keys_belong_together(missing: str) -> None:
    wire = {key: value for key, value in (WIRE | MORE).items() if key != missing}
    faults = schema_faults(wire, EmotionEvent.json_schema())
    assert set(faults) == {f"$: {missing!r} is a required property"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"grade": "excellent"}, "grade is", id="a grade of another activity"),
        pytest.param({"grade": "poor"}, "grade", id="no grade"),
        pytest.param({"context": "assembly"}, "context", id="no activity"),
        pytest.param({"context_prior": 2}, "context_prior", id="a flag of 2"),
        pytest.param({"negative_activity": 0.75}, "more than 1", id="more activity than people"),
        pytest.param({"intensity": -0.05}, "intensity", id="a negative intensity"),
        pytest.param({"teacher_activity": 0.61}, "finer", id="a teacher finer than the step"),
        pytest.param({"zone_front_readable_max": 9}, "fewer people", id="few people in a zone that is told"),
        pytest.param({"zone_back_valence": 0.1}, "zone", id="a suppressed zone that tells"),
        pytest.param({"zone_front_valence": 0.11}, "finer", id="a zone finer than the step"),
        pytest.param({"zone_front_valence": 3.0}, "zone_balances", id="a zone out of range"),
        pytest.param({"zone_front_share_sad": 0.1}, "zone_front_share_sad", id="a zone's label"),
        pytest.param({"zone_Front_suppressed": 1}, "zone_Front", id="no zone's name"),
    ],
)
def test_a_whole_event_that_breaks_its_word_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmotionEvent.decode(json.dumps(WIRE | MORE | changes).encode())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"phase": "begin"}, "phase", id="no phase"),
        pytest.param({"phase": "end"}, "episode_id", id="an end with the id of the beginning"),
        pytest.param({"episode_id": "camera-1-7-4"}, "episode_id", id="a beginning with another's id"),
        pytest.param({"episode_id": "camera-2-7-5"}, "not of this device", id="an episode of another device"),
        pytest.param({"event_id": "camera-1-7-6"}, "event_id", id="an id of another event"),
        pytest.param({"share": 0.45}, "threshold", id="below the threshold"),
        pytest.param({"share": 0.6}, "peak", id="above the peak"),
        pytest.param({"share": 0.51}, "finer", id="finer than the step"),
        pytest.param({"windows": 0}, "windows", id="no window"),
        pytest.param({"duration_s": -1.0}, "duration_s", id="a negative duration"),
        pytest.param({"start_ts": 1_760_000_181.0}, "begins after", id="a beginning in the future"),
        pytest.param({"kind": "a b"}, "kind", id="no name"),
        pytest.param({"track": 3}, "track", id="a track"),
    ],
)
def test_an_episode_that_breaks_its_word_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EpisodeEvent.decode(json.dumps(EPISODE | changes).encode())


def test_a_suppressed_window_tells_its_counts_and_nothing_else() -> None:
    wire = json.loads(encode(event(suppressed=True)))
    assert wire["suppressed"] == 1
    assert set(wire) == {
        key for key in WIRE if key not in TOLD and not key.startswith(("share_", "reading_"))
    }


@pytest.mark.parametrize("payload", SAMPLES)
def test_a_payload_read_back_is_the_payload(payload: FlatPayload) -> None:
    assert type(payload).decode(encode(payload)) == payload


@pytest.mark.parametrize("payload", SAMPLES)
def test_a_payload_is_flat_without_null_or_boolean(payload: FlatPayload) -> None:
    assert {type(value) for value in json.loads(encode(payload)).values()} <= {str, int, float}


@pytest.mark.parametrize("payload", SAMPLES)
def test_a_payload_keeps_its_json_schema(payload: FlatPayload) -> None:
    assert schema_faults(json.loads(encode(payload)), payload.json_schema()) == []


@pytest.mark.parametrize(
    "payload", [whole_event(), episode(), info(), stats()], ids=["emotion", "episode", "info", "stats"]
)
@pytest.mark.parametrize(
    "key",
    [
        *(
            "box",
            "boxes",
            "boxes_xyxy",
            "crop",
            "crops",
            "image",
            "image_bgr",
            "frame",
            "landmark",
            "landmarks_xy",
        ),
        *(
            "embedding",
            "features",
            "track",
            "track_id",
            "tracks",
            "face",
            "faces",
            "eyes_xy",
            "logits",
            "name",
        ),
        *(
            "shares",
            "readings",
            "latencies_ms",
            "share_",
            "reading_",
            "share_a b",
            "_p50_ms",
            "x_p50",
            "x_p42_ms",
        ),
    ],
)
@pytest.mark.parametrize(
    "value", [1, "aGVsbG8=", [1, 2, 3, 4], {"x": 1}], ids=["number", "text", "list", "object"]
)
def test_no_payload_admits_a_key_that_could_carry_a_person(
    payload: FlatPayload, key: str, value: Any
) -> None:
    wire = json.loads(encode(payload)) | {key: value}
    assert schema_faults(wire, payload.json_schema()) != []
    with pytest.raises(ValueError, match=key):
        type(payload).decode(json.dumps(wire).encode())


@pytest.mark.parametrize("payload_class", PAYLOADS)
def test_no_payload_class_has_a_field_for_a_list_or_bytes(payload_class: type[FlatPayload]) -> None:
    rules = payload_class.json_schema()
    values = [*rules["properties"].values(), *rules["patternProperties"].values()]
    types = [rule.get("type", "constant") for rule in values]
    flat = {name for names in types for name in ([names] if isinstance(names, str) else names)}
    assert flat <= {"string", "number", "integer", "constant"}
    assert rules["additionalProperties"] is False


def test_an_embedding_cannot_travel_as_shares() -> None:
    shares = {f"e{number}": 0.0 for number in range(128)} | {"e0": 1.0}
    with pytest.raises(ValidationError, match="128 keys"):
        EmotionEvent(**(event().model_dump() | {"shares": shares, "dominant": "e0"}))


def test_only_a_protected_window_is_published() -> None:
    exact = RoomWindow(0.0, 60.0, False, 20, 15, np.array([0.5, 0.3, 0.2]), 0.1, 0.1, 0.7, 1500)
    with pytest.raises(TypeError, match="RoomWindow"):
        EmotionEvent.from_window(exact, topics=TOPICS, number=EventNumber(1, 1), ts=0.0, min_group=10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"share_happy": 0.31}, "finer", id="a share finer than the step"),
        pytest.param({"share_happy": 0.25}, "sum to", id="shares that do not sum to 1"),
        pytest.param({"valence": 0.123}, "finer", id="a valence finer than the step"),
        pytest.param({"valence": 1.05}, "valence", id="a valence out of range"),
        pytest.param({"suppressed": 1}, "nothing but", id="suppressed and yet told"),
        pytest.param({"min_group": 20}, "min_group", id="fewer than min_group and not suppressed"),
        pytest.param({"dominant": "sad"}, "largest", id="dominant is not the largest"),
        pytest.param({"dominant": "joy"}, "largest", id="dominant is not a label"),
        pytest.param({"dominant": None}, "dominant", id="null"),
        pytest.param({"event_id": "camera-2-7-1"}, "event_id", id="an id of another device"),
        pytest.param({"seen_min": 30}, "band", id="a band that ends below its beginning"),
        pytest.param({"suppressed": True}, "suppressed", id="a boolean flag"),
        pytest.param({"suppressed": 2}, "suppressed", id="a flag of 2"),
        pytest.param({"seq": 1.5}, "seq", id="half a number"),
        pytest.param({"seq": "1"}, "seq", id="a number as text"),
        pytest.param({"ts": -1}, "ts", id="before 1970"),
        pytest.param({"ts": 1e300}, "ts", id="after the last date"),
        pytest.param({"site": "North School"}, "site", id="no identifier"),
        pytest.param({"schema": "roomtone-emotion/2"}, "schema", id="another schema"),
    ],
)
def test_an_event_that_breaks_its_word_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmotionEvent.decode(json.dumps(WIRE | changes).encode())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"x"', id="a string"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[" * 60_000, id="deep nesting"),
        pytest.param(b" " * 70_000 + b"{}", id="very long"),
        pytest.param(json.dumps(WIRE | {"valence": float("nan")}).encode(), id="NaN"),
        pytest.param(encode(event())[:-1] + b',"seq":2}', id="a key twice"),
        pytest.param(encode(event())[:-1], id="cut short"),
        pytest.param(encode(stats()), id="another payload"),
    ],
)
def test_garbage_is_refused_with_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        EmotionEvent.decode(data)


@pytest.mark.parametrize("missing", [key for key in WIRE if not key.startswith(("share_", "reading_"))])
def test_no_key_of_a_window_may_be_absent(missing: str) -> None:
    wire = {key: value for key, value in WIRE.items() if key != missing}
    assert schema_faults(wire, EmotionEvent.json_schema()) != []
    with pytest.raises(ValueError, match=r"."):
        EmotionEvent.decode(json.dumps(wire).encode())


def test_a_reader_that_is_older_than_the_device_passes_over_new_keys() -> None:
    data = json.dumps(WIRE | {"weather": 3}).encode()
    assert EmotionEvent.decode(data, allow_new_keys=True) == event()


def test_shares_off_by_a_rounding_error_travel_as_two_decimals() -> None:
    off = window()
    off.shares["sad"] = 0.05 * 3  # 0.15000000000000002
    made = EmotionEvent.from_window(
        off, topics=TOPICS, number=EventNumber(7, 1), ts=1_760_000_060.0, min_group=10
    )
    assert b'"share_sad":0.15,' in encode(made)


@pytest.mark.parametrize(("made", "published"), [(0, 0), (999, 0), (1000, 1000), (2640, 2000)])
def test_the_total_of_classified_faces_is_told_in_thousands(made: int, published: int) -> None:
    assert json.loads(encode(stats(classified=made)))["classified"] == published


@pytest.mark.parametrize("stage", ["capture", "infer_batch", "a1"])
def test_latencies_of_any_stage_travel_flat(stage: str) -> None:
    made = stats(latencies_ms={f"{stage}_p95_ms": 4.25})
    assert json.loads(encode(made))[f"{stage}_p95_ms"] == 4.25


@pytest.mark.parametrize("key", ["p50_ms", "Infer_p50_ms", "infer_p50", "fps"])
def test_a_latency_of_another_shape_is_refused_when_it_is_made(key: str) -> None:
    with pytest.raises(ValidationError, match="does not match"):
        stats(latencies_ms={key: 1.0})


@pytest.mark.parametrize(
    "changes", [{"health": "fine"}, {"fps": -1.0}, {"fps": float("inf")}, {"broker_connected": True}]
)
def test_stats_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        stats(**changes)


def test_info_names_the_schemas_in_use() -> None:
    wire = json.loads(encode(info()))
    assert {key: value for key, value in wire.items() if key.startswith("schema_")} == {
        "schema_emotion": "roomtone-emotion/1",
        "schema_episode": "roomtone-episode/1",
        "schema_stats": "roomtone-stats/1",
        "schema_request": "roomtone-request/1",
        "schema_response": "roomtone-response/1",
    }


def test_the_band_table_is_one_readable_string() -> None:
    assert band_table([Band(0, 0), Band(1, 4), Band(5, 9)]) == "0,1-4,5-9"


def test_payloads_cannot_be_changed_after_they_were_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        event().valence = 0.9  # type: ignore[misc]


def test_every_class_has_its_own_schema_id() -> None:
    ids = {payload_class.json_schema()["$id"] for payload_class in PAYLOADS}
    assert ids == {
        f"urn:roomtone:{name}/1"
        for name in (
            "roomtone-emotion",
            "roomtone-episode",
            "roomtone-info",
            "roomtone-stats",
            "roomtone-request",
            "roomtone-response",
        )
    }
    assert {EmotionEvent, EpisodeEvent, Info, Stats, Request, Response} == set(PAYLOADS)
