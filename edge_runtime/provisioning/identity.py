"""How a device shows the broker and its camera who it is: logins, and the key with its certificate.

What is there already is kept: a second run draws no second password and makes no second key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.credential_files import NAMES
from edge_runtime.errors import UNREADABLE_HINT, ConfigurationError, Fault
from edge_runtime.provisioning import device_key
from edge_runtime.provisioning.answers import Answers, Auth
from edge_runtime.provisioning.broker_login import Login, new_login, password_file_line
from edge_runtime.provisioning.layout import Layout

GivenLogin = tuple[str | None, str | None]  # user and password, as far as they were given


@dataclass(slots=True)
class Identity:
    """See the module.

    Attributes:
        auth: the kind.
        secrets: name of each secret → its contents.
        request: the request for the device's certificate, PEM; None where it needs none.
        awaits_certificate: the request has to be signed first.
        login_line: for mosquitto's password file, where the login is the device's own.
        warnings: of the certificate.
    """

    auth: Auth
    secrets: dict[str, bytes] = field(repr=False)
    request: bytes | None = None
    awaits_certificate: bool = False
    login_line: str | None = None
    warnings: tuple[str, ...] = ()

    def put_login(self, prefix: str, login: GivenLogin) -> None:
        """Sets user and password, or removes those that are not given."""
        for name, value in zip((f"{prefix}_username", f"{prefix}_password"), login, strict=True):
            if value is not None:
                self.secrets[name] = value.encode()
            else:
                self.secrets.pop(name, None)


def identify(
    answers: Answers,
    *,
    place: str,
    layout: Layout,
    in_url: GivenLogin,
    environ: Mapping[str, str],
) -> Identity:
    """Finds or makes what the broker is shown.

    Args:
        answers: may name user, password file or certificate.
        place: the device's, `site/room/device`: its user name, and the common name of its certificate.
        layout: where earlier secrets lie.
        in_url: user and password that stood in the broker's url.
        environ: may hold ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD.

    Raises:
        ConfigurationError: no user is known, a file cannot be read, or all that is wrong with a certificate.
        MissingExtraError: a certificate is wanted, and the extra `provision` is not installed.
    """
    kept = {name: read(path) for name in NAMES if (path := layout.credentials / name).exists()}
    given = (
        answers.username or in_url[0] or environ.get("ROOMTONE_MQTT_USERNAME"),
        _password_of(answers) or in_url[1] or environ.get("ROOMTONE_MQTT_PASSWORD"),
    )
    identity = Identity(_auth(answers, kept, given), kept)
    match identity.auth:
        case "none":
            _forget(identity, "mqtt_username", "mqtt_password", "mqtt_client_cert", "mqtt_client_key")
        case "password":
            _forget(identity, "mqtt_client_cert", "mqtt_client_key")
            identity.put_login("mqtt", _completed(given, kept))
        case "derive":
            _forget(identity, "mqtt_client_cert", "mqtt_client_key")
            if kept.get("mqtt_username") != place.encode():
                login = new_login(place)
                identity.put_login("mqtt", (login.username, login.password))
        case "certificate":
            _forget(identity, "mqtt_username", "mqtt_password")
            _certify(identity, answers, place, layout)
    if identity.secrets.get("mqtt_username") == place.encode() and "mqtt_password" in identity.secrets:
        identity.login_line = password_file_line(Login(place, identity.secrets["mqtt_password"].decode()))
    return identity


def read(path: Path) -> bytes:
    """A file's contents.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as exc:
        fault = Fault("", f"cannot be read: {exc.strerror}")
        raise ConfigurationError(str(path), [fault], hint=UNREADABLE_HINT) from exc


def _auth(answers: Answers, kept: Mapping[str, bytes], given: GivenLogin) -> Auth:
    if answers.auth is not None:
        return answers.auth
    if answers.certificate is not None:
        return "certificate"
    if given[0] is not None:
        return "password"
    if "mqtt_client_key" in kept:
        return "certificate"
    return "password" if "mqtt_username" in kept else "none"


def _password_of(answers: Answers) -> str | None:
    if answers.password_file is None:
        return None
    return read(answers.password_file).decode("utf-8", "replace").rstrip("\r\n")


def _completed(given: GivenLogin, kept: Mapping[str, bytes]) -> GivenLogin:
    """User and password, those that are there already where none were given."""
    before = {
        name: data.decode() for name, data in kept.items() if name in ("mqtt_username", "mqtt_password")
    }
    username, password = given[0] or before.get("mqtt_username"), given[1]
    if username is None:
        problem = "is not answered; --username gives it, or user:password@ in front of the broker's host"
        raise ConfigurationError("what was answered", [Fault("username", problem)])
    if password is None and username == before.get("mqtt_username"):
        password = before.get("mqtt_password")
    return username, password


def _certify(identity: Identity, answers: Answers, place: str, layout: Layout) -> None:
    """Key, request, and the certificate if it has come."""
    device_key.need_cryptography()
    key = identity.secrets.get("mqtt_client_key") or device_key.new_key()
    identity.secrets["mqtt_client_key"] = key
    identity.request = read(layout.request) if layout.request.exists() else b""
    if not device_key.is_request_of(identity.request, key, place):
        identity.request = device_key.request_for(key, place)
    file = answers.certificate
    if file is None and "mqtt_client_cert" in identity.secrets:
        file = layout.credentials / "mqtt_client_cert"
    if file is None:
        identity.awaits_certificate = True
        return
    imported = device_key.import_certificate(file, key, place, authority=answers.ca_file)
    identity.secrets["mqtt_client_cert"] = imported.pem
    identity.warnings = imported.warnings


def _forget(identity: Identity, *names: str) -> None:
    for name in names:
        identity.secrets.pop(name, None)
