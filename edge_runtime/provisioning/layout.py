"""Where a device's files lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

UNIT: Final = "roomtone.service"


@dataclass(frozen=True, slots=True)
class Layout:
    """The places, below a root: `/` on the device itself, the mounted image when one is prepared."""

    root: Path = Path("/")

    @property
    def configuration(self) -> Path:
        """Folder of `site.toml`, `room.toml`, `camera.toml`."""
        return self.root / "etc/roomtone"

    @property
    def credentials(self) -> Path:
        """Folder of what is secret, one file each."""
        return self.configuration / "credentials"

    @property
    def request(self) -> Path:
        """The request for the device's certificate, for whoever signs it."""
        return self.configuration / "device.csr"

    @property
    def authority(self) -> Path:
        """The authority that signed the broker's certificate."""
        return self.configuration / "ca.pem"

    @property
    def unit(self) -> Path:
        """The systemd unit."""
        return self.root / "etc/systemd/system" / UNIT

    @property
    def state(self) -> Path:
        """Outbox, shutter, bundles: what outlives a restart. systemd makes it for the service."""
        return self.root / "var/lib/roomtone"

    def on_device(self, path: Path) -> Path:
        """How a path below the root is called on the device itself."""
        return Path("/") / path.relative_to(self.root)
