"""Sessions of the console: a random cookie on the visitor's side, its hash and the token behind it on ours.

They are kept in a private file, so that a restart logs nobody out. A session ends with its token, or after a fortnight.
"""

import hashlib
import hmac
import logging
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import msgspec

from octavo.access import AccessFile, write_private
from octavo.errors import NotAuthenticated
from octavo.operations import Principal

log = logging.getLogger(__name__)
LIFETIME_S = 14 * 86_400
MOST_SESSIONS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A visitor who logged in."""

    token_id: str
    expires_at: float


class Sessions:
    """The sessions of one control process.

    Parameters
    ----------
    path : Path
        The file that keeps them.
    access : AccessFile
        Whose tokens stand behind them.
    """

    def __init__(self, path: Path, access: AccessFile) -> None:
        self._path = path
        self._access = access
        self._lock = Lock()
        self._sessions = _load(path)

    def begin(self, token_id: str) -> str:
        """Begin a session for a token; returns the cookie's value."""
        cookie = secrets.token_hex(32)
        with self._lock:
            live = {key: s for key, s in self._sessions.items() if s.expires_at > time.time()}
            kept = dict(list(live.items())[-MOST_SESSIONS + 1 :])
            kept[_digest(cookie)] = Session(token_id=token_id, expires_at=time.time() + LIFETIME_S)
            self._keep(kept)
        return cookie

    def principal(self, cookie: str) -> Principal:
        """Who visits with a cookie.

        Raises
        ------
        NotAuthenticated
            If there is no such session, or it has ended.
        """
        session = self._sessions.get(_digest(cookie))
        principal = None
        if session is not None and session.expires_at > time.time():
            principal = self._access.principal(session.token_id)
        if principal is None:
            raise NotAuthenticated("log in first")
        return principal

    def end(self, cookie: str) -> None:
        """End a session; idempotent."""
        with self._lock:
            self._keep({key: s for key, s in self._sessions.items() if key != _digest(cookie)})

    def _keep(self, sessions: dict[str, Session]) -> None:
        write_private(self._path, msgspec.json.encode(sessions))
        self._sessions = sessions


def csrf_of(cookie: str) -> str:
    """What a session's forms carry; known only to pages of the session."""
    return hmac.new(cookie.encode(), b"octavo/console/csrf/v1", hashlib.sha256).hexdigest()


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _load(path: Path) -> dict[str, Session]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Session])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError:
        log.warning("the console's sessions could not be read, so everybody has to log in again")
        return {}
