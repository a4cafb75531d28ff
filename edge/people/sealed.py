"""Encrypt and authenticate bytes: AES-256-GCM, with a random nonce before the ciphertext."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

KEY_BYTES, NONCE_BYTES, TAG_BYTES, SALT_BYTES = 32, 12, 16, 16
#: Work of scrypt (RFC 7914): 32 MiB, half a second on a small Pi.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 15, 8, 1


class WrongKeyError(ValueError):
    """The bytes were sealed with another key or for another place, or they are damaged."""


def new_key() -> bytes:
    """Return a random key."""
    return os.urandom(KEY_BYTES)


def seal(key: bytes, content: bytes, place: bytes) -> bytes:
    """Return `content` encrypted. `place` says what it is; only with the same `place` it can be opened."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, place)


def unseal(key: bytes, sealed: bytes, place: bytes) -> bytes:
    """Return the content of `sealed`. Raises WrongKeyError."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise WrongKeyError("too short")
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except InvalidTag:
        raise WrongKeyError("wrong key, or damaged") from None


def key_from_passphrase(passphrase: str, salt: bytes) -> bytes:
    """Return the key that belongs to a passphrase and a random salt of SALT_BYTES."""
    return Scrypt(salt, KEY_BYTES, _SCRYPT_N, _SCRYPT_R, _SCRYPT_P).derive(passphrase.encode())
