"""Certificate files: key, permissions, dates."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor_parts import days_from_now, write_dated_certificate

from edge_runtime.config import MqttSection
from edge_runtime.provisioning.doctor.certificates import certificate_checks, dates, fits


def section(folder: Path, *, cert: str = "device", key: str = "device") -> MqttSection:
    return MqttSection(
        url="mqtts://127.0.0.1", client_cert=folder / f"{cert}.pem", client_key=folder / f"{key}.key"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("device", "stranger"):
        write_dated_certificate(tmp_path, name, days_from_now(-1), days_from_now(100))
    return tmp_path


def test_a_key_that_fits_is_ok_and_one_that_others_may_read_is_told(folder: Path) -> None:
    assert fits(section(folder)).status == "ok"
    (folder / "device.key").chmod(0o644)
    assert "chmod 600" in fits(section(folder)).next_step


def test_a_key_of_another_certificate_is_named(folder: Path) -> None:
    finding = fits(section(folder, key="stranger"))
    assert finding.status == "fail"
    assert "stranger.key is not the key of" in finding.what


def test_files_that_are_missing_or_no_pem_are_named(folder: Path) -> None:
    assert "No such file" in fits(section(folder, cert="nobody")).what
    (folder / "broken.pem").write_text("no certificate\n")
    assert "both must be PEM" in fits(section(folder, cert="broken")).next_step
    (found,) = dates(section(folder, cert="broken"))
    assert "is no certificate in PEM" in found.what


@pytest.mark.parametrize(
    ("start", "end", "status", "words"),
    [
        pytest.param(-10, 100, "ok", "counts until", id="long"),
        pytest.param(-10, 10, "warn", "ends in 9 days", id="soon"),
        pytest.param(-10, -1, "fail", "ended on", id="expired"),
        pytest.param(1, 100, "fail", "counts only from", id="not yet valid"),
    ],
)
def test_dates_are_judged_by_the_clock(
    tmp_path: Path, start: float, end: float, status: str, words: str
) -> None:
    write_dated_certificate(tmp_path, "device", days_from_now(start), days_from_now(end))
    (finding,) = dates(section(tmp_path))
    assert finding.status == status
    assert words in finding.what
    assert ("clock right?" in finding.next_step) == (status == "fail")


def test_without_certificates_there_is_nothing_to_check() -> None:
    assert certificate_checks(MqttSection(url="mqtt://127.0.0.1")) == []
