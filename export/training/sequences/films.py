"""What a network of sequences says of a film over time, beside a network of single images on the same frames.

Faces are found, followed, cut and marked as on a device; a frame of the face is encoded once, and the head reads the
features of the last M. Only the numbers leave: no frame, no crop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from edge_runtime.bundle import open_bundle
from edge_runtime.config import FacesSection, InferenceSection
from edge_runtime.errors import RoomtoneError
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.crops import CropMaker
from edge_runtime.faces.finder import FaceFinder, Faces
from edge_runtime.faces.view import FrameView
from edge_runtime.features import make_inputs
from edge_runtime.features.landmark_distances import landmark_distances
from edge_runtime.frames.film import Film
from edge_runtime.frames.frame import EndOfSource, Image
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.landmark_engine import open_landmark_finder
from edge_runtime.inference.opening import open_engine
from edge_runtime.landmark_bundle import packaged_landmarks_path
from edge_runtime.pacing import Beat
from export.training.sequences.checkpoints import TrainedSequence
from export.training.sequences.grown import places_of

_READABLE_PX: Final = 24
_LASTS: Final = 3  # readings after which another label is a change


@dataclass(frozen=True, slots=True)
class Course:
    """What a network says over time.

    Attributes:
        name: of the network.
        times_s: (T,) of the newest frame of each reading.
        shares: (T, K) probabilities.
        valence_arousal: (T, 2).
    """

    name: str
    times_s: npt.NDArray[np.float64]
    shares: FloatArray
    valence_arousal: FloatArray

    def spells(self, label_names: tuple[str, ...]) -> list[tuple[float, str]]:
        """From when on it says what: (seconds, label), without labels that last for fewer than three readings."""
        labels, found = self.shares.argmax(axis=1), list[tuple[float, str]]()
        for at, label in enumerate(labels):
            lasts = (labels[at : at + _LASTS] == label).all() and at + _LASTS <= len(labels)
            if lasts and (not found or found[-1][1] != label_names[label]):
                found.append((float(self.times_s[at]), label_names[label]))
        return found


@dataclass(frozen=True, slots=True)
class FilmFaces:
    """The largest face of a film, once each stride, as parallel arrays.

    Attributes:
        times_s: (T,).
        crops: (T, size, size) uint8.
        tracks: (T,) whose face it is.
        landmark_distances: (T, 38) float32; 0 where a landmark is unknown.
    """

    times_s: npt.NDArray[np.float64]
    crops: Image
    tracks: npt.NDArray[np.int64]
    landmark_distances: FloatArray

    def __len__(self) -> int:
        return len(self.times_s)


def film_faces(film: Path, trained: TrainedSequence, stride_s: float | None = None) -> FilmFaces:
    """The largest face, and its landmarks by the network that ships.

    Args:
        film: any that FFmpeg reads.
        trained: whose template and stride they are cut by.
        stride_s: another stride, for a film that is shorter than M frames of the usual one.

    Raises:
        SourceUnavailableError: the film cannot be read.
        RoomtoneError: no face is found in it.
        BundleError, EngineError: the landmark network cannot be opened.
    """
    beat = Beat(trained.recipe.stride_s if stride_s is None else stride_s)
    times, crops, tracks, points = [], [], [], []
    maker = CropMaker(trained.template, _READABLE_PX)
    landmarks = open_landmark_finder(packaged_landmarks_path())
    with Film(film, grey=True) as source, FaceFinder(FacesSection(), waits_for_scans=True) as finder:
        while True:
            try:
                frame = source.read()
            except EndOfSource:
                break
            if frame is None:
                continue
            view = FrameView(frame)
            faces = finder.find(view)
            if len(faces) and beat.strikes(frame.timestamp_s):
                cut = maker.make(view, _largest(faces))
                if len(cut):
                    times.append(frame.timestamp_s)
                    crops.append(cut.images)
                    tracks.append(cut.track_ids)
                    points.append(landmarks.find(view.grey, cut.boxes_xyxy).points_xy)
    if not crops:
        raise RoomtoneError(f"{film}: no readable face was found", hint="a face needs 24 px or more")
    distances = landmark_distances(np.concatenate(points))
    return FilmFaces(np.array(times), np.concatenate(crops), np.concatenate(tracks), distances)


def sequence_course(trained: TrainedSequence, faces: FilmFaces, *, fills: bool = False) -> Course:
    """What it says each time that its buffer is full.

    Args:
        trained: the network.
        faces: another track begins with an empty buffer.
        fills: until M frames are there, the oldest stands for those that are missing. A device does not do that; the
            networks were trained on still faces too, so that what they say then is not without sense.

    Raises:
        RoomtoneError: no face is there for M frames.
    """
    inputs = trained.config.inputs
    given = {"landmark_distances": faces.landmark_distances}
    arrays = make_inputs([(kind, kind) for kind in inputs], faces.crops, trained.template, given)
    features = trained.features({kind: torch.from_numpy(array) for kind, array in arrays.items()})
    buffer: deque[FloatArray] = deque(maxlen=trained.config.frames)
    rows, sequences = [], []
    for at, feature in enumerate(features):
        if at and faces.tracks[at] != faces.tracks[at - 1]:
            buffer.clear()
        buffer.append(feature)
        missing = trained.config.frames - len(buffer)
        if fills or not missing:
            rows.append(at)
            sequences.append(np.stack([*([buffer[0]] * missing), *buffer]))
    if not rows:
        hint = (
            f"{trained.config.frames} readings of one face are needed; a shorter --stride gives more of them"
        )
        raise RoomtoneError("the film shows no face for long enough", hint=hint)
    shares, dimensions = trained.read(np.stack(sequences), places_of(trained.label_names))
    return Course(trained.recipe.architecture, faces.times_s[rows], shares, dimensions)


def single_course(folder: Path, label_names: tuple[str, ...], faces: FilmFaces) -> Course:
    """What a bundle of single images says of each of these crops; its template must be theirs."""
    bundle = open_bundle(folder)
    manifest = bundle.manifest
    engine = open_engine(bundle, InferenceSection()).engine
    known = [label.name for label in manifest.labels]
    classifier = Classifier(engine, temperature=manifest.temperature, classes=len(known), max_batch=8)
    shares = classifier.probabilities(faces.crops)[:, [known.index(name) for name in label_names]]
    return Course(
        f"{manifest.name} {manifest.version}", faces.times_s, shares, shares @ places_of(label_names)
    )


def plot_courses(courses: list[Course], label_names: tuple[str, ...], title: str, path: Path) -> None:
    """Draws probabilities of the classes for each network, then valence and arousal of all, into a PNG."""
    figure = Figure(figsize=(8, 2.1 * (len(courses) + 1)), layout="constrained")
    *tops, bottom = figure.subplots(len(courses) + 1, 1, sharex=True)
    for axes, course in zip(tops, courses, strict=True):
        axes.stackplot(course.times_s, course.shares.T, labels=label_names, alpha=0.85)
        axes.set(ylim=(0, 1), ylabel="probability", title=course.name)
        axes.title.set_fontsize(9)
    tops[0].legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    for index, course in enumerate(courses):
        for column, (name, colour) in enumerate((("valence", "tab:blue"), ("arousal", "tab:red"))):
            style = ("-", "--", ":")[index % 3]
            line = course.valence_arousal[:, column]
            bottom.plot(course.times_s, line, style, color=colour, label=f"{name}, {course.name}")
    bottom.set(ylim=(-1, 1), xlabel="seconds of the film", ylabel="valence, arousal")
    bottom.axhline(0, color="grey", linewidth=0.5)
    bottom.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def _largest(faces: Faces) -> Faces:
    return faces.only(np.arange(len(faces)) == int(np.argmax(faces.widths_px)))
