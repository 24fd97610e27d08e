"""Certificate files of `[mqtt]`: readable, within their dates, and the key belongs to the certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from edge_runtime.config import MqttSection
from edge_runtime.provisioning.doctor.check import Check, Facts, Finding, fail, ok, skipped, warn

_RENEW_WITHIN: Final = timedelta(days=30)
_CLOCK_HINT: Final = "is this device's clock right? It says {now:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Dates:
    """From when until when a certificate counts, and for whom it is made out."""

    subject: str
    not_before: datetime
    not_after: datetime


def certificate_checks(mqtt: MqttSection) -> list[Check]:
    """Checks of the files; none where none is configured."""
    checks = []
    if mqtt.client_cert is not None:
        checks.append(Check("certificate_key", "certificate and key", lambda: fits(mqtt)))
    if mqtt.client_cert is not None or mqtt.ca_file is not None:
        checks.append(Check("certificate_dates", "certificate dates", lambda: list(dates(mqtt))))
    return checks


def fits(mqtt: MqttSection) -> Finding:
    """Whether certificate and private key can be read and belong together; who else may read the key."""
    cert, key = mqtt.client_cert, mqtt.client_key
    if cert is None or key is None:
        return skipped("no certificate of this device is configured")
    for name, file in (("mqtt.client_cert", cert), ("mqtt.client_key", key)):
        try:
            file.read_bytes()
        except OSError as exc:
            return fail(
                f"{name}: {file} cannot be read: {exc.strerror}", "roomtone's user must be able to read it"
            )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            return fail(
                f"{key} is not the key of {cert}", "ask for the certificate of this key's request again"
            )
        return fail(f"{cert} with {key} cannot be used: {exc.reason or exc}", "both must be PEM files, whole")
    except ValueError:
        return fail(
            f"{key} is locked with a password", "a device has nobody to type it: openssl pkey -in … -out …"
        )
    if key.stat().st_mode & 0o077:
        return warn(f"they fit, but others may read {key}", f"chmod 600 {key}")
    return ok("they fit; only the owner reads the key")


def _no_password() -> bytes:
    raise ValueError


def dates(mqtt: MqttSection, now: datetime | None = None) -> Iterator[Finding]:
    """Whether the device's certificate and the authority's are within their dates.

    Args:
        mqtt: names the files.
        now: with a time zone; the present time when None.
    """
    if find_spec("cryptography") is None:
        yield skipped("reading dates needs cryptography", "pip install 'roomtone[provision]'")
        return
    now = datetime.now(UTC) if now is None else now
    for name, file in (("client_cert", mqtt.client_cert), ("ca_file", mqtt.ca_file)):
        if file is None:
            continue
        try:
            found = read_dates(file)
        except (OSError, ValueError) as exc:
            said = exc.strerror if isinstance(exc, OSError) else "is no certificate in PEM"
            yield fail(f"mqtt.{name}: {file}: {said}", "give the PEM file of the certificate")
            continue
        # A bundle of authorities may hold old ones; the one that ends last decides whether it is still of use.
        yield judge(f"mqtt.{name}", max(found, key=lambda item: item.not_after), now)


def read_dates(file: Path) -> list[Dates]:
    """The dates of every certificate in a PEM file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no certificate.
    """
    from cryptography import x509

    return [
        Dates(cert.subject.rfc4514_string(), cert.not_valid_before_utc, cert.not_valid_after_utc)
        for cert in x509.load_pem_x509_certificates(file.read_bytes())
    ]


def judge(name: str, found: Dates, now: datetime) -> Finding:
    """A certificate's dates against the clock."""
    left = found.not_after - now
    facts: Facts = {
        "subject": found.subject,
        "not_before": found.not_before.isoformat(),
        "not_after": found.not_after.isoformat(),
        "days_left": left.days,
    }
    if now < found.not_before:
        what = f"{name} counts only from {found.not_before:%Y-%m-%d %H:%M} UTC on"
        return fail(what, _CLOCK_HINT.format(now=now), **facts)
    if left <= timedelta():
        what = f"{name} ended on {found.not_after:%Y-%m-%d}"
        return fail(what, f"renew it; {_CLOCK_HINT.format(now=now)}", **facts)
    if left < _RENEW_WITHIN:
        return warn(
            f"{name} ends in {left.days} days, on {found.not_after:%Y-%m-%d}", "renew it now", **facts
        )
    return ok(f"{name} counts until {found.not_after:%Y-%m-%d}", **facts)
