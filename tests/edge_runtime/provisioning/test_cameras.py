"""Cameras as the kernel lists them, on a drawn /sys and /dev."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from provisioning_parts import nobody

from edge_runtime.provisioning.cameras import captures_video, usb_cameras
from edge_runtime.provisioning.onvif import name_of


def capability(caps: int, device_caps: int = 0) -> bytes:
    """`struct v4l2_capability` of the kernel's videodev2.h."""
    return struct.pack("16s32s32s3I3I", b"uvcvideo", b"BRIO", b"usb-1", 0x60000, caps, device_caps, 0, 0, 0)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A webcam with a node for metadata, a codec, and a second webcam."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)  # pytest's own folders are closed to others
    (tmp_path / "dev/v4l/by-id").mkdir(parents=True)
    for name, title, index in (
        ("video0", "Logitech BRIO: Logitech BRIO", 0),
        ("video1", "Logitech BRIO: Logitech BRIO", 1),
        ("video10", "HD Webcam C270", 0),
    ):
        node = tmp_path / "sys/class/video4linux" / name
        node.mkdir(parents=True)
        (node / "name").write_text(f"{title}\n")
        (node / "index").write_text(f"{index}\n")
        (tmp_path / "dev" / name).touch()
    (tmp_path / "dev/v4l/by-id/usb-Logitech_BRIO-video-index0").symlink_to("../../video0")
    return tmp_path


def test_each_camera_is_listed_once_under_its_stable_address(board: Path) -> None:
    assert [(camera.name, Path(camera.source).name, camera.problem) for camera in usb_cameras(board)] == [
        ("Logitech BRIO", "usb-Logitech_BRIO-video-index0", ""),
        ("HD Webcam C270", "video10", ""),
    ]


def test_a_board_without_cameras_has_none(tmp_path: Path) -> None:
    assert usb_cameras(tmp_path) == []


def test_a_camera_that_may_not_be_opened_is_listed_with_what_to_do(board: Path) -> None:
    (board / "dev/video0").chmod(0)
    with nobody():
        camera = usb_cameras(board)[0]
    assert camera.name == "Logitech BRIO"
    assert "may not open it; add the user to the group video" in camera.problem


def test_a_camera_that_was_pulled_out_is_listed_with_the_reason(board: Path) -> None:
    (board / "dev/video10").unlink()
    assert usb_cameras(board)[1].problem == "no such file or directory"


@pytest.mark.parametrize(
    ("caps", "device_caps", "is_camera"),
    [
        pytest.param(0x84A00001, 0x04200001, True, id="UVC camera"),
        pytest.param(0x84A00001, 0x04A00000, False, id="UVC metadata"),
        pytest.param(0x84204000, 0x04204000, False, id="codec of a Raspberry Pi"),
        pytest.param(0x84201000, 0x04201000, True, id="multi-planar camera"),
        pytest.param(0x05000001, 0, True, id="old driver"),
    ],
)
def test_what_captures_is_a_camera_and_what_converts_is_none(
    caps: int, device_caps: int, is_camera: bool
) -> None:
    assert captures_video(capability(caps, device_caps)) is is_camera


@pytest.mark.parametrize(
    ("scopes", "name"),
    [
        (
            ["onvif://www.onvif.org/type/video_encoder", "onvif://www.onvif.org/name/Front%20door"],
            "Front door",
        ),
        (["onvif://www.onvif.org/location/country/de"], ""),
        ([], ""),
    ],
)
def test_a_network_camera_is_called_by_its_name(scopes: list[str], name: str) -> None:
    assert name_of(scopes) == name
