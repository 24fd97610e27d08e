"""Network cameras that answer when they are called: ONVIF's WS-Discovery, with the library of the extra `onvif`.

A camera tells its address and its name. The path of its stream it tells only to those who log in, so that is asked
for; most makers' manuals name it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final
from urllib.parse import unquote, urlsplit

from edge_runtime.errors import MissingExtraError
from edge_runtime.provisioning.cameras import Camera

_TYPE: Final = ("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")
_NAME_SCOPE: Final = "/name/"
NEEDS_PATH: Final = "give it as rtsp://user:password@host/path; the maker's manual names the path"


def onvif_cameras(timeout_s: float = 4.0) -> list[Camera]:
    """Calls into the local network, and lists who answers.

    Args:
        timeout_s: how long answers are waited for.

    Raises:
        MissingExtraError: the extra `onvif` is not installed.
    """
    if find_spec("wsdiscovery") is None:
        raise MissingExtraError("ONVIF discovery", "onvif")
    from wsdiscovery import QName
    from wsdiscovery.discovery import ThreadedWSDiscovery

    discovery = ThreadedWSDiscovery()
    discovery.start()
    try:
        services = discovery.searchServices(types=[QName(*_TYPE)], timeout=timeout_s)
    finally:
        discovery.stop()
    found: dict[str, Camera] = {}
    for service in services:
        name = name_of([scope.getValue() for scope in service.getScopes()])
        for address in service.getXAddrs():
            host = urlsplit(address).hostname
            if host:
                found.setdefault(host, Camera(f"rtsp://{host}/", name or host, NEEDS_PATH))
    return [found[host] for host in sorted(found)]


def name_of(scopes: list[str]) -> str:
    """The name among ONVIF's scopes, `onvif://www.onvif.org/name/Front%20door`; empty where there is none."""
    for scope in scopes:
        if _NAME_SCOPE in scope:
            return unquote(scope.partition(_NAME_SCOPE)[2])
    return ""
