"""The configuration of one device: TOML, checked whole before any camera opens, all faults reported at once.

Unknown keys are faults. Secrets are not part of it: user and password come from the environment or from
`$CREDENTIALS_DIRECTORY` (see `edge_runtime.publishing.credentials`), so a configuration can be shown and
shared.

    trial_config().room.window_s  # 10.0

`config_file.py` reads and writes it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from edge_runtime.config_section import Section as _Section
from edge_runtime.room_sections import ContextSection, EpisodesSection, ZonesSection
from edge_runtime.shipped import bundle_folder

SCHEMA_VERSION = 2  # see config_migration.py
SCHEMA_ID = f"roomtone-config/{SCHEMA_VERSION}"
MIN_GROUP_FLOOR = 5  # NCES 2011-603 §"minimum group size": no US state publishes groups smaller than 5
HOT_C = 85.0  # °C; Raspberry Pi 5 and most mini-PCs slow down from here on

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
Variant = Annotated[str, Field(pattern="^(onnxruntime|openvino) (fp32|fp16|bf16|int8)$")]
Purpose = Literal["simulation", "research", "education", "wellbeing", "medical", "safety"]


class DeviceSection(_Section):
    """Where the device stands; the three ids are levels of every MQTT topic."""

    site: Identifier = Field("trial", description="the school or building")
    room: Identifier = Field("room", description="the room that is measured")
    device: Identifier = Field("camera-1", description="this device; unique within the broker")


def _jurisdiction(value: str) -> str:
    code = value.strip().upper().replace("_", "-")
    if code == "UNSPECIFIED":
        return code.lower()
    if not re.fullmatch(r"EEA|[A-Z]{2}(-[A-Z0-9]{1,3})?", code):
        raise ValueError(
            "is not a country code of ISO 3166-1 alpha-2 such as GB or, with a subdivision, US-CA; "
            "nor EU, EEA or unspecified"
        )
    return code


class DeploymentSection(_Section):
    """What the operator declares; published in `info`, and checked against the law before anything starts."""

    jurisdiction: Annotated[str, AfterValidator(_jurisdiction)] = Field(
        "unspecified", description="country (ISO 3166-1 alpha-2), `EU` or `EEA`; read as EU when unspecified"
    )
    setting: Literal["education", "workplace", "healthcare", "laboratory", "other"] = Field(
        "education", description="kind of place"
    )
    purpose: Purpose = Field("simulation", description="what the readings are for")
    contact: str = Field("", max_length=200, description="who answers questions about this device")
    teacher_agreement: str = Field(
        "",
        max_length=200,
        description="name and date of the written agreement by which the teacher's activity may be told; "
        "without one it is told in simulation only",
    )


def _camera_source(value: str) -> str:
    if not value.strip():
        raise ValueError(
            "is empty; give a camera index, an rtsp:// or http:// url, a file, a folder or simulated://"
        )
    scheme = url_scheme(value)
    if scheme and scheme not in SOURCE_SCHEMES:
        raise ValueError(f"scheme {scheme}:// is not one of {', '.join(SOURCE_SCHEMES)}")
    return value


def url_scheme(source: str) -> str:
    """The scheme of a source, lower case; empty for a path or an index."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", source)
    return match[1].lower() if match else ""


SOURCE_SCHEMES = ("rtsp", "rtsps", "http", "https", "file", "simulated")


