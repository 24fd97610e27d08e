"""Signatures that the rest of the world can check, and nothing signed by anybody else."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.bundle_signing import check_signature, make_key, sign_bundle
from edge_runtime.errors import BundleSignatureError

# RFC 8032 §7.1, test 2: secret key, public key, message, signature.
RFC_SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
RFC_MESSAGE = b"\x72"
RFC_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
PKCS8_OF_ED25519 = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410 §7


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    private, public = folder / f"{name}.key.pem", folder / f"{name}.pub.pem"
    make_key(private, public)
    return private, public


def openssl(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False)


def test_a_signature_is_that_of_the_rfc(tmp_path: Path) -> None:
    (tmp_path / "secret.der").write_bytes(PKCS8_OF_ED25519 + RFC_SECRET)
    done = openssl("pkey", "-inform", "DER", "-in", tmp_path / "secret.der", "-out", tmp_path / "key.pem")
    assert done.returncode == 0, done.stderr
    (tmp_path / "bundle.json").write_bytes(RFC_MESSAGE)
    assert sign_bundle(tmp_path, tmp_path / "key.pem").read_bytes() == RFC_SIGNATURE


def test_openssl_verifies_what_we_signed(tiny_bundle: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "school")
    sign_bundle(tiny_bundle, private)
    verify = [
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        public,
        "-rawin",
        "-sigfile",
        tiny_bundle / "bundle.sig",
    ]
    assert openssl(*verify, "-in", tiny_bundle / "bundle.json").returncode == 0
    assert openssl(*verify, "-in", tiny_bundle / "MODEL_CARD.md").returncode != 0


def test_a_signed_bundle_is_still_a_bundle_and_verifies(tiny_bundle: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "school")
    sign_bundle(tiny_bundle, private)
    open_bundle(tiny_bundle)
    check_signature(tiny_bundle, public)


def test_one_of_two_keys_is_enough_so_that_a_key_can_be_changed(tiny_bundle: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "new")
    _, old = key_pair(tmp_path, "old")
    both = tmp_path / "both.pem"
    both.write_bytes(old.read_bytes() + public.read_bytes())
    sign_bundle(tiny_bundle, private)
    check_signature(tiny_bundle, both)
    with pytest.raises(BundleSignatureError):
        check_signature(tiny_bundle, old)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda folder: (folder / "bundle.sig").unlink(), id="none"),
        pytest.param(lambda folder: (folder / "bundle.sig").write_bytes(b""), id="empty"),
        pytest.param(lambda folder: (folder / "bundle.sig").write_bytes(bytes(64)), id="zeros"),
        pytest.param(
            lambda folder: (folder / "bundle.sig").write_bytes((folder / "bundle.sig").read_bytes() + b"\n"),
            id="a byte too many",
        ),
        pytest.param(
            lambda folder: (folder / "bundle.json").write_text((folder / "bundle.json").read_text() + " "),
            id="manifest changed after it",
        ),
    ],
)
def test_a_signature_that_does_not_hold_is_refused(tiny_bundle: Path, tmp_path: Path, harm) -> None:
    private, public = key_pair(tmp_path, "school")
    sign_bundle(tiny_bundle, private)
    harm(tiny_bundle)
    with pytest.raises(BundleSignatureError) as caught:
        check_signature(tiny_bundle, public)
    assert caught.value.exit_code == 22


@pytest.mark.parametrize("algorithm", ["RSA", "X25519"])
def test_a_key_of_another_kind_is_named(tiny_bundle: Path, tmp_path: Path, algorithm: str) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    assert openssl("genpkey", "-algorithm", algorithm, "-out", private).returncode == 0
    assert openssl("pkey", "-in", private, "-pubout", "-out", public).returncode == 0
    with pytest.raises(BundleSignatureError, match="not an Ed25519 key"):
        sign_bundle(tiny_bundle, private)
    with pytest.raises(BundleSignatureError, match="not Ed25519"):
        check_signature(tiny_bundle, public)


@pytest.mark.parametrize(
    "text", [b"", b"not a key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_a_file_that_is_no_key_is_named(tiny_bundle: Path, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "k.pem").write_bytes(text)
    with pytest.raises(BundleSignatureError, match=r"k\.pem"):
        check_signature(tiny_bundle, tmp_path / "k.pem")
    with pytest.raises(BundleSignatureError, match=r"k\.pem"):
        sign_bundle(tiny_bundle, tmp_path / "k.pem")


def test_the_private_half_is_no_public_key(tiny_bundle: Path, tmp_path: Path) -> None:
    private, _ = key_pair(tmp_path, "school")
    with pytest.raises(BundleSignatureError, match="holds no PEM public key"):
        check_signature(tiny_bundle, private)


def test_a_private_key_is_for_its_owner_and_never_written_over(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "school")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    with pytest.raises(BundleSignatureError, match="there already"):
        make_key(private, tmp_path / "other.pem")
    with pytest.raises(BundleSignatureError, match="there already"):
        make_key(tmp_path / "other.pem", public)
    assert private.read_bytes() == before


def test_without_cryptography_the_extra_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    _, public = key_pair(tmp_path, "school")
    program = "import sys; sys.modules['cryptography'] = None; from edge_runtime.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "bundle",
        "verify",
        str(tiny_bundle),
        "--public-key",
        str(public),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 11
    assert "roomtone[provision]" in done.stderr
