"""Keyed digests of requests: they prove what was asked for to whoever holds the key, and tell nobody else anything.

A plain digest of a small thing, such as a customer's number, is found by trying all of them; a keyed one is not.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import msgspec

from octavo.errors import ConfigurationError

_KEY_BYTES = 32


class Commitments:
    """Makes and checks keyed digests.

    The key is made at the first use, with mode 0600. Whoever destroys it makes all digests by it meaningless.

    Parameters
    ----------
    path : Path
        Of the key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: bytes | None = None

    def of(self, operation: str, request: object) -> str:
        """The digest of a request to an operation: the key's id, a colon, and 64 hexadecimal digits.

        What is no plain data in it stands by the name of its type.

        Raises
        ------
        ConfigurationError
            If the key can be neither read nor made.
        """
        key = self._key or self._load()
        asked = msgspec.to_builtins(request, str_keys=True, enc_hook=lambda value: f"<{type(value).__name__}>")
        text = msgspec.json.encode([operation, asked], order="deterministic")
        return f"{_id_of(key)}:{hmac.new(key, text, hashlib.sha256).hexdigest()}"

    def _load(self) -> bytes:
        try:
            if not self._path.exists():
                _make(self._path)
            key = bytes.fromhex(self._path.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{self._path} holds no key for the audit trail ({error}); restore it from a backup, or move it away "
                "for a new one, after which requests of before can be proven no more"
            ) from error
        if len(key) != _KEY_BYTES:
            raise ConfigurationError(f"{self._path} holds no key for the audit trail; move it away for a new one")
        self._key = key
        return key


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"octavo/audit-key-id/v1" + key).hexdigest()[:8]


def _make(path: Path) -> None:
    """Make a key; of several processes that do so at once one succeeds, and all use the same."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(_KEY_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(scratch)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
