"""The device's own health: what the board says of itself, and the one word that sums it up."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.publishing.payloads import DegradedReason, Health


def resident_mb(status: Path = Path("/proc/self/status")) -> float | None:
    """Resident memory of this process, MiB; None where the system does not tell."""
    try:
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return round(int(line.split()[1]) / 1024, 1)
    except (OSError, ValueError, IndexError):
        return None
    return None


def temperature_c(zones: Path = Path("/sys/class/thermal")) -> float | None:
    """The hottest thermal zone, °C; None where there is none."""
    readings = []
    for zone in zones.glob("thermal_zone*/temp"):
        try:
            readings.append(int(zone.read_text(encoding="ascii")) / 1000)
        except (OSError, ValueError):
            continue
    return max((value for value in readings if -100 <= value <= 200), default=None)


def health_word(
    *,
    is_enabled: bool,
    camera_online: bool,
    outbox_troubled: bool,
    broker_connected: bool | None,
    dropped_share: float,
    is_overloaded: bool,
    temperature: float | None,
    hot_c: float,
) -> tuple[Health, DegradedReason | None]:
    """The worst of what is wrong, in the order in which an admin would look; and what `degraded` is due to.

    Args:
        is_enabled: the privacy shutter is open.
        camera_online: frames come.
        outbox_troubled: the disk takes no events, or some were dropped since the last time.
        broker_connected: None when no broker is configured.
        dropped_share: frames that nobody had time for, of all that came since the last time.
        is_overloaded: the governor had to lower rates, or the lowest are still too much.
        temperature: °C; None where unknown.
        hot_c: from here on the processor slows down.
    """
    if not is_enabled:
        return "disabled", None
    if not camera_online:
        return "camera_lost", None
    if outbox_troubled:
        return "outbox_full", None
    if broker_connected is False:
        return "broker_lost", None
    if temperature is not None and temperature >= hot_c:
        return "degraded", "heat"  # which is why it is slow, if it is
    if is_overloaded:
        return "degraded", "overload"
    return ("degraded", "frames_dropped") if dropped_share > 0.5 else ("ok", None)
