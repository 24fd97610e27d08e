"""The bundle: the contract between a trained network and the device, as a directory that can be checked.

    bundle.json        the manifest below, schema `roomtone-bundle/1`
    model.fp32.onnx    one file per variant
    golden.npz         inputs, logits and tolerances: what the network must give on any CPU
    MODEL_CARD.md      data, limits, error per class, intended use
    bundle.sig         optional: Ed25519 signature of bundle.json

A device opens a bundle only if every digest holds, the contract's version is known, and every input is one
that it can make; before it runs, the golden outputs must reproduce on this very CPU
(`edge_runtime.inference.opening`). Nothing is guessed from a file name.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_runtime.errors import BundleError, BundleTamperedError
from edge_runtime.faces.alignment import AlignmentTemplate, PupilWay
from edge_runtime.features import GIVEN, KINDS
from edge_runtime.golden import GOLDEN, Golden, read_golden
from edge_runtime.shipped import bundle_folder, shipped_bundle, shipped_names

SCHEMA_ID = "roomtone-bundle/1"
MANIFEST = "bundle.json"
SIGNATURE = "bundle.sig"  # see `edge_runtime.bundle_signing`; neither of the two is listed in the manifest
Precision = Literal["fp32", "fp16", "bf16", "int8"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in value:
        raise ValueError("is not a file inside the bundle")
    return value


InsidePath = Annotated[str, AfterValidator(_inside)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class Architecture(_Part):
    """Which network, and how large: multiply–adds for one face."""

    name: str
    parameters: int = Field(gt=0)
    multiply_adds: int = Field(gt=0)


class Label(_Part):
    """One class, and how it is read.

    Valence and arousal are in [-1, 1] (circumplex of affect, Russell 1980), likewise dominance, the third
    dimension of P2 §2, where the table gives it; `reading` is the reading for learning (P1 §4).
    """

    name: Name
    polarity: Literal[-1, 0, 1]
    valence: float = Field(ge=-1, le=1)
    arousal: float = Field(ge=-1, le=1)
    dominance: float | None = Field(None, ge=-1, le=1)
    reading: Name


class Alignment(_Part):
    """Version and template of the alignment; see `edge_runtime.faces.alignment.AlignmentTemplate`."""

    version: Literal["pupils/1"] = "pupils/1"
    name: str
    size_px: int = Field(gt=0)
    pupil_x_px: float
    pupil_y_px: float

    @model_validator(mode="after")
    def _template_is_possible(self) -> Alignment:
        self.template()
        return self

    def template(self) -> AlignmentTemplate:
        """The template that crops are cut by."""
        return AlignmentTemplate(self.name, self.size_px, self.pupil_x_px, self.pupil_y_px)


# Outputs beside the logits, and what their columns are: affect measured by the network itself (P2 §2, P3), in [−1, 1].
DIMENSIONS: Final = MappingProxyType({"valence_arousal": ("valence", "arousal"), "dominance": ("dominance",)})


class TensorSpec(_Part):
    """An input or output: kind in the contract, name in the graph, shape without the batch axis."""

    kind: str
    tensor: str
    dtype: Literal["uint8", "float32"]
    shape: tuple[int, ...]


# Names in both graphs of a bundle with a sequence: what the frame encoder gives, and what the sequence head takes.
FEATURES_TENSOR: Final = "features"
SEQUENCE_TENSOR: Final = "sequence"


class SequencePart(_Part):
    """A network of sequences: a frame encoder, run once for a new frame of a face, and a head over the last M of them.

    The manifest's inputs are then the encoder's and its outputs the head's. The encoder gives `features`, (N,
    feature_length) float32; the head takes `sequence`, (N, frames, feature_length) float32, the oldest frame first.
    """

    frames: int = Field(ge=2, le=64, description="M, how many the head looks at")
    stride_s: float = Field(gt=0, le=10, description="between two frames, s of the camera's clock")
    feature_length: int = Field(gt=0, description="F, numbers that are kept of a frame")


class Measured(_Part):
    """What one variant was worth where the bundle was calibrated: on held-out images, and in ms of one call."""

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    ms_batch_1: float = Field(gt=0)
    ms_batch_8: float = Field(gt=0)
    cpu: str
    instruction_set: str


class Variant(_Part):
    """One way to run the network, best first in the manifest.

    Of a network of sequences `file` and `precision` are the frame encoder's; its head has a file and a precision of
    its own.
    """

    backend: Literal["onnxruntime", "openvino"]
    precision: Precision
    file: InsidePath
    head: InsidePath | None = None
    head_precision: Precision | None = None
    measured: Measured | None = None

    @model_validator(mode="after")
    def _head_is_whole(self) -> Variant:
        if (self.head is None) != (self.head_precision is None):
            raise ValueError("head and head_precision come together")
        return self


def variant_files(variant: Variant) -> tuple[str, ...]:
    """All files that a variant needs: OpenVINO reads the weights beside an .xml without being told to."""
    graphs = [file for file in (variant.file, variant.head) if file is not None]
    weights = [
        str(path.with_suffix(".bin")) for file in graphs if (path := PurePosixPath(file)).suffix == ".xml"
    ]
    return (*graphs, *weights)


class FileDigest(_Part):
    """One file of the bundle; the manifest itself is not listed."""

    path: InsidePath
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Quality(_Part):
    """Measured on images that training never saw, through the device's own path."""

    data: str
    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    expected_calibration_error: float


