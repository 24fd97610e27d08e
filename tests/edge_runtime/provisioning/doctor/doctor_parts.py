"""What the doctor's tests share."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_runtime.config import Config, MqttSection
from edge_runtime.provisioning.doctor.broker import BrokerExamination
from edge_runtime.provisioning.doctor.examination import Group, examine
from edge_runtime.provisioning.doctor.report import Report


def config_for(mqtt: MqttSection, folder: Path) -> Config:
    """A device on that broker whose outbox would lie in `folder`."""
    return Config.model_validate(
        {
            "mqtt": mqtt,
            "outbox": {"path": folder / "outbox.sqlite3"},
            "device": {"site": "north", "room": "r12"},
        }
    )


def examine_broker(config: Config, **credentials: str) -> Report:
    environ = {f"ROOMTONE_MQTT_{name.upper()}": value for name, value in credentials.items()}
    examination = BrokerExamination(config, environ)
    return examine([Group("broker", examination.checks(), examination.close)])


def statuses(report: Report, *checks: str) -> list[str]:
    """`status` of each line, of these checks or of all."""
    return [str(line.finding.status) for line in report.lines if not checks or line.check in checks]


def told(report: Report, check: str) -> str:
    """All that was said about a check."""
    found = [line.finding for line in report.lines if line.check == check]
    return " / ".join(f"{finding.what} → {finding.next_step}" for finding in found)


def write_dated_certificate(
    folder: Path,
    name: str,
    start: datetime,
    end: datetime,
    *,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate for 127.0.0.1 within these dates, as `<name>.pem` and `<name>.key`; else self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing_key = (subject, key) if authority is None else (authority[0].subject, authority[1])
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(signing_key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    (folder / f"{name}.key").chmod(0o600)
    return cert, key


def days_from_now(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)
