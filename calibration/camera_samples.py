"""A calibration set from the installed camera: the faces of this room, in this light, through this lens.

    frames → faces → zones that may be read → crops → quality gate → predicted class
           → a seeded reservoir per class → no near-duplicates → k-centre

Crops are in RAM, and on the disk only sealed (`calibration.sealing`); no picture of them is ever drawn, and nothing is
published. So the smallest group has no part here; the lawful purpose, the zones and the privacy shutter have, as in
`roomtone run`. Nobody has labelled these faces: they are balanced by what the network takes them for, which is good
enough for ranges, and for nothing else. The guard still asks for labelled images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from calibration.evaluation import OnProgress, silent
from calibration.samples import CANDIDATES_PER_PLACE, PER_CLASS, SHARP, CalibrationSet, SampleFacts, choose
from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.errors import SourceError
from edge_runtime.faces.crops import CropMaker, Crops
from edge_runtime.faces.finder import FaceFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import EndOfSource, Frame, FrameSource, Image
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.pupil_search import pupil_source, pupil_way
from edge_runtime.lawful import check_lawful
from edge_runtime.pacing import Beat
from edge_runtime.room.zoning import RoomZones, tells_teacher

_LOOK_EVERY_S: Final = 2.0  # faces change slowly; what looks the same is dropped later anyway
_READ_TIMEOUT_S: Final = 1.0
_NOBODY_S: Final = 30.0


class _Reservoir:
    """So many crops of one class at most, each that came with the same chance (Vitter 1985, algorithm R)."""

    def __init__(self, room: int, rng: np.random.Generator) -> None:
        self.crops: list[Image] = []
        self._room, self._rng, self._seen = room, rng, 0

    def add(self, crop: Image) -> None:
        self._seen += 1
        if len(self.crops) < self._room:
            self.crops.append(crop.copy())
        elif (place := int(self._rng.integers(self._seen))) < self._room:
            self.crops[place] = crop.copy()


class CameraSamples:
    """Takes frames, keeps crops. Context manager: it owns the scan's thread.

    Args:
        config: of the device.
        bundle: whose crops are wanted.
        engine: runs it, for the classes.
        per_class: how many of each predicted class are wanted.
        seed: of the draw.
        waits_for_scans: the frames come from a film, which can wait.

    Raises:
        UnlawfulUseError: what the deployment declares is prohibited.
    """

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        engine: Engine,
        *,
        per_class: int = PER_CLASS,
        seed: int = 0,
        waits_for_scans: bool = False,
    ) -> None:
        check_lawful(config.deployment)
        manifest = bundle.manifest
        self._config, self._manifest, self._per_class, self._seed = config, manifest, per_class, seed
        self._finder = FaceFinder(config.faces, waits_for_scans=waits_for_scans)
        self._zones = RoomZones(config.zones, reads_teacher=tells_teacher(config.deployment))
        readable = config.inference.readable_width_px or manifest.readable_width_px
        pupils = pupil_source(pupil_way(config.faces, manifest))
        self._crop_maker = CropMaker(manifest.alignment.template(), readable, pupils=pupils)
        self._classifier = Classifier(
            engine,
            temperature=manifest.temperature,
            classes=len(manifest.labels),
            max_batch=config.inference.max_batch,
        )
        rng = np.random.default_rng(seed)
        room = CANDIDATES_PER_PLACE * per_class
        self._pools = [_Reservoir(room, rng) for _ in manifest.labels]
        self._beat = Beat(_LOOK_EVERY_S)
        self._candidates = 0
        self._left_out = {"pupils not found": 0, "blurred": 0}

    def add(self, frame: Frame) -> None:
        """Looks at a frame; not older than the one before."""
        view = FrameView(frame)
        faces = self._finder.find(view)
        if not self._beat.strikes(frame.timestamp_s):
            return
        height, width = view.shape
        places = self._zones.places(faces.boxes_xyxy, width, height)
        self._keep(self._crop_maker.make(view, faces.only(self._zones.is_read(places))))

    def chosen(self) -> CalibrationSet:
        """The set, of all that was seen.

        Raises:
            ConfigurationError: the network took all usable faces for one class, or there are none.
        """
        crops = [crop for pool in self._pools for crop in pool.crops]
        size = self._manifest.alignment.size_px
        device = self._config.device
        facts = SampleFacts(
            f"camera of {device.site}/{device.room}",
            self._manifest.alignment.name,
            self._seed,
            self._per_class,
            self._candidates,
            self._left_out,
            is_private=True,
        )
        return choose(
            np.stack(crops) if crops else np.empty((0, size, size), np.uint8),
            np.repeat(np.arange(len(self._pools)), [len(pool.crops) for pool in self._pools]),
            self._manifest.label_names,
            facts,
        )

    def close(self) -> None:
        """Ends the scan's thread."""
        self._finder.close()

    def __enter__(self) -> CameraSamples:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _keep(self, crops: Crops) -> None:
        if len(crops) == 0:
            return
        sharp = crops.sharpness >= SHARP
        self._candidates += len(crops)
        self._left_out["pupils not found"] += int((~crops.pupils_found).sum())
        self._left_out["blurred"] += int((crops.pupils_found & ~sharp).sum())
        rows = np.flatnonzero(crops.pupils_found & sharp)
        if len(rows) == 0:
            return
        images = np.ascontiguousarray(crops.images[rows])
        for image, label in zip(images, self._classifier.probabilities(images).argmax(axis=1), strict=True):
            self._pools[int(label)].add(image)


def watch(
    source: FrameSource,
    samples: CameraSamples,
    seconds: float,
    *,
    closed_shutter: Path | None = None,
    on_progress: OnProgress = silent,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Feeds frames until the time is over or the film ends.

    Args:
        source: open.
        samples: takes the frames.
        seconds: on the capture clock.
        closed_shutter: a file that exists while the device's privacy shutter is closed.
        on_progress: called with (stage, seconds done, seconds in all).
        clock: for how long no frame came.

    Raises:
        SourceError: no frame came for a long time, or the shutter is closed, or was closed meanwhile.
    """
    began_s: float | None = None
    heard_s = clock()
    while True:
        if closed_shutter is not None and closed_shutter.exists():
            raise SourceError(
                "the camera",
                "is behind the closed privacy shutter",
                hint="nothing was kept; open it (…/enabled/set ON) and begin again",
            )
        try:
            frame = source.read(_READ_TIMEOUT_S)
        except EndOfSource:
            return
        if frame is None:
            if clock() - heard_s > _NOBODY_S:
                raise SourceError("the camera", f"no frame for {_NOBODY_S:.0f} s", hint="roomtone doctor")
            continue
        heard_s = clock()
        began_s = frame.timestamp_s if began_s is None else began_s
        if (done_s := frame.timestamp_s - began_s) >= seconds:
            return
        samples.add(frame)
        on_progress("looking at the room", round(done_s), round(seconds))
