"""Crops of a private source on the disk: AES-256-GCM, useless without a key that stays in the state directory.

    magic line | 8 bytes key id | 12 bytes nonce | ciphertext with its tag

Each file has its own key, `calibration-<id>.key`, which only the owner may read; forgetting the file is forgetting the
key. Header and key id are authenticated with the rest. `cryptography` comes with `roomtone[calibrate]`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from edge_runtime.errors import ConfigurationError, Fault, MissingExtraError

MAGIC: Final = b"roomtone-sealed/1\n"
_ID_BYTES, _NONCE_BYTES, _KEY_BITS = 8, 12, 256


def is_sealed(data: bytes) -> bool:
    """Whether these are the bytes of a sealed file."""
    return data.startswith(MAGIC)


def seal(data: bytes, path: Path, state: Path) -> None:
    """Writes data sealed, readable by its owner only, and its key into the state directory.

    Args:
        data: never touches the disk itself.
        path: of the file; must not exist yet.
        state: this device's state directory, made when absent.

    Raises:
        ConfigurationError: something is at `path` already, or one of the files cannot be written.
        MissingExtraError: `cryptography` is not installed.
    """
    cipher = _cipher()
    key, key_id = cipher.generate_key(_KEY_BITS), os.urandom(_ID_BYTES)
    nonce, header = os.urandom(_NONCE_BYTES), MAGIC + key_id
    sealed = header + nonce + cipher(key).encrypt(nonce, data, header)
    key_path = _key_path(state, key_id)
    try:
        state.mkdir(parents=True, exist_ok=True)
        _write_private(key_path, key)
        _write_private(path, sealed)
    except OSError as exc:
        if exc.filename != str(key_path):
            key_path.unlink(missing_ok=True)
        why = "is there already" if isinstance(exc, FileExistsError) else f"cannot be written: {exc.strerror}"
        raise ConfigurationError(str(exc.filename or path), [Fault("", why)]) from exc


def unseal(data: bytes, path: Path, state: Path) -> bytes:
    """What was sealed.

    Args:
        data: of the sealed file.
        path: it was read from, for messages.
        state: this device's state directory.

    Raises:
        ConfigurationError: the key is not here, or the file was changed or cut.
        MissingExtraError: `cryptography` is not installed.
    """
    cipher = _cipher()
    from cryptography.exceptions import InvalidTag

    header, rest = data[: len(MAGIC) + _ID_BYTES], data[len(MAGIC) + _ID_BYTES :]
    key_path = _key_path(state, header[len(MAGIC) :])
    hint = "faces of a camera are read on the device that took them: roomtone calibrate camera"
    try:
        key = key_path.read_bytes()
    except OSError as exc:
        problem = f"its key {key_path} cannot be read: {exc.strerror}"
        raise ConfigurationError(str(path), [Fault("", problem)], hint=hint) from exc
    try:
        plain: bytes = cipher(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header)
    except (InvalidTag, ValueError) as exc:
        raise ConfigurationError(
            str(path), [Fault("", "was changed, cut short, or sealed with another key")], hint=hint
        ) from exc
    return plain


def forget(path: Path, state: Path) -> None:
    """Deletes a sealed file's key, then the file; nothing happens where it is not sealed.

    Raises:
        OSError: one of them cannot be deleted.
    """
    with path.open("rb") as stream:
        header = stream.read(len(MAGIC) + _ID_BYTES)
    if is_sealed(header):
        _key_path(state, header[len(MAGIC) :]).unlink(missing_ok=True)
        path.unlink()


def _key_path(state: Path, key_id: bytes) -> Path:
    return state / f"calibration-{key_id.hex()}.key"


def _write_private(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _cipher() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ModuleNotFoundError as exc:
        raise MissingExtraError("cryptography", "calibrate") from exc
    return AESGCM
