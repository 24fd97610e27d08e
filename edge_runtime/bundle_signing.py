"""Signatures of bundles: Ed25519 (RFC 8032) over the bytes of `bundle.json`, in `bundle.sig`.

`bundle.json` holds the digests of all other files, so one signature covers the bundle. The signature is its 64 bytes
and nothing around them, and the keys are PEM, so that the world's tools can check our work:

    openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in bundle.json -sigfile bundle.sig

`cryptography` comes with the extra `roomtone[provision]`; it is imported where it is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_runtime.bundle import MANIFEST, SIGNATURE
from edge_runtime.errors import BundleSignatureError, MissingExtraError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_SIGNATURE_BYTES: Final = 64  # RFC 8032 §5.1.6
_PUBLIC_BLOCK: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


def make_key(private: Path, public: Path) -> None:
    """Writes a new key pair: PKCS #8 readable by its owner only, and SubjectPublicKeyInfo, both PEM.

    Raises:
        BundleSignatureError: one of the files is there already, or cannot be written.
        MissingExtraError: `cryptography` is not installed.
    """
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for path in (private, public):
        if path.exists():
            raise BundleSignatureError(
                path, "is there already", hint="a key is never written over; name another file"
            )
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    shown = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        with open(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
        public.write_bytes(shown)
    except OSError as exc:
        raise BundleSignatureError(exc.filename or private, f"cannot be written: {exc.strerror}") from exc


def sign_bundle(folder: Path, private: Path) -> Path:
    """Signs a bundle with a PEM key; replaces a signature that is there.

    Raises:
        BundleSignatureError: the key or the bundle cannot be read, or the key is no Ed25519 key.
        MissingExtraError: `cryptography` is not installed.
    """
    key = _private_key(private)
    path = folder / SIGNATURE
    try:
        path.write_bytes(key.sign((folder / MANIFEST).read_bytes()))
    except OSError as exc:
        raise BundleSignatureError(folder, f"cannot be signed: {exc.strerror}") from exc
    return path


def check_signature(folder: Path, public: Path) -> None:
    """Holds `bundle.sig` against one of the public keys in a PEM file.

    A file with two keys lets a school change its key: the devices know both until all bundles carry the new one.

    Raises:
        BundleSignatureError: there is no signature, it is not by any of these keys, or a key cannot be read.
        MissingExtraError: `cryptography` is not installed.
    """
    keys = public_keys(public)
    try:
        signature = (folder / SIGNATURE).read_bytes()
        text = (folder / MANIFEST).read_bytes()
    except FileNotFoundError as exc:
        raise BundleSignatureError(
            folder, f"has no {SIGNATURE}", hint="sign it: roomtone bundle sign BUNDLE --key KEY.pem"
        ) from exc
    except OSError as exc:
        raise BundleSignatureError(folder, f"{SIGNATURE} cannot be read: {exc.strerror}") from exc
    if not _is_signed_by(keys, signature, text):
        raise BundleSignatureError(
            folder,
            f"its signature is not by the key of {public}, or bundle.json was changed after it",
            hint="get the bundle from whoever holds the key; install nothing that does not verify",
        )


def public_keys(public: Path) -> list[Ed25519PublicKey]:
    """The Ed25519 keys of a PEM file, at least one.

    Raises:
        BundleSignatureError: the file cannot be read, or holds none, or another kind of key.
        MissingExtraError: `cryptography` is not installed.
    """
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    blocks = _PUBLIC_BLOCK.findall(_read_key(public))
    keys: list[Ed25519PublicKey] = []
    for block in blocks:
        try:
            key = load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise BundleSignatureError(public, "holds a public key that cannot be read") from exc
        if not isinstance(key, Ed25519PublicKey):
            raise BundleSignatureError(
                public, "holds a key that is not Ed25519", hint="roomtone bundle keygen makes one"
            )
        keys.append(key)
    if not keys:
        raise BundleSignatureError(
            public, "holds no PEM public key", hint="give the public half of what roomtone bundle keygen made"
        )
    return keys


def _private_key(path: Path) -> Ed25519PrivateKey:
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read_key(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:  # TypeError: encrypted, and no password
        raise BundleSignatureError(
            path, "is no PEM private key without a password", hint="roomtone bundle keygen makes one"
        ) from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleSignatureError(path, "is not an Ed25519 key", hint="roomtone bundle keygen makes one")
    return key


def _is_signed_by(keys: Sequence[Ed25519PublicKey], signature: bytes, text: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    if len(signature) != _SIGNATURE_BYTES:
        return False
    for key in keys:
        try:
            key.verify(signature, text)
        except InvalidSignature:
            continue
        return True
    return False


def _read_key(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise BundleSignatureError(path, f"cannot be read: {exc.strerror}", hint="give a PEM file") from exc


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401 - only whether it is there
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            "`cryptography`, which checks the signatures of bundles,", "provision"
        ) from exc
