"""Roles, and rights that are limited to some things."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.access.document import Held, KnownAccount, KnownKey, good_until_us, principal_of, rights_of
from octavo.access.roles import ADMIN, ONLY_ADMIN, ROLES, SUMMARIES, permissions_of, principal_in_role, roles_with
from octavo.principals import PERSON, SELF, SERVICE, Limited, Principal
from octavo.wiring import all_operations

NOW_US = 1_000_000
PERMISSIONS = sorted({p for held in ROLES.values() for p in held if p != "*"})


def test_every_role_says_what_it_is_for() -> None:
    assert ROLES.keys() == SUMMARIES.keys()


@pytest.mark.parametrize("operation", list(all_operations()), ids=lambda operation: operation.name)
def test_every_operation_is_in_some_role_or_left_to_administrators_on_purpose(operation: object) -> None:
    permission = getattr(operation, "permission", "")
    assert permission == SELF or permission in ONLY_ADMIN or set(roles_with(permission)) > {ADMIN}


def test_nobody_but_an_administrator_decides_who_may() -> None:
    assert roles_with("access:write") == (ADMIN,)


def test_who_releases_does_not_approve_and_who_approves_does_not_release() -> None:
    for role in ("author", "deployer", "reviewer", "auditor", "viewer", "caller"):
        assert "releases:approve" not in ROLES[role]
    assert not {"releases:write", "models:write"} & ROLES["approver"]


def test_readers_change_nothing() -> None:
    assert all(permission.endswith(":read") for permission in ROLES["viewer"])
    assert {permission for permission in ROLES["auditor"] if not permission.endswith(":read")} == {"audit:write"}


def test_a_role_that_is_gone_holds_nothing() -> None:
    assert permissions_of("emperor") == frozenset()


@pytest.mark.parametrize("permission", ["releases:approve", "models:approve-unsafe"])
def test_a_service_approves_nothing_even_as_administrator(permission: str) -> None:
    assert principal_in_role(ADMIN).may(permission)
    assert not principal_in_role(ADMIN, kind=SERVICE).may(permission)
    limited = principal_in_role(ADMIN, kind=SERVICE, about=("model", "m"))
    assert not limited.may(permission, about={"model": "m"})


def test_whoever_is_known_may_ask_about_themselves() -> None:
    assert Principal(name="ada", permissions=frozenset()).may(SELF)


# What an account may, against the plainest way to say it


@dataclass(frozen=True)
class Case:
    """An account with roles and a key, and a question."""

    roles: tuple[Held, ...]
    kind: str
    scopes: tuple[str, ...]
    permission: str
    about: dict[str, str]


things = st.sampled_from([("", ""), ("model", "a"), ("model", "b"), ("deployment", "a"), ("deployment", "c")])
held = st.builds(
    lambda role, thing, until_us: Held(role=role, about=thing[0], name=thing[1], until_us=until_us),
    st.sampled_from([*ROLES, "emperor"]),
    things,
    st.sampled_from([None, NOW_US, NOW_US + 1]),
)
cases = st.builds(
    Case,
    st.lists(held, max_size=4).map(tuple),
    st.sampled_from([PERSON, SERVICE]),
    st.lists(st.sampled_from(PERMISSIONS), max_size=3).map(tuple),
    st.sampled_from([*PERMISSIONS, "nobody:knows"]),
    st.fixed_dictionaries({}, optional={"model": st.sampled_from("ab"), "deployment": st.sampled_from("ac")}),
)


def expected(case: Case) -> bool:
    if case.kind == SERVICE and case.permission.partition(":")[2].startswith("approve"):
        return False
    if case.scopes and case.permission not in case.scopes:
        return False
    return any(
        (one.until_us is None or one.until_us > NOW_US)
        and (not one.about or case.about.get(one.about) == one.name)
        and bool({"*", case.permission} & ROLES.get(one.role, frozenset()))
        for one in case.roles
    )


@given(cases)
def test_an_account_may_what_its_valid_roles_say_within_its_keys_scopes(case: Case) -> None:
    account = KnownAccount(name="ada", kind=case.kind, roles=case.roles)
    key = KnownKey(id="k", account="ada", secret_sha256="", scopes=case.scopes, expires_at_us=NOW_US + 9)
    principal = principal_of(account, now_us=NOW_US, key=key)
    assert principal.may(case.permission, about=case.about or None) == expected(case)
    assert (principal.name, principal.subject, principal.kind) == ("ada/k", "ada", case.kind)


@given(cases)
def test_may_somewhere_is_no_narrower_than_may(case: Case) -> None:
    principal = principal_of(KnownAccount(name="ada", kind=case.kind, roles=case.roles), now_us=NOW_US)
    if principal.may(case.permission, about=case.about):
        assert principal.may_somewhere(case.permission)


def test_what_is_known_of_an_account_ends_with_its_first_role_or_its_key() -> None:
    roles = (Held(role="viewer", until_us=50), Held(role="author", until_us=70), Held(role="admin", until_us=3))
    account = KnownAccount(name="ada", kind=PERSON, roles=roles)
    key = KnownKey(id="k", account="ada", secret_sha256="", scopes=(), expires_at_us=60)
    assert good_until_us(account, key, now_us=10) == 50
    assert good_until_us(account, key, now_us=55) == 60
    assert good_until_us(KnownAccount(name="ada", kind=PERSON), None, now_us=0) is None


def test_any_change_of_rights_is_another_digest() -> None:
    base = principal_in_role("viewer")
    others = [
        principal_in_role("author"),
        principal_in_role("viewer", kind=SERVICE),
        principal_in_role("viewer", about=("model", "a")),
        Principal(
            name="x",
            permissions=base.permissions,
            limited=(Limited(about="model", name="a", permissions=frozenset({"a:b"})),),
        ),
    ]
    assert len({rights_of(one) for one in [base, *others]}) == 5
    assert rights_of(base) == rights_of(Principal(name="somebody else", permissions=base.permissions))
