"""Sessions of the console."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from octavo.access import Authority, ensure_admin, project_access
from octavo.access.document import AccessDocument, Held, KnownAccount
from octavo.console.sessions import ConsoleSession, Sessions, csrf_of
from octavo.errors import NotAuthenticated
from octavo.principals import PERSON
from octavo.stores.memory import MemoryMetadata

IDLE, LASTS = timedelta(hours=12), timedelta(days=7)
ADA = KnownAccount(name="ada", kind=PERSON, roles=(Held(role="viewer"),))
DOCUMENT = AccessDocument(project="p", sequence=1, accounts=(ADA,))


@dataclass
class Hall:
    """A project whose console can be visited, and its time."""

    folder: Path
    metadata: MemoryMetadata = field(default_factory=MemoryMetadata)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.authority = Authority(project_access(self.folder))
        self.authority.apply(DOCUMENT)

    def sessions(self) -> Sessions:
        """Those of another process each time."""
        return Sessions(self.metadata, self.authority, idle=IDLE, lasts=LASTS, now=lambda: self.now)


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path)


@pytest.fixture
def token_id(tmp_path: Path) -> str:
    token = ensure_admin(tmp_path)
    assert token is not None
    return token.split("_")[1]


def test_a_cookie_names_who_is_behind_it(hall: Hall, token_id: str) -> None:
    kept = hall.sessions()
    assert kept.principal(kept.begin(f"token:{token_id}")).name == f"admin/{token_id}"
    assert kept.principal(kept.begin("account:ada")).name == "ada"


def test_nobody_is_behind_some(hall: Hall) -> None:
    for holder in ("token:00000000", "account:eve", "ada", ""):
        with pytest.raises(NotAuthenticated):
            hall.sessions().begin(holder)


def test_every_control_process_knows_a_session(hall: Hall) -> None:
    cookie = hall.sessions().begin("account:ada")
    assert hall.sessions().principal(cookie).may("models:read")


def test_the_cookie_itself_is_not_kept(hall: Hall) -> None:
    cookie = hall.sessions().begin("account:ada")
    with hall.metadata.transaction() as tx:
        assert cookie not in repr(tx.find(ConsoleSession))


def test_a_session_ends_when_it_is_ended(hall: Hall) -> None:
    kept = hall.sessions()
    cookie = kept.begin("account:ada")
    kept.end(cookie)
    kept.end(cookie)
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def test_a_session_ends_with_its_token(hall: Hall, tmp_path: Path, token_id: str) -> None:
    kept = hall.sessions()
    cookie = kept.begin(f"token:{token_id}")
    project_access(tmp_path).revoke(token_id)
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def disabled(document: AccessDocument) -> AccessDocument:
    return replace(document, accounts=())


def with_more(document: AccessDocument) -> AccessDocument:
    return replace(document, accounts=(replace(ADA, roles=(*ADA.roles, Held(role="author"))),))


def with_less(document: AccessDocument) -> AccessDocument:
    return replace(document, accounts=(replace(ADA, roles=()),))


def elsewhere(document: AccessDocument) -> AccessDocument:
    return replace(document, accounts=(replace(ADA, roles=(Held(role="viewer", about="model", name="m"),)),))


@pytest.mark.parametrize("change", [disabled, with_more, with_less, elsewhere])
def test_a_session_ends_for_good_when_rights_change(
    hall: Hall, change: Callable[[AccessDocument], AccessDocument]
) -> None:
    kept = hall.sessions()
    cookie = kept.begin("account:ada")
    hall.authority.apply(change(DOCUMENT))
    with pytest.raises(NotAuthenticated, match="log in again"):
        kept.principal(cookie)
    hall.authority.apply(DOCUMENT)
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def test_a_session_ends_when_a_role_ends_by_itself(hall: Hall) -> None:
    ends_us = 2_000_000
    hall.authority = Authority(project_access(hall.folder), now_s=lambda: now_s)
    hall.authority.apply(replace(DOCUMENT, accounts=(replace(ADA, roles=(Held(role="viewer", until_us=ends_us),)),)))
    now_s = 1.0
    kept = hall.sessions()
    cookie = kept.begin("account:ada")
    assert kept.principal(cookie).may("models:read")
    now_s = 2.0
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def test_another_change_ends_nobodys_session(hall: Hall) -> None:
    kept = hall.sessions()
    cookie = kept.begin("account:ada")
    hall.authority.apply(replace(DOCUMENT, accounts=(ADA, replace(ADA, name="bob", roles=()))))
    assert kept.principal(cookie).name == "ada"


def test_a_session_ends_if_nobody_comes(hall: Hall) -> None:
    kept = hall.sessions()
    cookie = kept.begin("account:ada")
    for _ in range(3):
        hall.now += IDLE - timedelta(seconds=1)
        kept.principal(cookie)
    hall.now += IDLE
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def test_a_session_ends_at_the_latest_after_its_time(hall: Hall) -> None:
    kept = hall.sessions()
    cookie = kept.begin("account:ada")
    began = hall.now
    while hall.now + timedelta(hours=6) < began + LASTS:
        hall.now += timedelta(hours=6)
        kept.principal(cookie)
    hall.now = began + LASTS
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


@pytest.mark.parametrize("cookie", ["", "0" * 64, "é"])
def test_a_made_up_cookie_is_nobodys(hall: Hall, cookie: str) -> None:
    kept = hall.sessions()
    kept.begin("account:ada")
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def test_forms_of_one_session_are_worthless_in_another() -> None:
    assert csrf_of("a") == csrf_of("a")
    assert csrf_of("a") != csrf_of("b")
    assert "a" * 64 not in csrf_of("a" * 64)
