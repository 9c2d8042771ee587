"""Signatures over releases: Ed25519, over exact bytes, with a purpose that cannot be confused with another."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from octavo.access import write_private
from octavo.errors import ConfigurationError, IntegrityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature and which key made it.

    Attributes
    ----------
    key_id : str
        First 16 hex digits of the public key.
    value : str
        128 hex digits.
    """

    key_id: str
    value: str


def _framed(purpose: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, v1: length-prefixed, so that no two (purpose, payload) share bytes."""
    return b"DSSEv1 %d %s %d %s" % (len(purpose.encode()), purpose.encode(), len(payload), payload)


class Verifier:
    """Checks signatures against one trusted public key.

    Parameters
    ----------
    public_key : bytes, 32
    """

    def __init__(self, public_key: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(public_key)
        self.public_key = public_key
        self.key_id = public_key.hex()[:16]

    @classmethod
    def load(cls, path: Path) -> "Verifier":
        """Read the trusted key.

        Raises
        ------
        ConfigurationError
            If the file is absent or holds no key.
        """
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"no trusted public key at {path}: {error}") from error

    def verify(self, purpose: str, payload: bytes, signature: Signature) -> None:
        """Check a signature.

        Raises
        ------
        IntegrityError
            If another key made it, or the bytes or the purpose differ.
        """
        if signature.key_id != self.key_id:
            raise IntegrityError(f"{purpose}: signed by key {signature.key_id}, but only {self.key_id} is trusted")
        try:
            self._key.verify(bytes.fromhex(signature.value), _framed(purpose, payload))
        except (InvalidSignature, ValueError) as error:
            raise IntegrityError(f"{purpose}: the signature does not fit the bytes; they were changed") from error


class Signer:
    """Holds a project's release key.

    The private key is made at the first use with mode 0600; the public one stands beside it with the suffix ``.pub``.

    Parameters
    ----------
    path : Path
        Of the private key.

    Raises
    ------
    ConfigurationError
        If the file holds no key, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            _create_key(path)
        self._key = _read_key(path)
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        if not path.with_suffix(".pub").exists():
            write_private(path.with_suffix(".pub"), f"{public.hex()}\n".encode("ascii"))
        self.verifier = Verifier(public)

    def sign(self, purpose: str, payload: bytes) -> Signature:
        """Sign bytes for one purpose."""
        return Signature(key_id=self.verifier.key_id, value=self._key.sign(_framed(purpose, payload)).hex())


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} holds no release key ({error}); restore it from a backup, or move it and its .pub away for new "
            "ones, after which only what is signed anew is trusted"
        ) from error


def _create_key(path: Path) -> None:
    """Make the private key; of several processes that do so at once one succeeds, and all sign with the same."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_private(scratch, f"{key.hex()}\n".encode("ascii"))
    try:
        path.hardlink_to(scratch)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