class CameraSection(_Section):
    """Where frames come from."""

    source: Annotated[str, AfterValidator(_camera_source)] = Field(
        "simulated://students=24,seed=7",
        repr=False,  # the url of a network camera may hold its password
        description="camera index (`0`), rtsp/http url, film, folder of images, or `simulated://students=24,seed=7`",
    )
    width_px: int | None = Field(None, ge=160, le=7680, description="requested width of a USB camera, px")
    height_px: int | None = Field(None, ge=120, le=4320, description="requested height of a USB camera, px")
    fps: float | None = Field(None, gt=0, le=240, description="requested rate of a USB camera, frames/s")
    realtime: bool = Field(
        False, description="play a film at its own pace, dropping frames as a camera would"
    )
    open_timeout_s: float = Field(10.0, ge=0.2, le=120, description="time allowed for opening")
    read_timeout_s: float = Field(5.0, ge=0.2, le=120, description="no frame for so long counts as a stall")
    restart_after_s: float = Field(
        20.0, ge=0.5, le=600, description="no frame for so long restarts the camera"
    )
    restart_backoff_s: float = Field(
        5.0, ge=0.1, le=600, description="first pause between restarts, jittered"
    )
    restart_backoff_max_s: float = Field(60.0, ge=0.1, le=3600, description="longest pause between restarts")

    @model_validator(mode="after")
    def _backoff_is_ordered(self) -> CameraSection:
        if self.restart_backoff_max_s < self.restart_backoff_s:
            raise ValueError("restart_backoff_max_s is below restart_backoff_s")
        return self


class FacesSection(_Section):
    """Finding and following faces. How often they are classified is `inference.classify_rate_hz`."""

    detector: Literal["haar", "yunet"] = Field(
        "haar", description="Haar cascade, or YuNet (needs `yunet_model`)"
    )
    cascade: Literal["default", "alt", "alt2"] = Field(
        "default", description="which of OpenCV's frontal cascades"
    )
    yunet_model: Path | None = Field(None, description='YuNet\'s ONNX file, for `detector = "yunet"`')
    scan_rate_hz: float = Field(2.0, gt=0, le=60, description="full-frame scans per second of video")
    scan_width_px: int = Field(
        960,
        ge=160,
        le=7680,
        description="a scan works on the frame shrunk to this width; wider finds smaller faces",
    )
    scan_step: float = Field(1.2, ge=1.02, le=2, description="ratio of one scanned face size to the next")
    scan_threads: int = Field(2, ge=1, le=16, description="OpenCV threads of one scan")
    min_neighbors: int = Field(
        0, ge=0, le=20, description="overlapping hits that a face needs beside its first (Haar)"
    )
    min_face_px: int = Field(20, ge=10, le=1000, description="smallest face box looked for, px of the frame")
    max_face_fraction: float = Field(
        0.8, gt=0.05, le=1, description="largest face box, of the frame's height"
    )
    follow: Literal["flow", "search"] = Field(
        "flow", description="between scans: optical flow, or cascade nearby"
    )
    follow_rate_hz: float = Field(12.5, gt=0, le=120, description="follow steps per second of video, at most")
    lose_after_s: float = Field(
        1.5, gt=0, le=60, description="an unconfirmed face is forgotten after this time"
    )
    pupils: Literal["bundle", "haar", "landmarks"] = Field(
        "bundle", description="crops are aligned by Haar eyes, by landmarks, or as the bundle learned"
    )

    @property
    def needs_colour(self) -> bool:
        """Whether the detector looks at colours; the Haar cascades, following and crops do not."""
        return self.detector == "yunet"

    @model_validator(mode="after")
    def _yunet_has_a_model(self) -> FacesSection:
        if self.detector == "yunet" and self.yunet_model is None:
            raise ValueError('detector = "yunet" needs yunet_model, the path of its ONNX file')
        return self


class InferenceSection(_Section):
    """The network and the engine that runs it."""

    bundle: Annotated[Path, AfterValidator(bundle_folder)] | None = Field(
        None, description="bundle directory, or `small`, which is shipped; what the slots hold when absent"
    )
    backend: Literal["auto", "onnxruntime", "openvino"] = Field("auto", description="inference engine")
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = Field(
        "auto", description="numeric precision"
    )
    prefer: tuple[Variant, ...] = Field(
        (),
        description="order in which variants are tried, such as `openvino int8`; then the bundle's own order",
    )
    threads: int = Field(1, ge=1, le=64, description="threads of the engine")
    classify_rate_hz: float = Field(
        2.0, gt=0, le=60, description="how often each face is classified, per second"
    )
    max_batch: int = Field(32, ge=1, le=256, description="faces in one call of the engine")
    readable_width_px: int | None = Field(
        None, ge=16, le=1000, description="narrowest face that is classified; the bundle's own when absent"
    )