class Manifest(_Part):
    """`bundle.json`."""

    schema_id: Literal["roomtone-bundle/1"] = Field("roomtone-bundle/1", alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    architecture: Architecture
    labels: tuple[Label, ...] = Field(min_length=2)
    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)
    alignment: Alignment
    pupils: PupilWay = Field("haar", description="what found the pupils of the crops that it learned from")
    readable_width_px: int = Field(ge=16, description="narrowest face box whose expression is read, px")
    temperature: float = Field(gt=0, description="logits are divided by it before softmax")
    sequence: SequencePart | None = None
    variants: tuple[Variant, ...] = Field(min_length=1)
    files: tuple[FileDigest, ...]
    quality: Quality | None = None
    landmarks: InsidePath | None = Field(
        None, description="folder of the bundle's own landmark network, see edge_runtime.landmark_bundle"
    )
    provenance: dict[str, str] = {}

    @model_validator(mode="after")
    def _parts_agree(self) -> Manifest:
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError("two labels have the same name")
        logits = [spec for spec in self.outputs if spec.kind == "logits"]
        if len(logits) != 1:
            raise ValueError("outputs must hold exactly one of kind logits")
        if logits[0].shape != (len(self.labels),):
            raise ValueError(f"{len(self.labels)} labels, but the logits have the shape {logits[0].shape}")
        for spec in self.outputs:
            if spec.kind in DIMENSIONS and spec.shape != (len(DIMENSIONS[spec.kind]),):
                raise ValueError(f"the output {spec.kind} has the shape {spec.shape}")
        for variant in self.variants:
            if (variant.head is None) != (self.sequence is None):
                raise ValueError(
                    "sequence and head come together: the head of every variant runs over the sequence"
                )
        given = [spec.kind for spec in self.inputs if spec.kind in GIVEN]
        if given and self.sequence is None:
            raise ValueError(f"{', '.join(given)} is an input of networks of sequences alone")
        listed = {file.path for file in self.files}
        needed = {name for variant in self.variants for name in variant_files(variant)}
        absent = needed - listed
        if absent:
            raise ValueError(f"variants need files without a digest: {', '.join(sorted(absent))}")
        if GOLDEN not in listed:
            raise ValueError(f"{GOLDEN} has no digest")
        if self.landmarks is not None and f"{self.landmarks}/landmarks.json" not in listed:
            raise ValueError(f"{self.landmarks}/landmarks.json has no digest")
        return self

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(label.name for label in self.labels)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What the network measures beside the classes, in the order of its outputs; often nothing."""
        return tuple(name for spec in self.outputs for name in DIMENSIONS.get(spec.kind, ()))

    @property
    def wants_landmarks(self) -> bool:
        """Whether its network is fed what no crop shows, and the device needs a landmark network for it."""
        return any(spec.kind in GIVEN for spec in self.inputs)

    def to_json(self) -> str:
        """The text of `bundle.json`."""
        return json.dumps(self.model_dump(mode="json", by_alias=True, exclude_none=True), indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its digests hold and this device can make its inputs.

    Attributes:
        folder: where it lies.
        manifest: the contract.
        digest: sha256 of `bundle.json`, hex; names the whole bundle, since that file holds all other digests.
        golden: what must reproduce.
    """

    folder: Path
    manifest: Manifest
    digest: str
    golden: Golden

    def path(self, file: str) -> Path:
        """The place of one of its files."""
        return self.folder / file


