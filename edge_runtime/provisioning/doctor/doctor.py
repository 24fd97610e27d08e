"""`roomtone doctor`: all checks of a device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_runtime.config import Config, MqttSection
from edge_runtime.credential_files import credential_path
from edge_runtime.provisioning.doctor.broker import BrokerExamination
from edge_runtime.provisioning.doctor.camera import camera_checks
from edge_runtime.provisioning.doctor.certificates import certificate_checks
from edge_runtime.provisioning.doctor.check import Finding
from edge_runtime.provisioning.doctor.clock import clock_checks
from edge_runtime.provisioning.doctor.configuration import configuration_checks
from edge_runtime.provisioning.doctor.engine import engine_checks
from edge_runtime.provisioning.doctor.examination import Group
from edge_runtime.provisioning.doctor.machine import machine_checks


def groups_of(
    found: Finding,
    config: Config | None,
    environ: Mapping[str, str] | None = None,
    *,
    system: Path = Path("/"),
) -> list[Group]:
    """All groups of checks.

    Args:
        found: how reading the configuration went.
        config: the configuration; None where it has faults, then only the board is looked at.
        environ: where user and password are looked for; the process's own environment when None.
        system: where the file system of the board begins.
    """
    groups = [Group("configuration", configuration_checks(found, config))]
    usable = Config() if config is None else config
    groups.append(Group("board", [*machine_checks(usable, system), *clock_checks(usable)]))
    if config is None:
        return groups
    broker = BrokerExamination(config, environ)
    return [
        *groups,
        Group("camera", camera_checks(config, environ)),
        Group("engine", engine_checks(config)),
        Group(
            "broker",
            [*certificate_checks(_with_certificate(config.mqtt, environ)), *broker.checks()],
            broker.close,
        ),
    ]


def number_of_checks(groups: list[Group]) -> int:
    """For a progress bar."""
    return sum(len(group.checks) for group in groups)


def _with_certificate(mqtt: MqttSection, environ: Mapping[str, str] | None) -> MqttSection:
    """The section, with the certificate that lies among the credentials where it names none itself."""
    cert, key = (credential_path(name, environ) for name in ("mqtt_client_cert", "mqtt_client_key"))
    if mqtt.client_cert is not None or cert is None or key is None:
        return mqtt
    return mqtt.model_copy(update={"client_cert": cert, "client_key": key})
