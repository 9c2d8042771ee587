"""Logins that have begun and not ended: kept where every control process finds them, used once, soon too old.

Anybody may begin one, so there are only so many places for them: whoever begins one more takes the place of an older.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import ClassVar

from octavo.errors import Conflict, NotAuthenticated
from octavo.stores.ports import Metadata

LASTS = timedelta(minutes=10)
_PLACES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLogin:
    """A login that has begun.

    Attributes
    ----------
    place : str
        One of a few thousand.
    digest : str
        SHA-256 of the cookie of the browser that began it.
    state, nonce, verifier : str
        What the provider is to send back, what its token is to say, and what the code is redeemed with.
    back : str
        The page of ours that was wanted.
    """

    kind: ClassVar[str] = "pending_login"

    place: str
    digest: str
    state: str
    nonce: str
    verifier: str
    back: str
    began_at: datetime
    used: bool = False

    @property
    def key(self) -> str:
        return self.place

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier (PKCE, S256)."""
        return urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


class PendingLogins:
    """The logins that have begun.

    Parameters
    ----------
    metadata : Metadata
        Keeps them.
    """

    def __init__(self, metadata: Metadata, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._metadata, self._now = metadata, now

    def begin(self, back: str) -> tuple[str, PendingLogin]:
        """Begin one; its browser's cookie, and it."""
        cookie = secrets.token_urlsafe(32)
        digest = _digest(cookie)
        made = PendingLogin(
            place=_place(digest),
            digest=digest,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            back=back,
            began_at=self._now(),
        )
        with self._metadata.transaction() as tx:
            tx.put(made)
        return cookie, made

    def take(self, cookie: str, state: str) -> PendingLogin:
        """The login of a browser that comes back, this once.

        Raises
        ------
        NotAuthenticated
            If it began none, came back already, or too late, or with another's state.
        """
        refused = NotAuthenticated("this login was not begun here, ended already, or took too long; begin again")
        digest = _digest(cookie)
        try:
            with self._metadata.transaction() as tx:
                found = tx.get(PendingLogin, _place(digest))
                if found is None or found.used or not compare_digest(found.digest, digest):
                    raise refused
                tx.replace(found, replace(found, used=True))
        except Conflict as error:
            raise refused from error
        if self._now() - found.began_at > LASTS or not compare_digest(found.state.encode(), state.encode()):
            raise refused
        return found


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _place(digest: str) -> str:
    return str(int(digest[:8], 16) % _PLACES)
