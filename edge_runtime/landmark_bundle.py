"""The landmark network as files: a folder of its own, or a part of a bundle that needs landmarks.

    landmarks.json        the manifest below, schema `roomtone-landmarks/1`
    model.fp32.onnx       one file per variant
    golden.npz            cuts, points and tolerances: what the network must give on any CPU
    calibration.json      what it is worth, and in which precision how fast

Inside of a bundle the folder is called `landmarks`; `bundle.json` names it and holds the digests of its files, so one
signature is of all. A bundle that asks for landmarks and brings no network gets the one that ships with roomtone.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_runtime.bundle import (
    Alignment,
    Architecture,
    Bundle,
    FileDigest,
    Variant,
    check_digest,
    variant_files,
)
from edge_runtime.errors import BundleError
from edge_runtime.golden import GOLDEN, Golden, read_golden
from edge_runtime.markup import MARKS

LANDMARKS_MANIFEST: Final = "landmarks.json"
INSIDE: Final = "landmarks"
SCHEMA_ID: Final = "roomtone-landmarks/1"
# Names of the graph's tensors.
CROP, POINTS, LOG_ERROR = "crop", "points", "log_error"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class LandmarkQuality(_Part):
    """Measured on persons that training never saw: mean error by the distance of the outer eye corners."""

    data: str
    faces: int
    persons: int
    error: float
    error_low: float
    error_high: float


class LandmarkManifest(_Part):
    """`landmarks.json`."""

    schema_id: Literal["roomtone-landmarks/1"] = Field("roomtone-landmarks/1", alias="schema")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    architecture: Architecture
    alignment: Alignment
    variants: tuple[Variant, ...] = Field(min_length=1)
    files: tuple[FileDigest, ...]
    quality: LandmarkQuality | None = None
    provenance: dict[str, str] = {}

    @model_validator(mode="after")
    def _files_are_listed(self) -> LandmarkManifest:
        listed = {file.path for file in self.files}
        needed = {name for variant in self.variants for name in variant_files(variant)} | {GOLDEN}
        if absent := needed - listed:
            raise ValueError(f"files without a digest: {', '.join(sorted(absent))}")
        return self

    def to_json(self) -> str:
        """The text of `landmarks.json`."""
        return json.dumps(self.model_dump(mode="json", by_alias=True, exclude_none=True), indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class LandmarkBundle:
    """An opened landmark network: its digests hold.

    Attributes:
        folder: where it lies.
        manifest: the contract.
        golden: cuts, points (n, 136) and tolerances.
    """

    folder: Path
    manifest: LandmarkManifest
    golden: Golden

    def path(self, file: str) -> Path:
        """The place of one of its files."""
        return self.folder / file


def packaged_landmarks_path() -> Path:
    """The landmark network that ships with the package."""
    return Path(__file__).parent / "bundles" / "landmarks"


def landmarks_of(bundle: Bundle) -> Path:
    """The folder of the bundle's own landmark network, or of the one that ships with the package."""
    inside = bundle.manifest.landmarks
    return packaged_landmarks_path() if inside is None else bundle.path(inside)


def open_landmarks(folder: Path) -> LandmarkBundle:
    """Opens a landmark network and checks everything that can be checked without running it.

    Raises:
        BundleError: the folder or a file is missing, the schema is unknown, or the manifest contradicts itself or its
            golden outputs.
        BundleTamperedError: a file is not the one whose digest the manifest records.
    """
    hint = "copy the folder again, or make it with `roomtone export landmarks`"
    try:
        document = json.loads((folder / LANDMARKS_MANIFEST).read_bytes())
        manifest = LandmarkManifest.model_validate(document)
    except OSError as exc:
        raise BundleError(folder, f"{LANDMARKS_MANIFEST} cannot be read: {exc.strerror}", hint=hint) from exc
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or LANDMARKS_MANIFEST}: {item['msg'].removeprefix('Value error, ')}"
            for item in exc.errors(include_url=False)
        )
        raise BundleError(folder, problems, hint=hint) from exc
    except ValueError as exc:
        raise BundleError(folder, f"{LANDMARKS_MANIFEST} is not JSON: {exc}", hint=hint) from exc
    for file in manifest.files:
        check_digest(folder, file)
    golden = read_golden(
        folder,
        shape=(manifest.alignment.size_px,) * 2,
        columns=2 * MARKS,
        precisions={variant.precision for variant in manifest.variants},
    )
    return LandmarkBundle(folder, manifest, golden)


def embed_landmarks(source: Path, bundle_folder: Path) -> str:
    """Copies a landmark network into a bundle that is being written.

    Args:
        source: its folder.
        bundle_folder: of the bundle to be, whose digests are taken afterwards.

    Returns:
        What the bundle's manifest is to name: `landmarks`.

    Raises:
        BundleError: it cannot be opened.
    """
    found = open_landmarks(source)
    target = bundle_folder / INSIDE
    for path in (LANDMARKS_MANIFEST, *(file.path for file in found.manifest.files)):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
    return INSIDE
