"""`roomtone deprovision`: a device is taken down, and nothing of it stays behind, on the board or on the broker."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.config import Config
from edge_runtime.config_file import load_config
from edge_runtime.config_layers import LAYER_FILES
from edge_runtime.credential_files import environment_beside
from edge_runtime.errors import ConfigurationError, ProvisioningError, UnknownDeviceError
from edge_runtime.provisioning import service
from edge_runtime.provisioning.layout import Layout
from edge_runtime.publishing.credentials import load_credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.forgetting import BrokerMemory


@dataclass(frozen=True, slots=True)
class Removal:
    """What is going to be removed.

    Attributes:
        layout: where the files lie.
        config: of the device; None where it has faults and is not needed.
        paths: files and folders that exist.
    """

    layout: Layout
    config: Config | None
    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Which device."""
        if self.config is None:
            return "the device"
        device = self.config.device
        return f"{device.site}/{device.room}/{device.device}"


def find_removal(layout: Layout, *, keep_state: bool, offline: bool) -> Removal:
    """Looks what there is.

    Args:
        layout: where the files lie.
        keep_state: leave the outbox, with events that the broker does not have yet.
        offline: the broker is left alone, so a configuration with faults will do.

    Raises:
        ProvisioningError: no device is provisioned here.
        ConfigurationError: its configuration has faults.
    """
    if not any((layout.configuration / name).exists() for name in LAYER_FILES):
        raise ProvisioningError(f"no device is provisioned in {layout.configuration}")
    paths = [layout.unit, layout.configuration]
    if not keep_state:
        # systemd keeps the state of a service with a dynamic user behind a link.
        paths += [layout.state, layout.root / "var/lib/private/roomtone"]
    there = tuple(path for path in paths if path.exists() or path.is_symlink())
    config = None
    try:
        config = load_config(layout.configuration)
    except ConfigurationError as error:
        if not offline:
            hint = "mend it; or --offline removes the files and leaves what the broker retains"
            raise ConfigurationError(error.origin, error.faults, hint=hint) from error
    return Removal(layout, config, there)


def clear_retained(removal: Removal) -> int:
    """Clears what the broker retains of the device, its description for Home Assistant included.

    Returns:
        How many topics were cleared.

    Raises:
        BrokerError: the broker is not there, or does not let this device do it.
        ProvisioningError: topics are said again meanwhile: a device of this name is running.
    """
    config = removal.config
    if config is None or config.mqtt.url is None:
        return 0
    login = load_credentials(environment_beside([removal.layout.configuration]))
    with BrokerMemory(Endpoint.from_section(config.mqtt, login), config.mqtt.protocol) as memory:
        try:
            remains = memory.of_device(removal.name, prefix=config.discovery.prefix)
        except UnknownDeviceError:
            return 0
        left = memory.clear(remains)
    if left:
        raise ProvisioningError(
            f"{len(left)} retained topics are there again: a device of this name is running",
            hint="stop it: systemctl stop roomtone; or end its process",
        )
    return len(remains.retained)


def stop(removal: Removal) -> None:
    """Stops the service, where there is one.

    Raises:
        ProvisioningError: systemd does not.
    """
    if removal.layout.root == Path("/") and service.is_systemd_running() and removal.layout.unit.exists():
        service.run([service.STOP])


def remove(removal: Removal) -> None:
    """Removes files and folders.

    Raises:
        ProvisioningError: one of them cannot be removed.
    """
    for path in removal.paths:
        try:
            if path.is_symlink() or path.is_file():
                path.unlink()
            else:
                shutil.rmtree(path)
        except OSError as exc:
            raise ProvisioningError(
                f"{path} cannot be removed: {(exc.strerror or str(exc)).lower()}", hint="run it with sudo"
            ) from exc
    if removal.layout.root == Path("/") and service.is_systemd_running():
        service.run([service.FORGET])
