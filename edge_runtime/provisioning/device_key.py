"""The device's own key, the request for its certificate, and the certificate when it comes back.

The private key is made on the device and never leaves it. What is signed is the request (PKCS #10); its common name is
the device's place, site/room/device, which a broker can take for the user name (mosquitto:
`use_identity_as_username`), so that its access list holds the device in its own branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_runtime.errors import UNREADABLE_HINT, ConfigurationError, Fault, MissingExtraError
from edge_runtime.provisioning.doctor.certificates import Dates, judge
from edge_runtime.provisioning.doctor.check import Status

if TYPE_CHECKING:
    from cryptography import x509  # an extra, loaded where it is used

_LONGEST_NAME: Final = 64  # RFC 5280, appendix A: ub-common-name


@dataclass(frozen=True, slots=True)
class Imported:
    """A certificate that can be used.

    Attributes:
        pem: it, and the intermediate authorities that came with it.
        subject: whom it is made out to.
        warnings: what is worth knowing, though it works.
    """

    pem: bytes
    subject: str
    warnings: tuple[str, ...]


def need_cryptography() -> None:
    """Makes sure that the library is there.

    Raises:
        MissingExtraError: the extra `provision` is not installed.
    """
    if find_spec("cryptography") is None:
        raise MissingExtraError("making keys and reading certificates", "provision")


def new_key() -> bytes:
    """A private key on the curve P-256, which every broker and every TLS library knows; PKCS #8, PEM."""
    need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def request_for(key_pem: bytes, place: str) -> bytes:
    """The request to be signed, PEM.

    Args:
        key_pem: the private key, which signs it and is not in it.
        place: `site/room/device`; becomes the common name.

    Raises:
        ConfigurationError: the place is too long for a common name.
    """
    need_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    if len(place) > _LONGEST_NAME:
        problem = f"{place} has {len(place)} characters, a certificate's common name at most {_LONGEST_NAME}"
        raise ConfigurationError(
            "what was answered", [Fault("site, room, device", problem)], hint="give shorter names"
        )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, place)])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    key = serialization.load_pem_private_key(key_pem, None)
    request = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(usage, critical=False)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]


def import_certificate(
    file: Path, key_pem: bytes, place: str, *, authority: Path | None = None, now: datetime | None = None
) -> Imported:
    """Checks a certificate before it is used.

    Args:
        file: PEM; intermediate authorities may follow the device's own certificate.
        key_pem: the device's private key.
        place: `site/room/device`.
        authority: PEM of the authority; None where the system's are trusted, then the chain is left to the broker.
        now: with a time zone; the present time when None.

    Raises:
        ConfigurationError: all that is wrong with it.
        MissingExtraError: the extra `provision` is not installed.
    """
    need_cryptography()
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        pem = file.read_bytes()
        chain = x509.load_pem_x509_certificates(pem)
    except OSError as exc:
        fault = Fault("", f"cannot be read: {exc.strerror}")
        raise ConfigurationError(str(file), [fault], hint=UNREADABLE_HINT) from exc
    except ValueError as exc:
        hint = "a certificate in PEM begins with -----BEGIN CERTIFICATE-----"
        raise ConfigurationError(str(file), [Fault("", "holds no certificate in PEM")], hint=hint) from exc
    own, problems, hints, warnings = chain[0], [], [], []
    subject = own.subject.rfc4514_string()
    if not _fits(pem, key_pem):
        problems.append("is not the certificate of this device's key")
        hints.append("it was made for another request: have this device's signed, which is device.csr")
    dates = judge(
        "it", Dates(subject, own.not_valid_before_utc, own.not_valid_after_utc), now or datetime.now(UTC)
    )
    if dates.status is Status.FAIL:
        problems.append(dates.what)
        hints.append(dates.next_step)
    elif dates.status is Status.WARN:
        warnings.append(f"{dates.what}: {dates.next_step}")
    if authority is not None and (problem := _chain_problem(chain, authority)):
        problems.append(problem)
        hints.append("ask whoever signed it for the authority's own certificate, and its intermediates")
    if not _is_for_clients(own):
        problems.append("may not be used by a client (extended key usage)")
        hints.append("have it signed with extendedKeyUsage = clientAuth")
    names = [attribute.value for attribute in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if place not in names:
        warnings.append(
            f"it is made out to {subject}, this device is {place}: does the broker's access list know that?"
        )
    if problems:
        faults = [Fault("", problem) for problem in problems]
        raise ConfigurationError(str(file), faults, hint="; ".join(hints))
    return Imported(pem, subject, tuple(warnings))


def _fits(cert_pem: bytes, key_pem: bytes) -> bool:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(key_pem, None)
    return x509.load_pem_x509_certificates(cert_pem)[0].public_key() == key.public_key()


def _is_for_clients(certificate: x509.Certificate) -> bool:
    """Whether it may be used by a client; one that does not say what it is for may."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _chain_problem(chain: Sequence[x509.Certificate], authority: Path) -> str:
    """Why the chain does not lead to the authority; empty where it does."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        roots = x509.load_pem_x509_certificates(authority.read_bytes())
    except OSError as exc:
        return f"cannot be checked: {authority} cannot be read: {exc.strerror}"
    except ValueError:
        return f"cannot be checked: {authority} holds no certificate in PEM"
    present = chain[0]
    for issuer in [*chain[1:], None]:
        for root in roots:
            try:
                present.verify_directly_issued_by(root)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return ""
        if issuer is None:
            break
        try:
            present.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return f"is not signed by {issuer.subject.rfc4514_string()}, which follows it in the file"
        present = issuer
    names = ", ".join(root.subject.rfc4514_string() for root in roots)
    return f"is signed by {present.issuer.rfc4514_string()}; {authority} holds {names}"


def is_request_of(request_pem: bytes, key_pem: bytes, place: str) -> bool:
    """Whether a request is that of this key and place; it need not be made again then."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import NameOID

    try:
        request = x509.load_pem_x509_csr(request_pem)
    except ValueError:
        return False
    key = serialization.load_pem_private_key(key_pem, None)
    names = [attribute.value for attribute in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return names == [place] and request.public_key() == key.public_key()
