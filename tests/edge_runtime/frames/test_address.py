"""Kinds of address, and what of them may be shown."""

from __future__ import annotations

import pytest

from edge_runtime.frames.address import (
    device_path,
    endpoint,
    is_network,
    masked,
    with_login,
    without_login,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("rtsp://10.0.0.7/live", "rtsp://10.0.0.7/live", id="no credentials"),
        pytest.param("rtsp://admin:pw@10.0.0.7/live", "rtsp://admin:***@10.0.0.7/live", id="password"),
        pytest.param("rtsp://admin:@10.0.0.7", "rtsp://admin:***@10.0.0.7", id="empty password"),
        pytest.param("rtsp://:pw@10.0.0.7", "rtsp://:***@10.0.0.7", id="password without a user"),
        pytest.param("https://token@cam/v", "https://***@cam/v", id="a token for a user"),
        pytest.param("rtsp://admin:p@ss@cam/v", "rtsp://admin:***@cam/v", id="@ in the password"),
        pytest.param("rtsp://admin:p/a?s#s@cam/v", "rtsp://admin:***@cam/v", id="/ ? # in the password"),
        pytest.param("RTSP://admin:pw@cam/v", "RTSP://admin:***@cam/v", id="scheme in capitals"),
        pytest.param(
            "http://c/v?user=a&pwd=geheim&x=1", "http://c/v?user=a&pwd=***&x=1", id="password as a parameter"
        ),
        pytest.param("http://c/v?access_token=abc", "http://c/v?access_token=***", id="token as a parameter"),
        pytest.param("http://[::1]:80/v", "http://[::1]:80/v", id="IPv6"),
        pytest.param(
            "rtsp://admin:pw@cam:port/v", "rtsp://admin:***@cam:port/v", id="a port that is no number"
        ),
        pytest.param("0", "0", id="camera index"),
        pytest.param("films/a:b@c.mp4", "films/a:b@c.mp4", id="a path is no url"),
        pytest.param("", "", id="empty"),
    ],
)
def test_nothing_secret_of_an_address_is_shown(url, shown):
    assert masked(url) == shown


@pytest.mark.parametrize(
    ("source", "network", "device"),
    [
        pytest.param("0", False, "/dev/video0", id="index"),
        pytest.param("07", False, "/dev/video7", id="index with a leading zero"),
        pytest.param("/dev/v4l/by-id/usb-cam", False, "/dev/v4l/by-id/usb-cam", id="device file"),
        pytest.param("/dev/shm/film.mp4", False, None, id="a film in memory"),
        pytest.param("rtsp://cam/v", True, None, id="rtsp"),
        pytest.param("HTTPS://cam/v", True, None, id="https in capitals"),
        pytest.param("file:///film.mp4", False, None, id="file url"),
        pytest.param("http", False, None, id="a file called http"),
        pytest.param("²", False, None, id="a digit that is no number"),
        pytest.param("lesson.mp4", False, None, id="film"),
    ],
)
def test_an_address_is_a_stream_a_device_or_a_path(source, network, device):
    assert is_network(source) is network
    assert device_path(source) == device


@pytest.mark.parametrize(
    ("url", "expected"),
    # Default ports: IANA service names rtsp 554, rtsps 322, http 80, https 443
    [
        pytest.param("rtsp://cam/v", ("cam", 554), id="rtsp"),
        pytest.param("rtsps://cam", ("cam", 322), id="rtsps"),
        pytest.param("http://u:p@cam:8080/v", ("cam", 8080), id="with a port"),
        pytest.param("https://[fe80::1]/", ("fe80::1", 443), id="IPv6"),
    ],
)
def test_host_and_port_of_a_stream(url, expected):
    assert endpoint(url) == expected


@pytest.mark.parametrize("url", ["rtsp://", "rtsp:///live", "http://cam:geheim/", "http://cam:70000/"])
def test_a_url_without_a_host_or_with_a_wrong_port_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match=r"names no host|has a port") as caught:
        endpoint(url)

    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "bare", "user", "password"),
    [
        ("rtsp://10.0.0.7/live", "rtsp://10.0.0.7/live", None, None),
        ("rtsp://admin@10.0.0.7/live", "rtsp://10.0.0.7/live", "admin", None),
        ("rtsp://admin:pw@10.0.0.7:554/live?x=1", "rtsp://10.0.0.7:554/live?x=1", "admin", "pw"),
        ("rtsp://admin:p%2Fw%40@10.0.0.7", "rtsp://10.0.0.7", "admin", "p/w@"),
        ("mqtt://cam:pa:ss@broker", "mqtt://broker", "cam", "pa:ss"),
    ],
    ids=["none", "user only", "both", "encoded", "a colon in the password"],
)
def test_user_and_password_are_taken_from_an_address_and_put_back(
    url: str, bare: str, user: str | None, password: str | None
) -> None:
    assert without_login(url) == (bare, user, password)
    if user is not None:
        assert without_login(with_login(bare, user, password)) == (bare, user, password)


def test_an_address_that_has_a_user_keeps_it() -> None:
    assert with_login("rtsp://admin:pw@10.0.0.7", "other", "x") == "rtsp://admin:pw@10.0.0.7"
