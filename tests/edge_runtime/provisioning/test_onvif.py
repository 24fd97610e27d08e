"""Network cameras that answer when they are called: a real responder of WS-Discovery on this machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from edge_runtime.provisioning.onvif import NEEDS_PATH, onvif_cameras

wsdiscovery = pytest.importorskip("wsdiscovery", reason="the extra onvif is not installed")


@pytest.fixture
def camera() -> Iterator[str]:
    """A camera that says what ONVIF's cameras say; its address."""
    from wsdiscovery import QName, Scope
    from wsdiscovery.publishing import ThreadedWSPublishing

    responder = ThreadedWSPublishing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        responder.start()
        responder.publishService(
            types=[QName("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")],
            scopes=[Scope("onvif://www.onvif.org/name/Class%20room%2012")],
            xAddrs=["http://10.0.0.7/onvif/device_service"],
        )
        yield "10.0.0.7"
        responder.stop()


@pytest.mark.filterwarnings("ignore")  # sockets that the library leaves to the garbage collector
def test_a_camera_that_answers_is_listed_by_name(camera: str) -> None:
    found = onvif_cameras(timeout_s=3)
    if not found:
        pytest.skip("this machine's network carries no multicast")
    assert ("Class room 12", f"rtsp://{camera}/", NEEDS_PATH) in [
        (one.name, one.source, one.problem) for one in found
    ]
