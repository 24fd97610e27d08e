"""`perf.json`: the costs of one board, per call, as `roomtone profile device` measured them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_runtime.errors import PerfError
from edge_runtime.firmware import firmware_folder
from edge_runtime.json_documents import read_document

SCHEMA_ID: Final = "roomtone-perf/1"

Beat = Literal["frame", "follow", "scan", "classify", "look"]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=1, le=20_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class MeasuredBoard(_Part):
    """Which machine it was."""

    model: str
    cpu: str
    architecture: str
    cores: int = Field(ge=1)
    memory_mb: int = Field(ge=0)
    instruction_set: str


class MeasuredBundle(_Part):
    """Whose network was timed; `stride_s` of a network of sequences, which is asked so often whatever is configured."""

    name: str
    version: str
    digest: str
    stride_s: float | None = Field(None, gt=0, allow_inf_nan=False)


class DecodeCost(_Part):
    """One frame of a film, processor time of all threads."""

    codec: str
    height_px: Pixels
    cpu_ms: Milliseconds


class ScanCost(_Part):
    """One scan of a frame that was shrunk to this width: `base_ms` + faces × `face_ms` of processor time.

    `wall_ms` is by the clock, with 24 faces.
    """

    width_px: Pixels
    threads: int = Field(ge=1)
    base_ms: Milliseconds
    face_ms: Milliseconds
    wall_ms: Milliseconds


class StageCost(_Part):
    """Processor time of one stage, once in its beat: `base_ms` + faces × `face_ms`.

    Beats: `frame`, `follow`, `scan` and `classify` are the loop's rates; `look` is a second of video, since pupils are
    looked for at a pace of their own. `classify` and `look` count readable faces, the others all that are seen.
    """

    stage: str
    beat: Beat
    height_px: Pixels
    base_ms: Milliseconds
    face_ms: Milliseconds


class InferenceCost(_Part):
    """One call of the network."""

    backend: str
    precision: str
    threads: int = Field(ge=1)
    batch: int = Field(ge=1)
    cpu_ms: Milliseconds
    wall_ms: Milliseconds


class PublishCost(_Part):
    """One window.

    Attributes:
        outbox_ms: until it is on disk.
        acknowledged_ms: until the broker's PUBACK; None: no broker was named.
    """

    outbox_ms: Milliseconds
    acknowledged_ms: Milliseconds | None = None


class Check(_Part):
    """A configuration that ran, and what the costs above foretell of it; none of them was fitted to it.

    Attributes:
        source: what it ran on.
        height_px, fps: of the frames.
        cameras: as processes beside each other.
        faces, readable: mean of a frame, mean of a classification; of each camera.
        scan_rate_hz, follow_rate_hz, classify_rate_hz, scan_width_px: of the configuration.
        with_decoding: whether decoding is in it.
        measured_cores: processor time over time.
        predicted_cores: the same, foretold.
    """

    source: str
    height_px: Pixels
    fps: float = Field(gt=0)
    cameras: int = Field(1, ge=1)
    faces: float = Field(ge=0)
    readable: float = Field(ge=0)
    scan_rate_hz: float = Field(gt=0)
    follow_rate_hz: float = Field(gt=0)
    classify_rate_hz: float = Field(gt=0)
    scan_width_px: Pixels
    with_decoding: bool
    measured_cores: float = Field(gt=0)
    predicted_cores: float = Field(gt=0)


class Perf(_Part):
    """The file.

    Attributes:
        schema_id: `roomtone-perf/1`.
        name: of the kind of board; the file's name.
        measured_on: the day, ISO 8601.
        roomtone: version.
        board, bundle, versions: what was measured.
        engine: `backend precision` of the variant that runs here by itself.
        decode, scan, stages, inference, publish: the costs.
        process_mb: resident memory of a process with one 1080p camera, decoder included.
        checks: how well the costs foretell what they were not fitted to.
    """

    schema_id: Literal["roomtone-perf/1"] = Field(SCHEMA_ID, alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    measured_on: str
    roomtone: str
    board: MeasuredBoard
    bundle: MeasuredBundle
    versions: dict[str, str]
    engine: str
    decode: Annotated[list[DecodeCost], Field(min_length=1)]
    scan: Annotated[list[ScanCost], Field(min_length=1)]
    stages: Annotated[list[StageCost], Field(min_length=1)]
    inference: Annotated[list[InferenceCost], Field(min_length=1)]
    publish: PublishCost
    process_mb: float = Field(ge=0)
    checks: list[Check]

    def to_json(self) -> str:
        """The file's text."""
        return self.model_dump_json(by_alias=True, indent=1, exclude_none=True) + "\n"


def perf_folder() -> Path:
    """Where the boards that were measured lie."""
    return firmware_folder("perf")


def measured_boards() -> list[Perf]:
    """All that ship, by name."""
    return [read_perf(path) for path in sorted(perf_folder().glob("*.json"))]


def read_perf(path: Path) -> Perf:
    """Reads and checks a file.

    Raises:
        PerfError: it cannot be read, is of another schema, or has faults.
    """
    document = read_document(path, SCHEMA_ID, PerfError)
    try:
        return Perf.model_validate(document)
    except ValidationError as exc:
        first: Any = exc.errors()[0]
        place = ".".join(map(str, first["loc"]))
        more = f", and {exc.error_count() - 1} more" if exc.error_count() > 1 else ""
        raise PerfError(path, f"is damaged: {place}: {first['msg'].lower()}{more}") from exc