class RoomSection(_Section):
    """From faces to the room: windows, smoothing and the privacy that nothing can turn off."""

    window_s: float = Field(60.0, ge=1, le=3600, description="length of a window, s of event time")
    min_group: int = Field(10, ge=1, le=1000, description="fewer people than this: the window is suppressed")
    smoothing_s: float = Field(
        2.0, ge=0, le=60, description="time constant of a face's probabilities; 0 = none"
    )
    min_track_s: float = Field(1.0, ge=0, le=60, description="a face seen for less than this does not count")


def _broker_url(value: str) -> str:
    if (
        "@" in value
    ):  # first of all, since the checks below would take a piece of a password for something else
        raise ValueError(
            "holds user or password; put them in ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD, "
            "or in the files mqtt_username and mqtt_password of $CREDENTIALS_DIRECTORY"
        )
    try:
        parts = urlsplit(value)
    except ValueError as exc:
        raise ValueError("is no url") from exc
    if parts.scheme not in ("mqtt", "mqtts"):
        raise ValueError("is not mqtt://host[:port] or mqtts://host[:port]")
    try:
        port = parts.port
    except ValueError as exc:
        raise ValueError("has a port that is no number from 1 to 65535") from exc
    if not parts.hostname or port == 0:
        raise ValueError("names no host, or port 0")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("has something behind the port")
    return value.rstrip("/")


class MqttSection(_Section):
    """The broker. `mqtts://` is TLS."""

    url: Annotated[str, AfterValidator(_broker_url)] | None = Field(
        None, description="mqtt://host:1883 or mqtts://host:8883; nothing is published when absent"
    )
    protocol: Literal["auto", "5", "3.1.1"] = Field("auto", description="auto: MQTT 5, then 3.1.1 if refused")
    ca_file: Path | None = Field(
        None, description="PEM of the authority that signed the broker's certificate"
    )
    client_cert: Path | None = Field(None, description="PEM of this device's certificate")
    client_key: Path | None = Field(None, description="PEM of this device's private key")
    keepalive_s: int = Field(30, ge=5, le=3600, description="MQTT keep-alive")
    connect_timeout_s: float = Field(
        5.0, ge=0.5, le=60, description="time allowed for one connection attempt"
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> MqttSection:
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("client_cert and client_key go together")
        tls_files = self.ca_file or self.client_cert
        if tls_files is not None and self.url is not None and not self.url.startswith("mqtts://"):
            raise ValueError("certificates are given, but the url is mqtt:// and not mqtts://")
        return self


class DiscoverySection(_Section):
    """Home Assistant finds the device by itself."""

    enabled: bool = Field(False, description="tell Home Assistant of this device and its entities")
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")] = Field(
        "homeassistant", description="the discovery prefix that is set in Home Assistant"
    )


class OutboxSection(_Section):
    """The disk queue between a window's closing and the broker's acknowledgement."""

    path: Path | None = Field(
        None, description="SQLite file; absent: in $STATE_DIRECTORY, else in the user's state directory"
    )
    max_mb: float = Field(
        64.0, ge=0.1, le=10_000, description="larger than this: the oldest events are dropped"
    )
    max_age_h: float = Field(72.0, gt=0, le=8760, description="older than this: the event is dropped")
    drain_rate_hz: float = Field(50.0, gt=0, le=5000, description="events per second sent while catching up")


class StatsSection(_Section):
    """The device's own health."""

    interval_s: float = Field(60.0, ge=1, le=3600, description="one `stats` message in so many seconds")
    hot_c: float = Field(
        85.0,
        ge=40,
        le=120,
        description="a processor as hot as this, °C, is `degraded`: most slow down from here on",
    )


