"""The two ways to find pupils, Haar eyes and the landmark network, and which one is taken.

A network reads best what it learned from, so the bundle says by which way its crops were cut, and everything takes
that one: the agent, calibration, evaluation. `faces.pupils` and `--pupils` take the other one all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_runtime.bundle import Manifest
from edge_runtime.config import FacesSection
from edge_runtime.faces.alignment import PupilWay
from edge_runtime.faces.landmark_pupils import LandmarkPupils, PupilSource
from edge_runtime.faces.landmarks import LandmarkFinder
from edge_runtime.faces.locating import locate_all
from edge_runtime.faces.precut import LocatedFaces, PrecutLocator
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.frames.frame import Image
from edge_runtime.inference.landmark_engine import open_landmark_finder
from edge_runtime.landmark_bundle import open_landmarks, packaged_landmarks_path


def pupil_way(faces: FacesSection, manifest: Manifest) -> PupilWay:
    """The configured way, or the bundle's own."""
    return manifest.pupils if faces.pupils == "bundle" else faces.pupils


def shipped_landmarks() -> LandmarkFinder:
    """The landmark network that ships with roomtone; without irises, which are not aligned by.

    Raises:
        BundleError, EngineError: see `open_landmark_finder`.
    """
    return open_landmark_finder(packaged_landmarks_path(), finds_irises=False)


def pupil_source(way: PupilWay) -> PupilSource:
    """What finds the pupils of the faces in a frame. An instance belongs to one thread.

    Raises:
        BundleError, EngineError: the landmark network cannot be opened.
    """
    return PupilFinder() if way == "haar" else LandmarkPupils(shipped_landmarks())


def locate_precut(
    images: Image,
    way: PupilWay,
    *,
    cache: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> LocatedFaces:
    """Finds face and pupils in each pre-cut face; see `faces.locating.locate_all`.

    Raises:
        BundleError, EngineError: the landmark network cannot be opened.
        RoomtoneError: a worker process died.
    """
    if way == "haar":
        return locate_all(images, cache=cache, on_progress=on_progress)
    kind = f"landmarks-{open_landmarks(packaged_landmarks_path()).manifest.version}"
    return locate_all(images, cache=cache, on_progress=on_progress, locator=_landmark_locator, kind=kind)


def _landmark_locator() -> PrecutLocator:
    return PrecutLocator(pupil_source("landmarks"))
