"""Who may what, as operations: accounts, roles, keys, and what is published of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import api, stranger

from octavo.access import Authority, ensure_admin, local_token, project_access
from octavo.access.document import DOCUMENT
from octavo.access.keys import read_key
from octavo.api.app import known_callers
from octavo.config import Config
from octavo.errors import Conflict, InvalidRequest, NotAllowed, NotAuthenticated, NotFound, Unavailable
from octavo.governance.access import publication
from octavo.governance.access import requests as access
from octavo.governance.access.accounts import AccessKey, AccessState, Account, Grant
from octavo.governance.access.publication import local_principal, publish_access
from octavo.governance.access.upkeep import AccessUpkeep, note_uses
from octavo.operations import Dispatcher
from octavo.principals import SERVICE, Principal
from octavo.release.documents import published_number
from octavo.wiring import all_operations

ADMIN = Principal(name="user:root", permissions=frozenset({"*"}))


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    return empty_showroom(tmp_path)


@pytest.fixture
def known(room: Showroom) -> Authority:
    return known_callers(room.context)


def call(room: Showroom, request: object, principal: Principal = ADMIN) -> Any:
    return Dispatcher(all_operations(), room.context).call(request, principal)


def add(room: Showroom, *names: str) -> None:
    for name in names:
        call(room, access.AddAccount(account=name))


def service(room: Showroom, name: str = "ci", role: str = "caller") -> None:
    add(room, "ada")
    call(room, access.AddAccount(account=name, kind=SERVICE, owner="ada"))
    call(room, access.GrantRole(account=name, role=role))


# Accounts


@pytest.mark.parametrize("name", ["", "Ada", "a b", "a/b", "user:", "x" * 64, "a\n"])
def test_an_account_needs_a_plain_name(room: Showroom, name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot name an account"):
        add(room, name)


@pytest.mark.parametrize("name", ["ada", "user:ada", "ada@example.org", "a-1_b.c"])
def test_plain_names_are_taken(room: Showroom, name: str) -> None:
    add(room, name)
    assert [one.account.name for one in call(room, access.ListAccounts())] == [name]


def test_two_accounts_have_two_names(room: Showroom) -> None:
    add(room, "ada")
    with pytest.raises(Conflict):
        add(room, "ada")


def test_a_service_needs_a_person_who_answers_for_it(room: Showroom) -> None:
    with pytest.raises(InvalidRequest, match="owner"):
        call(room, access.AddAccount(account="ci", kind=SERVICE))
    with pytest.raises(NotFound):
        call(room, access.AddAccount(account="ci", kind=SERVICE, owner="ada"))
    service(room)
    with pytest.raises(InvalidRequest, match="service itself"):
        call(room, access.AddAccount(account="cd", kind=SERVICE, owner="ci"))
    with pytest.raises(InvalidRequest, match="no kind"):
        call(room, access.AddAccount(account="cd", kind="robot"))


def test_a_service_whose_owner_has_left_is_told_of(room: Showroom) -> None:
    service(room)
    call(room, access.DisableAccount(account="ada"))
    [_, ci] = call(room, access.ListAccounts())
    assert ci.owner_is_disabled


# Roles


def test_a_role_is_given_for_a_while_and_taken_back(room: Showroom, known: Authority) -> None:
    add(room, "ada")
    given = call(room, access.GrantRole(account="ada", role="approver", deployment="eta", lasts="7d"))
    assert timedelta(days=6, hours=23) < given.until - datetime.now(UTC) <= timedelta(days=7)
    assert (found := known.holder("account:ada")) is not None
    assert found.may("releases:approve", about={"deployment": "eta"})
    assert not found.may("releases:approve")
    call(room, access.RevokeRole(account="ada", role="approver", deployment="eta"))
    assert (found := known.holder("account:ada")) is not None
    assert not found.may_somewhere("releases:approve")
    with pytest.raises(NotFound):
        call(room, access.RevokeRole(account="ada", role="approver", deployment="eta"))


def test_a_service_is_no_approver(room: Showroom) -> None:
    with pytest.raises(InvalidRequest, match="services approve nothing"):
        service(room, role="approver")


def test_a_role_is_one_there_is_about_something_there_is(room: Showroom) -> None:
    add(room, "ada")
    with pytest.raises(InvalidRequest, match="no role"):
        call(room, access.GrantRole(account="ada", role="emperor"))
    with pytest.raises(NotFound):
        call(room, access.GrantRole(account="ada", role="viewer", model="gone"))
    with pytest.raises(NotFound):
        call(room, access.GrantRole(account="eve", role="viewer"))
    with pytest.raises(InvalidRequest, match="model or about a deployment"):
        call(room, access.GrantRole(account="ada", role="viewer", model="arrival_delay", deployment="eta"))
    with pytest.raises(InvalidRequest, match="no while"):
        call(room, access.GrantRole(account="ada", role="viewer", lasts="for ever"))


def test_whoever_administers_one_model_gives_roles_about_that_one_only(room: Showroom) -> None:
    add(room, "ada", "bob")
    call(room, access.GrantRole(account="ada", role="admin", model="arrival_delay"))
    ada = publication.principal_in_records(room.context, "ada")
    call(room, access.GrantRole(account="bob", role="author", model="arrival_delay"), ada)
    call(room, access.GrantRole(account="bob", role="deployer", deployment="eta"), ada)
    for wider in (
        access.GrantRole(account="ada", role="admin"),
        access.GrantRole(account="bob", role="author", model="arrives_late"),
        access.GrantRole(account="ada", role="admin", deployment="late"),
        access.AddAccount(account="eve"),
        access.CreateKey(account="ada"),
        access.DisableAccount(account="bob"),
    ):
        with pytest.raises(NotAllowed):
            call(room, wider, ada)


# Keys


def test_a_key_is_told_once_and_only_the_hash_of_its_secret_is_kept(room: Showroom, known: Authority) -> None:
    service(room)
    made = call(room, access.CreateKey(account="ci", scopes=("predictions:write",), lasts="30d", note="tests"))
    principal = known.authenticate(f"Bearer {made.text}")
    assert (principal.name, principal.subject, principal.kind) == (f"ci/{made.key.id}", "ci", SERVICE)
    assert principal.permissions == {"predictions:write"}
    secret = made.text.split("_")[2]
    with room.stores.metadata.transaction() as tx:
        kept = [repr(found) for kind in (AccessKey, Account, Grant) for found in tx.find(kind)]
        kept += [repr(event) for event in tx.audit()]
    kept += [repr(call(room, access.ListKeys())), repr(room.stores.artifacts.published(DOCUMENT))]
    assert not [text for text in kept if secret in text or secret[:43] in text]
    assert any(read_key(made.text).secret_sha256 in text for text in kept)


def test_a_key_carries_no_more_than_its_account_may(room: Showroom, known: Authority) -> None:
    service(room)
    for scope, why in (
        ("models:write", "may not models:write itself"),
        ("releases:approve", "approve nothing"),
        ("*", "no permission"),
    ):
        with pytest.raises(InvalidRequest, match=why.replace("*", "")):
            call(room, access.CreateKey(account="ci", scopes=(scope,)))
    made = call(room, access.CreateKey(account="ci", scopes=("events:write",)))
    call(room, access.RevokeRole(account="ci", role="caller"))
    assert not known.authenticate(f"Bearer {made.text}").may_somewhere("events:write")


def test_an_account_has_two_live_keys_at_most(room: Showroom) -> None:
    service(room)
    first, _ = (call(room, access.CreateKey(account="ci")) for _ in range(2))
    with pytest.raises(Conflict, match="2 live keys"):
        call(room, access.CreateKey(account="ci"))
    call(room, access.RevokeKey(key=first.key.id))
    assert call(room, access.CreateKey(account="ci"))
    with pytest.raises(Conflict, match="ended already"):
        call(room, access.RevokeKey(key=first.key.id))
    with pytest.raises(NotFound):
        call(room, access.RevokeKey(key="gone"))


def test_a_rotated_key_lasts_for_its_overlap_and_the_new_one_carries_the_same(room: Showroom, known: Authority) -> None:
    service(room)
    old = call(room, access.CreateKey(account="ci", scopes=("events:write",)))
    new = call(room, access.RotateKey(key=old.key.id, overlap="2d"))
    assert new.key.scopes == ("events:write",)
    for made in (old, new):
        assert known.authenticate(f"Bearer {made.text}").permissions == {"events:write"}
    ends = {key.id: key.expires_at for key in call(room, access.ListKeys(account="ci"))}
    assert ends[old.key.id] - datetime.now(UTC) <= timedelta(days=2)
    assert ends[new.key.id] - datetime.now(UTC) > timedelta(days=80)


def test_a_disabled_account_is_out_until_it_is_enabled(room: Showroom, known: Authority) -> None:
    service(room)
    made = call(room, access.CreateKey(account="ci"))
    call(room, access.DisableAccount(account="ci"))
    with pytest.raises(Exception, match="no longer, valid"):
        known.authenticate(f"Bearer {made.text}")
    with pytest.raises(Conflict, match="disabled"):
        call(room, access.CreateKey(account="ci"))
    call(room, access.EnableAccount(account="ci"))
    assert known.authenticate(f"Bearer {made.text}").may("events:write")


def test_uses_of_keys_come_into_the_records(room: Showroom, tmp_path: Path) -> None:
    service(room)
    made = call(room, access.CreateKey(account="ci"))
    AccessUpkeep(room.context, lambda: {made.key.id: 3600, "gone": 3600}).do()
    note_uses(room.context, {made.key.id: 0})
    [key] = call(room, access.ListKeys())
    assert key.used_at == datetime(1970, 1, 1, 1, tzinfo=UTC)


def test_tokens_of_this_machine_are_listed_and_revoked_as_keys_are(room: Showroom, known: Authority) -> None:
    tokens = project_access(room.context.config.home)
    text = tokens.issue(name="eve", permissions=["models:read"])
    [listed] = call(room, access.ListKeys())
    assert (listed.id, listed.account, listed.scopes, listed.live) == (
        text.split("_")[1],
        "eve",
        ("models:read",),
        True,
    )
    assert known.verify(text).may("models:read")
    assert not call(room, access.RevokeKey(key=listed.id)).live
    with pytest.raises(NotAuthenticated):
        known.verify(text)
    assert call(room, access.ListKeys()) == ()


# The doors


def test_a_key_opens_the_api_as_far_as_it_goes(room: Showroom) -> None:
    admin = api(room)
    for path, body in (
        ("access.add", {"account": "ada"}),
        ("access.grant", {"account": "ada", "role": "viewer"}),
    ):
        assert admin.post(f"/api/{path}", json=body).status_code == 200
    made = admin.post("/api/access.create_key", json={"account": "ada", "lasts": "1d"}).json()
    headers = {"authorization": f"Bearer {made['text']}"}
    caller = stranger(room)
    assert caller.post("/api/models.list", json={}, headers=headers).status_code == 200
    assert caller.post("/api/models.train", json={"model": "arrival_delay"}, headers=headers).status_code == 403
    me = caller.post("/api/access.whoami", json={}, headers=headers).json()
    assert (me["subject"], me["kind"]) == ("ada", "person")
    admin.post("/api/access.revoke_key", json={"key": made["key"]["id"]})
    assert caller.post("/api/models.list", json={}, headers=headers).status_code == 401


def test_a_stranger_to_an_operation_is_refused_before_the_body_is_read(room: Showroom) -> None:
    caller = api(room, permissions=["models:read"])
    huge = b'{"deployment": "' + b"x" * 200_000 + b'"}'
    assert caller.post("/api/releases.start", content=huge).status_code == 403
    assert caller.post("/api/releases.start", content=b"no JSON").status_code == 403
    assert caller.post("/events/landings", content=huge).status_code == 403


# What is published


def test_each_change_is_a_document_with_a_higher_number(room: Showroom) -> None:
    artifacts = room.stores.artifacts
    assert published_number(artifacts, DOCUMENT) == 0
    add(room, "ada")
    call(room, access.GrantRole(account="ada", role="viewer"))
    assert published_number(artifacts, DOCUMENT) == 2
    publish_access(room.context)
    assert published_number(artifacts, DOCUMENT) == 2


def test_an_empty_project_publishes_nothing(room: Showroom) -> None:
    publish_access(room.context)
    assert room.stores.artifacts.published(DOCUMENT) is None


def test_records_of_a_backup_are_published_under_a_number_that_processes_take(room: Showroom, known: Authority) -> None:
    add(room, "ada", "bob")
    with room.stores.metadata.transaction() as tx:  # as if restored from before bob
        tx.replace(state := tx.get(AccessState, "access"), AccessState(sequence=1))  # type: ignore[type-var]
        assert state is not None
        tx.put(Account(name="bob", made_at=datetime.now(UTC), made_by="x", disabled_at=datetime.now(UTC)))
    assert known.holder("account:bob") is not None
    publish_access(room.context)
    assert published_number(room.stores.artifacts, DOCUMENT) == 3
    assert known.holder("account:bob") is None


def test_a_change_that_cannot_be_published_says_so_and_is_published_later(
    room: Showroom, known: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the artifacts are away")

    with monkeypatch.context() as patched:
        patched.setattr(room.stores.artifacts, "publish", away)
        with pytest.raises(Unavailable):
            add(room, "ada")
    assert known.holder("account:ada") is None
    AccessUpkeep(room.context, dict).do()
    assert known.holder("account:ada") is not None
    with room.stores.metadata.transaction() as tx:
        assert [event.outcome for event in tx.audit()] == ["done"]


# Why, and who


def explain(room: Showroom, what: str, principal: Principal = ADMIN, **more: str) -> Any:
    return call(room, access.ExplainAccess(what=what, **more), principal)


def test_an_explanation_says_why_and_what_would_help(room: Showroom) -> None:
    add(room, "ada")
    call(room, access.GrantRole(account="ada", role="viewer"))
    call(room, access.GrantRole(account="ada", role="deployer", model="arrival_delay"))
    yes = explain(room, "releases.start", account="ada", deployment="eta")
    assert (yes.allowed, yes.permission, yes.fix) == (True, "releases:write", "")
    assert "about the model arrival_delay" in yes.because
    no = explain(room, "releases:write", account="ada", deployment="late")
    assert not no.allowed
    assert no.because == "ada holds releases:write about the model arrival_delay, but not about the deployment late"
    assert no.fix == "ask an administrator for: octavo access grant ada deployer --deployment late"
    none = explain(room, "models.train", account="ada")
    assert (none.because, none.roles) == (
        "no role of ada holds models:write about the whole project",
        ("author", "admin"),
    )
    assert explain(room, "access.whoami", account="ada").allowed
    assert "administrator to do it" in explain(room, "access.grant", account="ada").fix


def test_a_service_is_told_that_only_people_approve(room: Showroom) -> None:
    service(room, role="admin")
    found = explain(room, "releases.approve", account="ci")
    assert (found.allowed, found.because) == (False, "ci is a service, and only people approve")


def test_everybody_may_ask_about_themselves_and_few_about_others(room: Showroom) -> None:
    add(room, "ada")
    nobody = Principal(name="bob/1", subject="bob", permissions=frozenset())
    assert not explain(room, "models:read", nobody).allowed
    assert not explain(room, "models:read", nobody, account="bob").allowed
    with pytest.raises(NotAllowed, match="access:read"):
        explain(room, "models:read", nobody, account="ada")
    with pytest.raises(NotFound):
        explain(room, "models.gone", nobody)


def test_somebody_is_the_same_by_commands_by_the_machines_token_and_in_the_console(
    room: Showroom, known: Authority
) -> None:
    home = room.context.config.home
    ensure_admin(home)
    me, token = local_principal(room.context), local_token(home)
    assert me.subject == known.verify(token).subject == me.name
    call(room, access.AddAccount(account="ada", local_user=me.name))
    with pytest.raises(Conflict, match="is ada already"):
        call(room, access.AddAccount(account="eve", local_user=me.name))
    key = call(room, access.CreateKey(account="ada")).text
    id_ = token.split("_")[1]
    found = [
        known.verify(token),
        known.authenticate(f"Bearer {token}"),
        known.holder(f"token:{id_}"),
        known.verify(key),
    ]
    assert {one.subject for one in [*found, local_principal(room.context)] if one} == {"ada"}
    assert local_principal(room.context).name == me.name


def test_commands_act_for_the_user_of_this_machine(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    me = local_principal(room.context)
    assert me.name.startswith("user:")
    assert me.may("anything")
    config: Config = replace(room.context.config, access=replace(room.context.config.access, local="granted"))
    bound = Showroom(context=replace(room.context, config=config), text="")
    assert not local_principal(bound.context).may("models:read")
    add(room, me.name)
    call(room, access.GrantRole(account=me.name, role="viewer"))
    assert local_principal(bound.context).may("models:read")
    assert not local_principal(bound.context).may("models:write")
    assert local_principal(bound.context).subject == me.subject
