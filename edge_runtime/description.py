"""What runs on this device, and why: the `info` payload."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from edge_runtime import __version__
from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.inference.opening import Choice
from edge_runtime.publishing.payloads import SHARE_STEP, Info, band_table
from edge_runtime.room.privacy import BAND_STEP, band

_BANDS_SHOWN: Final = 4  # the rule is plain after so many


def describe(config: Config, bundle: Bundle, choice: Choice, *, ts: float) -> Info:
    """What `info` says.

    Args:
        config: in force.
        bundle: the network.
        choice: the engine that was chosen for it.
        ts: unix time, s.
    """
    report, manifest, least = choice.engine.report, bundle.manifest, config.room.min_group
    sequence = manifest.sequence
    counts = sorted({0, 1, *range(least, least + _BANDS_SHOWN * BAND_STEP, BAND_STEP)})
    return Info(
        ts=round(ts, 3),
        site=config.device.site,
        room=config.device.room,
        device=config.device.device,
        window_s=config.room.window_s,
        detector=config.faces.detector,
        bundle_name=manifest.name,
        bundle_version=manifest.version,
        bundle_digest=bundle.digest,
        engine_backend=report.backend,
        engine_precision=report.precision,
        engine_instruction_set=report.instruction_set,
        engine_threads=report.threads,
        engine_reason=choice.reason,
        sequence_frames=None if sequence is None else sequence.frames,
        sequence_stride_s=None if sequence is None else sequence.stride_s,
        sequence_head_precision=choice.variant.head_precision,
        privacy_min_group=least,
        privacy_share_step=SHARE_STEP,
        privacy_bands=band_table(band(count, least) for count in counts) + ",…",
        deployment_jurisdiction=config.deployment.jurisdiction,
        deployment_setting=config.deployment.setting,
        deployment_purpose=config.deployment.purpose,
        deployment_contact=config.deployment.contact or None,
        deployment_teacher_agreement=config.deployment.teacher_agreement or None,
        versions={
            "roomtone": __version__,
            "opencv": version("opencv-python-headless"),
            "numpy": version("numpy"),
            "paho_mqtt": version("paho-mqtt"),
            report.backend: report.version,
        },
        layers=report.layer_precisions,
    )
