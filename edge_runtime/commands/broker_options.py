"""The options of every command that listens on somebody's broker, and the section of the configuration they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_runtime.config import MqttSection

BrokerUrl = Annotated[str, typer.Option(help="mqtt://host[:port] or mqtts://host[:port]")]
CaFile = Annotated[Path | None, typer.Option(help="authority that signed the broker's certificate, PEM")]
ClientCert = Annotated[Path | None, typer.Option(help="our certificate, PEM")]
ClientKey = Annotated[Path | None, typer.Option(help="our private key, PEM")]


def mqtt_section(
    broker: str,
    ca_file: Path | None = None,
    client_cert: Path | None = None,
    client_key: Path | None = None,
) -> MqttSection:
    """The broker of these options.

    Raises:
        ConfigurationError: they break a rule of `[mqtt]`.
    """
    from edge_runtime.commands.overrides import override
    from edge_runtime.config import Config

    files = {"ca_file": ca_file, "client_cert": client_cert, "client_key": client_key}
    return override(Config(), {"mqtt": {"url": broker, **files}}).mqtt