def _repository(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("is no https url")
    return value


class UpdatesSection(_Section):
    """New bundles: whose they must be, and what they must show before they stay."""

    directory: Path | None = Field(
        None, description="slots of bundles; absent: `bundles` in the state directory"
    )
    require_signature: bool = Field(
        False, description="run only what `public_key` has signed, and what ships; needs roomtone[provision]"
    )
    public_key: Path | None = Field(
        None, description="PEM of the Ed25519 key, or keys, that bundles are signed by"
    )
    allow_remote: bool = Field(
        False, description="obey reload, bundle/activate and bundle/rollback over MQTT"
    )
    repository: Annotated[str, AfterValidator(_repository)] | None = Field(
        None, description="https folder of NAME-VERSION.tar, for bundles that are asked for by name"
    )
    ca_file: Path | None = Field(
        None, description="PEM of the authority of the download server's certificate; absent: the system's"
    )
    max_bundle_mb: float = Field(512.0, gt=0, le=100_000, description="largest bundle that is taken")
    min_accuracy: float = Field(0.0, ge=0, le=1, description="a bundle that measured less is refused")
    max_accuracy_drop: float = Field(
        0.02, ge=0, le=1, description="a bundle that lost more than this against the current one is refused"
    )
    max_face_ms: float = Field(
        25.0, gt=0, le=10_000, description="a network that takes longer for a face is refused ..."
    )
    max_slowdown: float = Field(
        1.25,
        ge=1,
        le=1000,
        description="... unless it takes at most this many times what the current one takes",
    )
    shadow_s: float = Field(
        30.0, ge=0, le=86_400, description="a candidate runs so long beside the current bundle on live faces"
    )
    shadow_faces: int = Field(
        100, ge=1, le=100_000, description="readings of faces that it must be compared on at least"
    )
    min_agreement: float = Field(
        0.6, ge=0, le=1, description="share of those on which both must name the same label"
    )
    patience_h: float = Field(
        72.0, gt=0, le=8760, description="a candidate that saw too few faces for so long is sent back"
    )
    health_window_s: float = Field(
        600.0, ge=0, le=604_800, description="then it runs so long on trial before it is committed"
    )
    min_fps_ratio: float = Field(
        0.7,
        ge=0,
        le=1,
        description="frames per second on trial, of those before it, below which it is sent back",
    )

    @model_validator(mode="after")
    def _signatures_have_a_key(self) -> UpdatesSection:
        if self.require_signature and self.public_key is None:
            raise ValueError("require_signature needs public_key, the PEM file of the key that signs")
        return self


class Config(_Section):
    """Everything that `roomtone run` needs to know, apart from secrets."""

    device: DeviceSection = DeviceSection()
    deployment: DeploymentSection = DeploymentSection()
    camera: CameraSection = CameraSection()
    faces: FacesSection = FacesSection()
    inference: InferenceSection = InferenceSection()
    room: RoomSection = RoomSection()
    context: ContextSection = ContextSection()
    zones: ZonesSection = ZonesSection()
    episodes: EpisodesSection = EpisodesSection()
    mqtt: MqttSection = MqttSection()
    discovery: DiscoverySection = DiscoverySection()
    outbox: OutboxSection = OutboxSection()
    stats: StatsSection = StatsSection()
    updates: UpdatesSection = UpdatesSection()

    @model_validator(mode="after")
    def _group_is_large_enough(self) -> Config:
        if self.room.min_group < MIN_GROUP_FLOOR and self.deployment.purpose != "simulation":
            raise ValueError(
                f"room.min_group is {self.room.min_group}; below {MIN_GROUP_FLOOR} only with "
                'deployment.purpose = "simulation"'
            )
        return self


def trial_config() -> Config:
    """The built-in configuration of a trial: simulation only, short windows, a minimum group of one."""
    return Config(room=RoomSection(window_s=10.0, min_group=1), stats=StatsSection(interval_s=10.0))


def config_schema() -> dict[str, Any]:
    """JSON Schema of a configuration file."""
    schema = Config.model_json_schema()
    schema["properties"] = {
        "schema": {"const": SCHEMA_ID, "description": "version of the file; without it, version 1"},
        "profile": {"type": "string", "description": "the board's profile: a name, a TOML file, or `auto`"},
        **schema["properties"],
    }
    return {"$id": SCHEMA_ID, **schema}
