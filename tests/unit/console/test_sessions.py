"""Sessions of the console."""

import stat
from pathlib import Path

import pytest

from octavo.access import ensure_admin, project_access
from octavo.console import sessions
from octavo.console.sessions import Sessions, csrf_of
from octavo.errors import NotAuthenticated


@pytest.fixture
def token_id(tmp_path: Path) -> str:
    token = ensure_admin(tmp_path)
    assert token is not None
    return token.split("_")[1]


def open_sessions(folder: Path) -> Sessions:
    return Sessions(folder / "sessions.json", project_access(folder))


def test_a_cookie_names_the_holder_of_the_token_behind_it(tmp_path: Path, token_id: str) -> None:
    kept = open_sessions(tmp_path)
    assert kept.principal(kept.begin(token_id)).name == f"admin/{token_id}"


def test_a_restart_logs_nobody_out(tmp_path: Path, token_id: str) -> None:
    cookie = open_sessions(tmp_path).begin(token_id)
    assert open_sessions(tmp_path).principal(cookie).may("anything")


def test_the_cookie_itself_is_not_kept(tmp_path: Path, token_id: str) -> None:
    cookie = open_sessions(tmp_path).begin(token_id)
    file = tmp_path / "sessions.json"
    assert cookie not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_session_ends_when_it_is_ended(tmp_path: Path, token_id: str) -> None:
    kept = open_sessions(tmp_path)
    cookie = kept.begin(token_id)
    kept.end(cookie)
    kept.end(cookie)
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def test_a_session_ends_with_its_token(tmp_path: Path, token_id: str) -> None:
    kept = open_sessions(tmp_path)
    cookie = kept.begin(token_id)
    project_access(tmp_path).revoke(token_id)
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def test_a_session_ends_after_its_time(tmp_path: Path, token_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LIFETIME_S", -1)
    kept = open_sessions(tmp_path)
    with pytest.raises(NotAuthenticated):
        kept.principal(kept.begin(token_id))


@pytest.mark.parametrize("cookie", ["", "0" * 64, "é"])
def test_a_made_up_cookie_is_nobodys(tmp_path: Path, token_id: str, cookie: str) -> None:
    kept = open_sessions(tmp_path)
    kept.begin(token_id)
    with pytest.raises(NotAuthenticated):
        kept.principal(cookie)


def test_the_oldest_sessions_give_way(tmp_path: Path, token_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    kept = open_sessions(tmp_path)
    first, *rest = (kept.begin(token_id) for _ in range(3))
    with pytest.raises(NotAuthenticated):
        kept.principal(first)
    assert all(kept.principal(cookie) for cookie in rest)


def test_a_broken_file_costs_only_the_sessions(tmp_path: Path, token_id: str) -> None:
    (tmp_path / "sessions.json").write_text("{")
    kept = open_sessions(tmp_path)
    assert kept.principal(kept.begin(token_id))


def test_forms_of_one_session_are_worthless_in_another() -> None:
    assert csrf_of("a") == csrf_of("a")
    assert csrf_of("a") != csrf_of("b")
    assert "a" * 64 not in csrf_of("a" * 64)
