"""Sessions of the console: a random cookie on the visitor's side; its hash, and who is behind it, in the metadata.

A session ends when its visitor ends it, has not come for a while, or at the latest after its time; and at once when its
visitor is disabled, the token behind it is revoked, or what its visitor may is another than at its beginning.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from octavo.access import Authority
from octavo.access.document import rights_of
from octavo.errors import Conflict, NotAuthenticated
from octavo.principals import Principal
from octavo.stores.ports import Metadata

_SEEN_EVERY = timedelta(minutes=1)
_REFUSED = "log in first"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSession:
    """A visitor who logged in.

    Attributes
    ----------
    digest : str
        SHA-256 of the cookie.
    holder : str
        Who is behind it, as `Authority.holder` takes it.
    rights : str
        A digest of what they could do when it began.
    seen_at : datetime
        Of the last visit, to within a minute.
    """

    kind: ClassVar[str] = "console_session"

    digest: str
    holder: str
    rights: str
    began_at: datetime
    seen_at: datetime
    ended_at: datetime | None = None

    @property
    def key(self) -> str:
        return self.digest


class Sessions:
    """The sessions of a project, whichever control process began them.

    Parameters
    ----------
    metadata : Metadata
        Keeps them.
    authority : Authority
        Knows who is behind them.
    idle, lasts : timedelta
        After how long without a visit one ends, and after how long at the latest.
    now : callable
        The time of the system, which is never a replayed one.
    """

    def __init__(
        self,
        metadata: Metadata,
        authority: Authority,
        *,
        idle: timedelta,
        lasts: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._metadata = metadata
        self._authority = authority
        self._idle, self.lasts = idle, lasts
        self._now = now

    def begin(self, holder: str) -> str:
        """Begin a session; returns the cookie's value.

        Raises
        ------
        NotAuthenticated
            If nobody is behind the holder.
        """
        principal = self._authority.holder(holder)
        if principal is None:
            raise NotAuthenticated(_REFUSED)
        cookie, now = secrets.token_hex(32), self._now()
        session = ConsoleSession(
            digest=_digest(cookie), holder=holder, rights=rights_of(principal), began_at=now, seen_at=now
        )
        with self._metadata.transaction() as tx:
            tx.add(session)
        return cookie

    def principal(self, cookie: str) -> Principal:
        """Who visits with a cookie.

        Raises
        ------
        NotAuthenticated
            If there is no such session, or it has ended.
        """
        try:
            return self._principal(cookie, self._now())
        except Conflict:  # another visit of the same moment noted itself
            return self._principal(cookie, self._now())

    def _principal(self, cookie: str, now: datetime) -> Principal:
        with self._metadata.transaction() as tx:
            session = tx.get(ConsoleSession, _digest(cookie))
            if session is None or not self._lasts(session, now):
                raise NotAuthenticated(_REFUSED)
            principal = self._authority.holder(session.holder)
            if principal is not None and rights_of(principal) == session.rights:
                if now - session.seen_at >= _SEEN_EVERY:
                    tx.replace(session, replace(session, seen_at=now))
                return principal
            # For good, so that it does not live again if the rights are given back.
            tx.replace(session, replace(session, ended_at=now))
        raise NotAuthenticated("what you may has changed since you logged in; log in again")

    def end(self, cookie: str) -> None:
        """End a session; idempotent."""
        try:
            with self._metadata.transaction() as tx:
                session = tx.get(ConsoleSession, _digest(cookie))
                if session is not None and session.ended_at is None:
                    tx.replace(session, replace(session, ended_at=self._now()))
        except Conflict:  # another visit of the same moment
            self.end(cookie)

    def _lasts(self, session: ConsoleSession, now: datetime) -> bool:
        return session.ended_at is None and now - session.seen_at < self._idle and now - session.began_at < self.lasts


def csrf_of(cookie: str) -> str:
    """What a session's forms carry; known only to pages of the session."""
    return hmac.new(cookie.encode(), b"octavo/console/csrf/v1", hashlib.sha256).hexdigest()


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
