"""Where `firmware_configs/` is: in the checkout, or, of an installed wheel, beside this module."""

from __future__ import annotations

from pathlib import Path


def firmware_folder(name: str) -> Path:
    """A folder of `firmware_configs/`.

    Args:
        name: such as `devices` or `systemd`; pyproject.toml says which of them the wheel holds.
    """
    checkout = Path(__file__).parents[1] / "firmware_configs"
    return (checkout if checkout.is_dir() else Path(__file__).with_name("firmware_configs")) / name
