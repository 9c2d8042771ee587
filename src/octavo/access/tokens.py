"""Tokens of one machine, kept as hashes in one private file that every process of a project there reads.

A token reads ``octavo_<id>_<secret>``. The file (``.octavo/access.json``, mode 0600) holds for each its id, name,
permissions and the SHA-256 of its secret; the secret itself is shown once, when the token is made. The first start
makes an administrator's token and leaves it beside the file for the command line on the same machine
(``.octavo/token``).
"""

import fcntl
import hashlib
import re
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path

import msgspec

from octavo.access.files import write_private
from octavo.access.users import local_user
from octavo.errors import ConfigurationError, NotAuthenticated, NotFound
from octavo.principals import Principal

ACCESS_FILE, LOCAL_TOKEN_FILE = "access.json", "token"
NOBODY = "0" * 64
"""What a secret is compared with that belongs to nobody."""

_TOKEN = re.compile(r"octavo_([0-9a-f]{8})_([0-9a-f]{64})\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}\Z")
_REMEMBERED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is kept of a token.

    Attributes
    ----------
    id : str
        Eight hexadecimal digits; the part of the token that is not secret.
    name : str
        Whose it is or what it is for.
    secret_sha256 : str
        Of the secret, 64 hexadecimal digits.
    permissions : tuple of str
        Such as ``models:read``; ``*`` is all.
    subject : str
        Who is behind it, as `Principal.subject`; whoever bears its name unless given.
    """

    id: str
    name: str
    secret_sha256: str
    permissions: tuple[str, ...]
    subject: str = ""

    @property
    def principal(self) -> Principal:
        """Who calls with this token, as it stands in the audit trail: ``admin/1f3a09c2``."""
        return Principal(
            name=f"{self.name}/{self.id}",
            permissions=frozenset(self.permissions),
            subject=self.subject or self.name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    tokens: tuple[Token, ...] = ()


class AccessFile:
    """The tokens of a project.

    A change of the file is seen by the next call; as long as it stays the same a call costs one `stat` and two hashes,
    or next to nothing if its header was seen before.

    Parameters
    ----------
    path : Path
        An absent file holds no token, so nobody may call.
    look_every_s : float
        How long a header that was seen before is believed without a look at the file: a token that is revoked is worth
        so much longer.
    """

    def __init__(self, path: Path, *, look_every_s: float = 0.0) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}
        self.look_every_s, self._looked_s = look_every_s, float("-inf")
        self._verified: dict[str, Principal] = {}

    def authenticate(self, header: str | None) -> Principal:
        """Who sent a request, by its ``Authorization`` header.

        Raises
        ------
        NotAuthenticated
            If the header is absent, is not ``Bearer octavo_...``, or names no token of this project.
        ConfigurationError
            If the file cannot be read.
        """
        if header is None:
            raise NotAuthenticated("this needs a token: send the header 'Authorization: Bearer octavo_...'")
        now_s = time.monotonic()
        if now_s - self._looked_s >= self.look_every_s:
            self._current()
            self._looked_s = now_s
        # A header that is not known takes as long whether or not it begins like one that is: it is looked up by a keyed
        # hash, and verified by its SHA-256.
        return self._verified.get(header) or self._remember(header)

    def _remember(self, header: str) -> Principal:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthenticated("the Authorization header must read 'Bearer octavo_...'")
        principal = self.verify(token.strip())
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[header] = principal
        return principal

    def verify(self, token: str) -> Principal:
        """Who holds a token.

        Raises
        ------
        NotAuthenticated
            If it is no token of this project.
        ConfigurationError
            If the file cannot be read.
        """
        match = _TOKEN.match(token)
        if match is None:
            raise NotAuthenticated("that is not a token; one reads octavo_<8 digits>_<64 digits>")
        known = self._current().get(match[1])
        # An unknown id costs the same comparison, so that time tells nobody which ids exist.
        expected = known.secret_sha256 if known else NOBODY
        if not compare_digest(sha256_of(match[2]), expected) or known is None:
            raise NotAuthenticated("that token is not, or no longer, valid here")
        return known.principal

    def tokens(self) -> tuple[Token, ...]:
        """All tokens, in the order in which they were made."""
        return tuple(self._current().values())

    def issue(self, *, name: str, permissions: Collection[str]) -> str:
        """Make a token and return it; it cannot be shown again.

        Raises
        ------
        ConfigurationError
            If `name` holds anything but lower-case letters, digits and ``. _ @ -``, or the file cannot be read.
        """
        if not _NAME.match(name):
            raise ConfigurationError(f"{name!r} cannot name a token: use lower-case letters, digits and . _ @ -")
        with self._locked():
            return self._issue(name, permissions)

    def issue_first(self, *, name: str, permissions: Collection[str], subject: str = "") -> str | None:
        """Make a token if there is none yet; None if there is one. Of several callers at once, one makes it."""
        with self._locked():
            return None if self._current() else self._issue(name, permissions, subject)

    def principal(self, token_id: str) -> Principal | None:
        """Who holds the token with this id; None if there is none (any more)."""
        token = self._current().get(token_id)
        return token.principal if token else None

    def revoke(self, token_id: str) -> None:
        """Make a token invalid from the next call on.

        Raises
        ------
        NotFound
            If there is none with this id.
        """
        with self._locked():
            tokens = self._current()
            if token_id not in tokens:
                raise NotFound("token", token_id, tokens)
            self._write([token for token in tokens.values() if token.id != token_id])

    def _issue(self, name: str, permissions: Collection[str], subject: str = "") -> str:
        tokens, secret = self._current(), secrets.token_hex(32)
        made = Token(
            id=_free_id(tokens),
            name=name,
            secret_sha256=sha256_of(secret),
            permissions=tuple(sorted(permissions)),
            subject=subject,
        )
        self._write([*tokens.values(), made])
        return f"octavo_{made.id}_{secret}"

    def _current(self) -> dict[str, Token]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._tokens, self._verified = None, {}, {}
            return self._tokens
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self._verified = {}
            self._tokens = {token.id: token for token in self._read().tokens}
            self._stamp = stamp
        return self._tokens

    def _read(self) -> _Document:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Document)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(f"the tokens in {self._path} cannot be read: {error}") from error

    def _write(self, tokens: list[Token]) -> None:
        write_private(self._path, msgspec.json.format(msgspec.json.encode(_Document(tokens=tuple(tokens)))))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def project_access(home: Path, *, look_every_s: float = 0.0) -> AccessFile:
    """The tokens of the project whose platform folder is `home`; see `AccessFile`."""
    return AccessFile(home / ACCESS_FILE, look_every_s=look_every_s)


def ensure_admin(home: Path) -> str | None:
    """Make the administrator's token if the project has no token yet; behind it is the user who runs this process.

    Returns
    -------
    str or None
        The token, if it was made now: to be shown once.
    """
    token = project_access(home).issue_first(name="admin", permissions=["*"], subject=local_user())
    if token is not None:
        write_private(home / LOCAL_TOKEN_FILE, f"{token}\n".encode("ascii"))
    return token


def local_token(home: Path) -> str:
    """The administrator's token that the first start left for this machine.

    Raises
    ------
    NotAuthenticated
        If there is none.
    """
    path = home / LOCAL_TOKEN_FILE
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise NotAuthenticated(f"there is no local token at {path}; start the project once with: octavo up") from None


def _free_id(taken: Collection[str]) -> str:
    while (made := secrets.token_hex(4)) in taken:
        pass
    return made


def sha256_of(secret: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
