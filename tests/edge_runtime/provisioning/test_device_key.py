"""The device's key and its certificate: signed and judged by openssl, not by ourselves."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from brokers import Certificates

from edge_runtime.errors import ConfigurationError
from edge_runtime.provisioning.device_key import import_certificate, is_request_of, new_key, request_for

PLACE = "north/r12/camera-1"
KEY = new_key()


def openssl(*arguments: str, folder: Path) -> str:
    return subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def sign(tmp_path: Path, certificates: Certificates):
    """Signs a request with the school's authority."""

    def signed(
        key: bytes = KEY, place: str = PLACE, *, authority: str = "ca", days: int = 90, extensions: str = ""
    ) -> Path:
        (tmp_path / "device.csr").write_bytes(request_for(key, place))
        (tmp_path / "ext").write_text(extensions or "basicConstraints=CA:FALSE\n")
        openssl(
            *(
                "x509",
                "-req",
                "-in",
                "device.csr",
                "-days",
                str(days),
                "-extfile",
                "ext",
                "-out",
                "device.pem",
            ),
            *(
                "-CA",
                str(certificates / f"{authority}.pem"),
                "-CAkey",
                str(certificates / f"{authority}.key"),
            ),
            *("-CAserial", str(tmp_path / "serial"), "-CAcreateserial"),
            folder=tmp_path,
        )
        return tmp_path / "device.pem"

    return signed


def test_the_request_is_whole_names_the_device_and_holds_no_private_key(tmp_path: Path) -> None:
    (tmp_path / "request.pem").write_bytes(request_for(KEY, PLACE))
    text = openssl("req", "-in", "request.pem", "-noout", "-text", "-verify", folder=tmp_path)
    assert f"CN = {PLACE}" in text
    assert "prime256v1" in text
    assert "TLS Web Client Authentication" in text
    assert b"PRIVATE" not in request_for(KEY, PLACE)


def test_a_request_is_known_again() -> None:
    request = request_for(KEY, PLACE)
    assert is_request_of(request, KEY, PLACE)
    assert not is_request_of(request, new_key(), PLACE)
    assert not is_request_of(request, KEY, "north/r12/camera-2")
    assert not is_request_of(b"", KEY, PLACE)


def test_a_place_that_is_too_long_for_a_certificate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="common name at most 64"):
        request_for(KEY, f"{'s' * 40}/{'r' * 20}/camera")


def test_a_good_certificate_is_taken(sign, certificates: Certificates) -> None:
    imported = import_certificate(sign(), KEY, PLACE, authority=certificates / "ca.pem")
    assert imported.subject == f"CN={PLACE}"
    assert imported.warnings == ()


def test_one_of_an_intermediate_authority_is_taken_with_it(
    sign, certificates: Certificates, tmp_path: Path
) -> None:
    certificates.make("middle", subject="the middle", authority="ca")
    both = tmp_path / "both.pem"
    both.write_bytes(sign(authority="middle").read_bytes() + (certificates / "middle.pem").read_bytes())
    assert import_certificate(both, KEY, PLACE, authority=certificates / "ca.pem").pem == both.read_bytes()
    with pytest.raises(ConfigurationError, match=r"is signed by CN=the middle; .* holds CN=school authority"):
        import_certificate(tmp_path / "device.pem", KEY, PLACE, authority=certificates / "ca.pem")


@pytest.mark.parametrize(
    ("when", "says", "hint"),
    [
        pytest.param(timedelta(days=365), "ended on", "renew it", id="expired"),
        pytest.param(timedelta(days=-365), "counts only from", "clock right", id="not yet valid"),
    ],
)
def test_one_out_of_its_dates_is_refused_with_the_clock_in_mind(
    sign, when: timedelta, says: str, hint: str
) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        import_certificate(sign(), KEY, PLACE, now=datetime.now(UTC) + when)
    assert hint in caught.value.hint


def test_one_that_ends_soon_is_taken_with_a_warning(sign) -> None:
    (warning,) = import_certificate(sign(days=5), KEY, PLACE).warnings
    assert "ends in 4 days" in warning


def test_all_that_is_wrong_is_told_at_once(sign, certificates: Certificates) -> None:
    file = sign(new_key(), extensions="extendedKeyUsage=serverAuth\n")
    with pytest.raises(ConfigurationError) as caught:
        import_certificate(file, KEY, PLACE, authority=certificates / "stranger.pem")
    problems = [fault.problem for fault in caught.value.faults]
    assert problems[0] == "is not the certificate of this device's key"
    assert problems[1].startswith("is signed by CN=school authority")
    assert problems[2] == "may not be used by a client (extended key usage)"


def test_one_for_another_device_is_taken_with_a_warning(sign) -> None:
    (warning,) = import_certificate(sign(place="north/r12/camera-2"), KEY, PLACE).warnings
    assert "made out to CN=north/r12/camera-2, this device is north/r12/camera-1" in warning


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "cannot be read"),
        (b"-----BEGIN NOTHING-----", "holds no certificate"),
        (KEY, "holds no certificate"),
    ],
    ids=["missing", "no certificate", "a key in its place"],
)
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, data: bytes | None, says: str) -> None:
    file = tmp_path / "device.pem"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigurationError, match=says):
        import_certificate(file, KEY, PLACE)
