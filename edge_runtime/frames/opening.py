"""One address of the configuration → the source of frames that it means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge_runtime.config import CameraSection
from edge_runtime.credential_files import read_credential
from edge_runtime.errors import SourceUnavailableError
from edge_runtime.frames.address import device_path, endpoint, is_network, masked, with_login
from edge_runtime.frames.film import Film
from edge_runtime.frames.folder import IMAGE_SUFFIXES, ImageFolder
from edge_runtime.frames.frame import FrameSource
from edge_runtime.frames.live import LiveCamera
from edge_runtime.profiling.spans import Spans


def open_source(
    camera: CameraSection,
    *,
    camera_id: str = "camera",
    device: str = "",
    environ: Mapping[str, str] | None = None,
    grey: bool = False,
    spans: Spans | None = None,
) -> FrameSource:
    """Opens what `camera.source` names.

    =============================================  ==========================================================
    `0`, `/dev/video0`, `/dev/v4l/by-id/…`         USB camera
    `rtsp://`, `rtsps://`, `http://`, `https://`   network camera
    `lesson.mp4`, `file:///films/lesson.mp4`       film; at its own pace with `camera.realtime`
    `photos/`, `photo.jpg`                         folder of images, or one image
    `simulated://students=24,seed=7`               the simulated classroom
    =============================================  ==========================================================

    A live camera that is not there at present is no error; see `LiveCamera`.

    Args:
        camera: names the source.
        camera_id: what the frames are labelled with.
        device: site.room.device, whose own login goes before the common one.
        environ: names the folder of a network camera's login; the process's own environment when None.
        grey: frames need no colour; where the decoder can leave it out, they have none.
        spans: where the decoding times of a film go.

    Raises:
        SourceUnavailableError: the film or folder is missing or holds no frames, or the url names no host.
        SourceError: the simulated classroom cannot be built from its parameters.
    """
    source = camera.source.strip()
    if source.lower().startswith("simulated:"):
        from edge_runtime.frames.simulation.classroom import (
            SimulatedClassroom,  # only a trial pays for loading it
        )

        return SimulatedClassroom.from_uri(source, camera_id=camera_id, realtime=camera.realtime or None)
    if is_network(source):
        try:
            endpoint(source)
        except ValueError as exc:
            raise SourceUnavailableError(
                masked(source), f"the url {exc}", hint="percent-encode / @ : ? and # in a password"
            ) from exc
        if (user := read_credential("camera_username", environ, device=device)) is not None:
            source = with_login(source, user, read_credential("camera_password", environ, device=device))
        return LiveCamera(source, camera, camera_id=camera_id, grey=grey)
    if device_path(source) is not None:
        return LiveCamera(source, camera, camera_id=camera_id, grey=grey)
    return _open_path(_path(source), camera_id, realtime=camera.realtime, grey=grey, spans=spans)


def _path(source: str) -> Path:
    if source.lower().startswith("file:"):
        return Path(unquote(urlsplit(source).path))
    return Path(source).expanduser()


def _open_path(path: Path, camera_id: str, *, realtime: bool, grey: bool, spans: Spans | None) -> FrameSource:
    if not path.exists():
        raise SourceUnavailableError(
            str(path),
            "does not exist",
            hint="camera.source is a camera index, an rtsp or http url, a film, a folder of images, or simulated://…",
        )
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFolder(path, camera_id=camera_id)
    return Film(path, camera_id=camera_id, realtime=realtime, grey=grey, spans=spans)
