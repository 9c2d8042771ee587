"""Tokens and login codes."""

import os
import stat
from pathlib import Path

import pytest

from octavo.access import AccessFile, ensure_admin, issue_login, local_token, project_access, redeem_login
from octavo.errors import ConfigurationError, NotAuthenticated, NotFound


@pytest.fixture
def access(tmp_path: Path) -> AccessFile:
    return project_access(tmp_path)


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_an_issued_token_names_its_holder_and_permissions(access: AccessFile) -> None:
    principal = access.authenticate(bearer(access.issue(name="ada", permissions=["models:read"])))
    assert principal.name.startswith("ada/")
    assert principal.may("models:read")
    assert not principal.may("models:write")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", "Basic YTpi", "Bearer octavo_00000000_" + "0" * 64])
def test_anything_but_a_known_token_is_refused(access: AccessFile, header: str | None) -> None:
    access.issue(name="ada", permissions=["*"])
    with pytest.raises(NotAuthenticated):
        access.authenticate(header)


def test_a_token_with_another_secret_is_refused(access: AccessFile) -> None:
    token = access.issue(name="ada", permissions=["*"])
    with pytest.raises(NotAuthenticated):
        access.verify(token[:-64] + "0" * 64)


def test_nobody_may_call_a_project_without_tokens(access: AccessFile) -> None:
    with pytest.raises(NotAuthenticated):
        access.verify("octavo_00000000_" + "0" * 64)


def test_a_revoked_token_is_refused_by_other_readers_of_the_file(access: AccessFile, tmp_path: Path) -> None:
    token = access.issue(name="ada", permissions=["*"])
    elsewhere = project_access(tmp_path)
    elsewhere.verify(token)
    access.revoke(token.split("_")[1])
    with pytest.raises(NotAuthenticated):
        elsewhere.verify(token)


def test_revoking_an_unknown_token_says_so(access: AccessFile) -> None:
    with pytest.raises(NotFound):
        access.revoke("00000000")


def test_neither_the_secret_nor_the_token_stands_in_the_file(access: AccessFile, tmp_path: Path) -> None:
    token = access.issue(name="ada", permissions=["*"])
    assert token.split("_")[2] not in (tmp_path / "access.json").read_text()


@pytest.mark.parametrize("name", ["access.json", "token"])
def test_private_files_can_be_read_by_their_owner_only(tmp_path: Path, name: str) -> None:
    ensure_admin(tmp_path)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_broken_file_is_an_error_that_names_it(access: AccessFile, tmp_path: Path) -> None:
    (tmp_path / "access.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"access\.json"):
        access.verify("octavo_00000000_" + "0" * 64)


@pytest.mark.parametrize("name", ["", "Ada", "a b", "a/b", "x" * 64])
def test_a_token_needs_a_plain_name(access: AccessFile, name: str) -> None:
    with pytest.raises(ConfigurationError):
        access.issue(name=name, permissions=[])


def test_the_first_start_makes_an_administrator_and_a_second_does_not(tmp_path: Path) -> None:
    made = ensure_admin(tmp_path)
    assert made is not None
    assert ensure_admin(tmp_path) is None
    assert local_token(tmp_path) == made
    assert project_access(tmp_path).verify(made).may("anything")


def test_a_login_code_works_once(tmp_path: Path) -> None:
    token = ensure_admin(tmp_path)
    code = issue_login(tmp_path)
    assert token is not None
    assert redeem_login(tmp_path, code) == token.split("_")[1]
    with pytest.raises(NotAuthenticated):
        redeem_login(tmp_path, code)


def test_a_login_code_is_too_old_after_a_day(tmp_path: Path) -> None:
    ensure_admin(tmp_path)
    code = issue_login(tmp_path)
    (file,) = (tmp_path / "logins").iterdir()
    os.utime(file, (0, 0))
    with pytest.raises(NotAuthenticated):
        redeem_login(tmp_path, code)


@pytest.mark.parametrize("code", ["", "../access.json", "\x00", "é"])
def test_a_made_up_login_code_is_refused(tmp_path: Path, code: str) -> None:
    ensure_admin(tmp_path)
    with pytest.raises(NotAuthenticated):
        redeem_login(tmp_path, code)


def test_a_machine_without_a_local_token_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(NotAuthenticated, match="octavo up"):
        local_token(tmp_path)


def test_a_header_seen_before_is_believed_for_as_long_as_was_said(tmp_path: Path) -> None:
    patient, exact = AccessFile(tmp_path / "access.json", look_every_s=3600), AccessFile(tmp_path / "access.json")
    token = exact.issue(name="ada", permissions=["*"])
    for access in (patient, exact):
        assert access.authenticate(bearer(token)).may("models:read")
    exact.revoke(exact.tokens()[0].id)
    assert patient.authenticate(bearer(token)).may("models:read")
    with pytest.raises(NotAuthenticated):
        exact.authenticate(bearer(token))