def default_bundle_path() -> Path:
    """The bundle that ships with the package."""
    return shipped_bundle("default")


def open_bundle(folder: Path) -> Bundle:
    """Opens a bundle and checks everything that can be checked without running it.

    Args:
        folder: where it lies, or the name of one that is shipped.

    Raises:
        BundleError: the directory or a file is missing, the schema is unknown, the manifest contradicts
            itself or its golden outputs, or an input is of a kind that this device cannot make.
        BundleTamperedError: a file is not the one whose digest the manifest records.
    """
    folder = bundle_folder(folder)
    raw = _read_manifest(folder)
    manifest = _parsed(folder, raw)
    for file in manifest.files:
        check_digest(folder, file)
    unknown = [spec.kind for spec in manifest.inputs if spec.kind not in KINDS]
    if unknown:
        raise BundleError(
            folder,
            f"needs an input that this roomtone cannot make: {', '.join(unknown)}",
            hint="update roomtone",
        )
    return Bundle(folder, manifest, hashlib.sha256(raw).hexdigest(), _read_golden(folder, manifest))


def parse_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle that may not be whole yet; `open_bundle` holds the files against it.

    Raises:
        BundleError: it is missing, of an unknown schema, or contradicts itself.
    """
    return _parsed(folder, _read_manifest(folder))


def _read_manifest(folder: Path) -> bytes:
    if not folder.is_dir():
        names = " or ".join(shipped_names())
        raise BundleError(
            folder,
            "no such directory",
            hint=f"give the directory that holds bundle.json, or the name of one that ships: {names}",
        )
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError as exc:
        raise BundleError(
            folder,
            f"{MANIFEST} cannot be read: {exc.strerror}",
            hint="an interrupted export leaves none; export again",
        ) from exc


def _parsed(folder: Path, raw: bytes) -> Manifest:
    try:
        document: Any = json.loads(raw)
    except ValueError as exc:
        raise BundleError(folder, f"{MANIFEST} is not JSON: {exc}", hint="copy the bundle again") from exc
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA_ID:
        raise BundleError(
            folder,
            f"has the schema {schema!r}; this roomtone knows {SCHEMA_ID!r}",
            hint="update roomtone, or export again",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or MANIFEST}: {item['msg'].removeprefix('Value error, ')}"
            for item in exc.errors(include_url=False)
        )
        raise BundleError(folder, problems, hint="export the bundle again") from exc


def check_digest(folder: Path, file: FileDigest) -> None:
    """Holds a file against what a manifest records of it.

    Raises:
        BundleError: it cannot be read.
        BundleTamperedError: it is another file.
    """
    path = folder / file.path
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as exc:
        raise BundleError(
            folder, f"{file.path} cannot be read: {exc.strerror}", hint="copy the bundle again"
        ) from exc
    if size != file.size or digest != file.sha256:
        what = f"{size} bytes instead of {file.size}" if size != file.size else f"digest {digest[:12]}…"
        raise BundleTamperedError(
            folder,
            f"{file.path} is not the recorded file ({what})",
            hint="copy the bundle again from a trusted place",
        )


def _read_golden(folder: Path, manifest: Manifest) -> Golden:
    size_px, part = manifest.alignment.size_px, manifest.sequence
    return read_golden(
        folder,
        shape=(size_px, size_px) if part is None else (part.frames, size_px, size_px),
        columns=len(manifest.labels),
        precisions={variant.precision for variant in manifest.variants},
        given=[spec.kind for spec in manifest.inputs if spec.kind in GIVEN],
    )


def describe_file(folder: Path, path: str) -> FileDigest:
    """Size and digest of a file of a bundle that is being written."""
    data = (folder / path).read_bytes()
    return FileDigest(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())
