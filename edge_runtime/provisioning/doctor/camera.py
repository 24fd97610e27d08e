"""The camera: it opens, and delivers what was asked of it, and one can see something."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from edge_runtime.config import CameraSection, Config
from edge_runtime.errors import SourceError
from edge_runtime.frames.address import device_path, masked
from edge_runtime.frames.frame import EndOfSource, Frame, FrameSource
from edge_runtime.frames.live import LiveCamera
from edge_runtime.frames.opening import open_source
from edge_runtime.outlet import outbox_path
from edge_runtime.provisioning.doctor.check import Check, Facts, Finding, fail, ok, skipped, warn
from edge_runtime.publishing.outbox_snapshot import is_held
from edge_runtime.survey.exposure import Exposure, measure_exposure

_MEASURE_S: Final = 3.0
_WARM_UP_FRAMES: Final = 5  # the camera's own exposure settles
_MOST_FRAMES: Final = 200  # of a film, which comes faster than life
_START_S: Final = 8.0  # for the camera's process to start, or to find out why the camera does not open
_RATE_TOLERANCE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Footage:
    """What came from the source in a few seconds.

    Attributes:
        width, height: of the last frame, px.
        fps: frames per second that the source delivered, those that nobody took included; None for fewer than
            two frames.
        exposure: of the last frame.
        is_frozen: all frames were the same, pixel by pixel.
    """

    width: int
    height: int
    fps: float | None
    exposure: Exposure
    is_frozen: bool


def camera_checks(config: Config, environ: Mapping[str, str] | None = None) -> list[Check]:
    """Checks of the source.

    Args:
        config: names it.
        environ: where a network camera's login is looked for; the process's own environment when None.
    """
    camera = config.camera
    limit_s = camera.open_timeout_s + camera.read_timeout_s + _START_S + _MEASURE_S + 5.0
    return [Check("camera", "camera", lambda: look(config, environ), limit_s=limit_s)]


def look(
    config: Config, environ: Mapping[str, str] | None = None, measure_s: float = _MEASURE_S
) -> Iterator[Finding]:
    """Opens the camera, looks for a few seconds, and closes it.

    Args:
        config: names the source.
        environ: see `camera_checks`.
        measure_s: for how long.
    """
    name = masked(config.camera.source.strip())
    if device_path(config.camera.source.strip()) is not None and is_held(outbox_path(config)):
        yield skipped(
            f"{name} is in use by the running roomtone", "to look at it: systemctl stop roomtone, then again"
        )
        return
    # One attempt; the pause before a second one would only take time here.
    patient = _without_pauses(config.camera)
    try:
        with open_source(patient, camera_id=config.device.device, environ=environ) as source:
            if isinstance(source, LiveCamera) and not _opens(source, patient.open_timeout_s + _START_S):
                yield _unopened(name, source)
                return
            footage = watch(source, measure_s, patience_s=patient.read_timeout_s + _START_S)
            if footage is None:
                yield _unopened(name, source)
                return
            yield ok(f"{name} opens", source=name)
            yield from judge(footage, config, is_live=source.is_live)
    except SourceError as error:
        yield fail(error.problem, error.hint or "check camera.source", source=name)


def _opens(source: LiveCamera, patience_s: float) -> bool:
    """Waits until the camera is open, or its first attempt has failed and it is known why."""
    deadline_s = time.monotonic() + patience_s
    while not source.wait_until_open(0.1):
        if time.monotonic() > deadline_s or source.has_failed:
            return False
    return True


def _without_pauses(camera: CameraSection) -> CameraSection:
    """The same camera, not opened a second time within the check."""
    return camera.model_copy(update={"restart_backoff_s": 600.0, "restart_backoff_max_s": 600.0})


def _unopened(name: str, source: FrameSource) -> Finding:
    problem = getattr(source, "last_problem", "") or "no frame came"
    hint = getattr(source, "last_hint", "") or "check power, cable and camera.source"
    return fail(f"{name}: {problem}", hint, source=name)


def watch(source: FrameSource, measure_s: float, *, patience_s: float) -> Footage | None:
    """Reads for a while.

    Args:
        source: open.
        measure_s: from the first frame after the camera's exposure has settled.
        patience_s: for the first frame.

    Returns:
        What came, or None when nothing did.
    """
    first: Frame | None = None
    last: Frame | None = None
    is_frozen, taken, dropped_before = True, 0, 0
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s and taken < _MOST_FRAMES:
        try:
            frame = source.read(0.2)
        except EndOfSource:
            break
        if frame is None:
            continue
        if last is not None and is_frozen:
            is_frozen = np.array_equal(frame.image_bgr, last.image_bgr)
        if first is None:
            deadline_s = time.monotonic() + measure_s
        taken, last = taken + 1, frame
        if taken <= _WARM_UP_FRAMES or first is None:
            first, dropped_before = frame, source.counters.dropped
    if first is None or last is None:
        return None
    height, width = last.image_bgr.shape[:2]
    frames = max(0, taken - _WARM_UP_FRAMES) + source.counters.dropped - dropped_before
    elapsed_s = last.timestamp_s - first.timestamp_s
    fps = frames / elapsed_s if frames > 0 and elapsed_s > 0 else None
    return Footage(width, height, fps, measure_exposure(last.image_bgr), is_frozen and taken > 1)


def judge(footage: Footage, config: Config, *, is_live: bool) -> Iterator[Finding]:
    """Rate, resolution and light against what was asked for."""
    yield replace(_rate(footage, config), title="frame rate")
    yield replace(_resolution(footage, config.camera), title="resolution")
    yield replace(_light(footage, is_live=is_live), title="exposure")


def _rate(footage: Footage, config: Config) -> Finding:
    if footage.fps is None:
        return skipped("a single picture has none")
    facts: Facts = {"fps": round(footage.fps, 2)}
    asked, needed = config.camera.fps, config.faces.follow_rate_hz
    if asked is not None and footage.fps < _RATE_TOLERANCE * asked:
        return warn(
            f"{footage.fps:.1f} frames/s, {asked:g} were asked for",
            "more light (cameras slow down in the dark), a smaller resolution, or a USB port of its own",
            **facts,
        )
    if footage.fps < _RATE_TOLERANCE * needed:
        return warn(
            f"{footage.fps:.1f} frames/s; faces are followed {needed:g} times a second",
            "more light, or a smaller resolution; or lower faces.follow_rate_hz",
            **facts,
        )
    return ok(f"{footage.fps:.1f} frames/s", **facts)


def _resolution(footage: Footage, camera: CameraSection) -> Finding:
    got = f"{footage.width}×{footage.height}"
    facts: Facts = {"width": footage.width, "height": footage.height}
    asked = (camera.width_px or footage.width, camera.height_px or footage.height)
    if asked != (footage.width, footage.height):
        return warn(
            f"{got}, {asked[0]}×{asked[1]} was asked for",
            "this camera has other formats: v4l2-ctl --list-formats-ext shows them; or it shares a slow USB port",
            **facts,
        )
    return ok(got, **facts)


def _light(footage: Footage, *, is_live: bool) -> Finding:
    light = footage.exposure
    facts: Facts = {
        "mean": round(light.mean, 1),
        "black_share": round(light.black_share, 3),
        "white_share": round(light.white_share, 3),
    }
    if light.is_covered:
        return fail("the picture is black", "open the lens cover; switch on the light", **facts)
    if is_live and footage.is_frozen:
        return fail(
            "every frame is the same picture: the camera hangs", "unplug the camera, or restart it", **facts
        )
    if light.is_dark:
        return warn(f"dark (mean grey {light.mean:.0f} of 255)", "more light, or a longer exposure", **facts)
    if light.is_burnt:
        hint = "turn the camera away from windows, or lower its exposure: roomtone survey shows where"
        return warn(f"{light.white_share:.0%} of the picture is plain white", hint, **facts)
    return ok(f"mean grey {light.mean:.0f} of 255, {light.white_share:.0%} plain white", **facts)
