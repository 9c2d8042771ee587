"""Keys of accounts: ``octavo_<id>_<secret><checksum>``, of which only the SHA-256 of the secret is kept.

The prefix lets scanners find one that got where it should not be; the checksum lets anybody tell, without asking, that
a text is no key.
"""

import re
import secrets
import zlib
from dataclasses import dataclass

from octavo.access.tokens import sha256_of
from octavo.errors import NotAuthenticated

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET_BYTES = 32
_ID_DIGITS, _SECRET_DIGITS, _CHECKSUM_DIGITS = 10, 43, 6
_KEY = re.compile(r"octavo_([0-9A-Za-z]{10})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was made just now, whole for this once."""

    id: str
    text: str
    secret_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentKey:
    """What a caller sent, which may be a key."""

    id: str
    secret_sha256: str


def make_key() -> NewKey:
    """A key with a secret of 32 random bytes."""
    id_ = "".join(secrets.choice(ALPHABET) for _ in range(_ID_DIGITS))
    secret = _base62(int.from_bytes(secrets.token_bytes(SECRET_BYTES)), digits=_SECRET_DIGITS)
    body = f"octavo_{id_}_{secret}"
    return NewKey(id=id_, text=body + checksum(body), secret_sha256=sha256_of(secret))


def looks_like_key(text: str) -> bool:
    """Whether a text has the form of a key of an account, and not that of a token of this machine."""
    return _KEY.match(text) is not None


def read_key(text: str) -> SentKey:
    """What was sent as a key; its secret may be nobody's.

    Raises
    ------
    NotAuthenticated
        If it is no key, or its checksum is wrong: then nothing is looked up.
    """
    match = _KEY.match(text)
    if match is None:
        raise NotAuthenticated("that is not a key; one reads octavo_<10 characters>_<49 characters>")
    if checksum(text[:-_CHECKSUM_DIGITS]) != match[3]:
        raise NotAuthenticated("that key was mistyped or cut: its checksum does not fit; copy it again")
    return SentKey(id=match[1], secret_sha256=sha256_of(match[2]))


def checksum(body: str) -> str:
    """Six digits for what stands before them."""
    return _base62(zlib.crc32(body.encode()), digits=_CHECKSUM_DIGITS)


def _base62(number: int, *, digits: int) -> str:
    found = []
    for _ in range(digits):
        number, digit = divmod(number, len(ALPHABET))
        found.append(ALPHABET[digit])
    return "".join(reversed(found))
