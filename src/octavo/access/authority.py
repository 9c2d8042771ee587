"""The one authority: who a caller is and what they may, for HTTP, gRPC and the console alike."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from typing import Protocol

from octavo.access.document import AccessDocument, KnownAccount, KnownKey, good_until_us, principal_of
from octavo.access.keys import SentKey, looks_like_key, read_key
from octavo.access.tokens import NOBODY, AccessFile
from octavo.errors import NotAuthenticated, OctavoError
from octavo.principals import SERVICE, Principal

log = logging.getLogger(__name__)

_REMEMBERED, _REMEMBERED_S = 256, 3600
_MICROS = 1_000_000
TOKEN, KEY, ACCOUNT = "token", "key", "account"


class Callers(Protocol):
    """Knows who calls."""

    def authenticate(self, header: str | None) -> Principal:
        """Who sent a request, by its ``Authorization`` header; raises `NotAuthenticated`."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What one document says, and the headers that were verified by it, each with the time until which that holds."""

    accounts: Mapping[str, KnownAccount] = field(default_factory=dict)
    keys: Mapping[str, KnownKey] = field(default_factory=dict)
    locals: Mapping[str, str] = field(default_factory=dict)
    verified: dict[str, tuple[Principal, float]] = field(default_factory=dict)


class Authority:
    """Knows the tokens of this machine, and the accounts and keys of the last access document.

    Parameters
    ----------
    tokens : AccessFile
        Of this machine.
    look : callable or None
        Sees to it that the newest document is applied; None if another does (`apply`).
    look_every_s : float
        How long what is known is believed without a look.
    now_s : callable
        The time by which keys and roles end, which is never a replayed one.
    """

    def __init__(
        self,
        tokens: AccessFile,
        *,
        look: Callable[[], None] | None = None,
        look_every_s: float = 0.0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._look, self._look_every_s, self._looked_s = look, look_every_s, float("-inf")
        self._now_s = now_s
        self._turn = threading.Lock()
        self._known = _Known()
        self._of_tokens: set[str] = set()
        self._used: dict[str, int] = {}

    def look_by(self, look: Callable[[], None]) -> None:
        """From now on look for the newest document by a function."""
        self._look = look

    def apply(self, document: AccessDocument) -> None:
        """Know what a document says, and nothing of what an earlier one said."""
        accounts = {account.name: account for account in document.accounts}
        keys = {key.id: key for key in document.keys if key.account in accounts}
        self._known = _Known(accounts, keys, {one.local_user: one.name for one in document.accounts if one.local_user})

    def authenticate(self, header: str | None) -> Principal:
        """Who sent a request, by its ``Authorization`` header.

        Raises
        ------
        NotAuthenticated
            If the header is absent, is not ``Bearer octavo_...``, or names no token or key of this project.
        ConfigurationError
            If the file of tokens cannot be read.
        """
        if header is None:
            return self._tokens.authenticate(None)
        if self._look is not None:
            self._refresh()
        known = self._known
        found = known.verified.get(header)
        if found is not None and found[1] > self._now_s():
            return found[0]
        if header in self._of_tokens:
            return self._as_person(self._tokens.authenticate(header))
        scheme, _, sent = header.partition(" ")
        if scheme.lower() != "bearer" or not looks_like_key(sent := sent.strip()):
            principal = self._tokens.authenticate(header)
            if len(self._of_tokens) >= _REMEMBERED:
                self._of_tokens.clear()
            self._of_tokens.add(header)
            return self._as_person(principal)
        key, account, principal = self._verify_key(known, read_key(sent))
        until_us = good_until_us(account, key, now_us=self._now_us())
        if len(known.verified) >= _REMEMBERED:
            known.verified.clear()
        again_s = self._now_s() + _REMEMBERED_S
        known.verified[header] = (principal, again_s if until_us is None else min(until_us / _MICROS, again_s))
        return principal

    def verify(self, text: str) -> Principal:
        """Who holds a token or a key.

        Raises
        ------
        NotAuthenticated
            If nobody does.
        """
        self._refresh()
        if not looks_like_key(text):
            return self._as_person(self._tokens.verify(text))
        return self._verify_key(self._known, read_key(text))[2]

    def login(self, text: str) -> str:
        """The holder, as `holder` takes it, who may open the console with a token or a key.

        Raises
        ------
        NotAuthenticated
            If nobody holds it, or a service does.
        """
        principal = self.verify(text)
        if principal.kind == SERVICE:
            raise NotAuthenticated(f"{principal.subject} is a service, and services do not log in; use your own key")
        id_ = principal.name.rpartition("/")[2]
        return f"{KEY if looks_like_key(text) else TOKEN}:{id_}"

    def holder(self, holder: str) -> Principal | None:
        """Who stands behind a session: ``token:1f3a09c2``, ``key:0dMF9mRB3t`` or ``account:ada``; None if nobody does.

        Whoever came by a key may what the key may, and is out when it ends.
        """
        self._refresh()
        kind, _, name = holder.partition(":")
        if kind == TOKEN:
            found = self._tokens.principal(name)
            return None if found is None else self._as_person(found)
        known, now_us = self._known, self._now_us()
        if kind == KEY:
            key = known.keys.get(name)
            if key is None or key.expires_at_us <= now_us:
                return None
            return principal_of(known.accounts[key.account], now_us=now_us, key=key)
        account = known.accounts.get(name)
        return None if account is None else principal_of(account, now_us=now_us)

    def used(self) -> dict[str, int]:
        """When each key was last used, in seconds since 1970, to within the hour."""
        return dict(self._used)

    def _verify_key(self, known: _Known, sent: SentKey) -> tuple[KnownKey, KnownAccount, Principal]:
        key = known.keys.get(sent.id)
        # An unknown id costs the same comparison, so that time tells nobody which ids exist.
        expected = key.secret_sha256 if key is not None else NOBODY
        if not compare_digest(sent.secret_sha256, expected) or key is None:
            raise NotAuthenticated("that key is not, or no longer, valid here")
        now_us = self._now_us()
        if key.expires_at_us <= now_us:
            raise NotAuthenticated(f"the key {key.id} has expired; make another with: octavo access keys create")
        self._used[key.id] = now_us // _MICROS // 3600 * 3600
        account = known.accounts[key.account]
        return key, account, principal_of(account, now_us=now_us, key=key)

    def _as_person(self, principal: Principal) -> Principal:
        """Whoever holds a token of this machine, as the account that they are known by."""
        account = self._known.locals.get(principal.subject)
        return principal if account is None else replace(principal, subject=account)

    def _refresh(self) -> None:
        if self._look is None:
            return
        now_s = time.monotonic()
        if now_s - self._looked_s < self._look_every_s:
            return
        with self._turn:
            self._looked_s = now_s
            try:
                self._look()
            except OctavoError as error:
                log.error("cannot look who may call; what was known goes on: %s", error.message)

    def _now_us(self) -> int:
        return int(self._now_s() * _MICROS)
