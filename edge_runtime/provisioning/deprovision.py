"""`roomtone deprovision`: a device is taken down, and nothing of it stays behind, on the board or on the broker."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.config import Config
from edge_runtime.config_file import load_config
from edge_runtime.config_layers import LAYER_FILES, camera_files
from edge_runtime.credential_files import environment_beside
from edge_runtime.errors import ConfigurationError, ProvisioningError, UnknownDeviceError
from edge_runtime.outlet import device_name
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
        configs: of the device, or of each camera of the board; none where they have faults and are not needed.
        paths: files and folders that exist.
    """

    layout: Layout
    configs: tuple[Config, ...]
    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Which device, or devices."""
        return ", ".join(map(_place, self.configs)) or "the device"


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
    cameras = camera_files([layout.configuration])
    if not cameras and not any((layout.configuration / name).exists() for name in LAYER_FILES):
        raise ProvisioningError(f"no device is provisioned in {layout.configuration}")
    paths = [layout.unit, layout.configuration]
    if not keep_state:
        # systemd keeps the state of a service with a dynamic user behind a link.
        paths += [layout.state, layout.root / "var/lib/private/roomtone"]
    there = tuple(path for path in paths if path.exists() or path.is_symlink())
    configs: tuple[Config, ...] = ()
    try:
        if cameras:
            configs = tuple(load_config(layout.configuration, file) for file in cameras)
        else:
            configs = (load_config(layout.configuration),)
    except ConfigurationError as error:
        if not offline:
            hint = "mend it; or --offline removes the files and leaves what the broker retains"
            raise ConfigurationError(error.origin, error.faults, hint=hint) from error
    return Removal(layout, configs, there)


def clear_retained(removal: Removal) -> int:
    """Clears what the broker retains of each camera, its description for Home Assistant included.

    Returns:
        How many topics were cleared.

    Raises:
        BrokerError: the broker is not there, or does not let this device do it.
        ProvisioningError: topics are said again meanwhile: a device of this name is running.
    """
    environ = environment_beside([removal.layout.configuration])
    return sum(_clear_retained(config, environ) for config in removal.configs)


def _clear_retained(config: Config, environ: Mapping[str, str]) -> int:
    if config.mqtt.url is None:
        return 0
    login = load_credentials(environ, device=device_name(config.device))
    with BrokerMemory(Endpoint.from_section(config.mqtt, login), config.mqtt.protocol) as memory:
        try:
            remains = memory.of_device(_place(config), prefix=config.discovery.prefix)
        except UnknownDeviceError:
            return 0
        left = memory.clear(remains)
    if left:
        raise ProvisioningError(
            f"{len(left)} retained topics are there again: a device of this name is running",
            hint="stop it: systemctl stop roomtone; or end its process",
        )
    return len(remains.retained)


def _place(config: Config) -> str:
    device = config.device
    return f"{device.site}/{device.room}/{device.device}"


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
