"""The cameras that are plugged in, by the names that they give themselves.

    for camera in usb_cameras():
        print(camera.source, camera.name)   # /dev/v4l/by-id/usb-Logitech_BRIO-video-index0  Logitech BRIO

A camera's address is its stable one where there is one: `/dev/video0` may be another camera after the next start.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Linux, videodev2.h: struct v4l2_capability, 104 bytes; VIDIOC_QUERYCAP = _IOR('V', 0, struct v4l2_capability)
_QUERYCAP: Final = 0x80685600
_CAPABILITY: Final = struct.Struct("16s32s32sIII12x")
_DEVICE_CAPS_VALID: Final = 0x80000000
_VIDEO_CAPTURE: Final = 0x00000001
_VIDEO_CAPTURE_MULTIPLANAR: Final = 0x00001000
_MEMORY_TO_MEMORY: Final = 0x00008000 | 0x00004000  # codecs and scalers, as on a Raspberry Pi


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that may be chosen.

    Attributes:
        source: for `camera.source`.
        name: what it calls itself.
        problem: why it cannot be opened at present; empty where nothing is known against it.
    """

    source: str
    name: str
    problem: str = ""


def usb_cameras(root: Path = Path("/")) -> list[Camera]:
    """All video devices that capture, in the order of their numbers.

    A device that may not be opened is listed with its problem, and taken for a camera by its name alone.

    Args:
        root: where /sys and /dev are.
    """
    nodes = sorted((root / "sys/class/video4linux").glob("video*"), key=lambda node: int(node.name[5:] or 0))
    stable = _stable_names(root / "dev/v4l/by-id")
    cameras = []
    for node in nodes:
        device = root / "dev" / node.name
        captures, problem = _captures(device)
        if captures is False or (captures is None and _text(node / "index") not in ("0", "")):
            continue  # a second node of the same camera holds its metadata
        name = _text(node / "name").split(": ")[0]
        cameras.append(Camera(str(stable.get(node.name, device)), name or node.name, problem))
    return cameras


def captures_video(capability: bytes) -> bool:
    """Whether a `struct v4l2_capability` is a camera's."""
    *_, all_caps, device_caps = _CAPABILITY.unpack(capability)
    caps = device_caps if all_caps & _DEVICE_CAPS_VALID else all_caps
    return bool(caps & (_VIDEO_CAPTURE | _VIDEO_CAPTURE_MULTIPLANAR)) and not caps & _MEMORY_TO_MEMORY


def _captures(device: Path) -> tuple[bool | None, str]:
    """Whether a device is a camera, None where it does not tell; and why it cannot be opened."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return None, "this user may not open it; add the user to the group video, or use sudo"
    except OSError as exc:
        return None, (exc.strerror or "cannot be opened").lower()
    try:
        return captures_video(fcntl.ioctl(descriptor, _QUERYCAP, bytes(_CAPABILITY.size))), ""
    except OSError:
        return None, ""
    finally:
        os.close(descriptor)


def _stable_names(by_id: Path) -> dict[str, Path]:
    """`video0` → the link that udev names after the camera."""
    if not by_id.is_dir():
        return {}
    return {Path(os.readlink(link)).name: link for link in sorted(by_id.iterdir()) if link.is_symlink()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
