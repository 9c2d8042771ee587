"""Logging in by OpenID Connect, against a real provider; and what a forger would send."""

import ast
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from tests.provider import CLIENT, SECRET, Claims, Provider, running_provider, signed
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import BROWSER, Door, Html, api, stranger

from octavo.access_settings import OidcSettings
from octavo.api.oidc import pending
from octavo.api.oidc.fetching import check_address, fetch_json
from octavo.api.oidc.provider import Provider as Asked
from octavo.config import Config
from octavo.errors import ConfigurationError, Unavailable
from octavo.governance.access.accounts import Account

ROLES = ("team=viewer", "leads = approver@model:arrival_delay", "root=admin")


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(shared: Provider) -> Provider:
    """The one provider, as if nobody had changed it."""
    fresh = Provider(key=shared.key, issuer=shared.issuer)
    vars(shared).update(vars(fresh))
    return shared


@pytest.fixture
def room(tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Showroom:
    monkeypatch.setenv("CLIENT_SECRET", SECRET)
    made = empty_showroom(tmp_path)
    config: Config = replace(made.context.config, oidc=settings(provider))
    return Showroom(context=replace(made.context, config=config), text="")


def settings(provider: Provider, **changes: Any) -> OidcSettings:
    given = {"client_secret": "env:CLIENT_SECRET", "url": "http://localhost", "roles": ROLES}
    return OidcSettings(**{"issuer": provider.issuer, "client_id": CLIENT, **given, **changes})


def begin(door: Door, back: str = "/models") -> str:
    """Follow the link on the login page; where the browser is sent."""
    answer = door.get("/login/oidc", params={"next": back})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def come_back(door: Door, answer: dict[str, str]) -> httpx.Response:
    return door.get(f"/login/oidc/callback?{urlencode(answer)}")


def log_in(room: Showroom, provider: Provider, back: str = "/models") -> tuple[Door, httpx.Response]:
    door = Door(room, headers=BROWSER)
    return door, come_back(door, provider.authorize(begin(door, back)))


def accounts(room: Showroom) -> list[Account]:
    with room.stores.metadata.transaction() as tx:
        return tx.find(Account)


# People who are who they say


def test_a_person_comes_in_with_the_roles_of_their_groups(room: Showroom, provider: Provider) -> None:
    provider.person["groups"] = ["team", "leads", "nobody knows"]
    door, welcome = log_in(room, provider)
    assert 'content="0;url=/models"' in welcome.text
    page = door.get("/models")
    assert page.status_code == 200
    assert "ada" in Html(page.text).text
    assert door.get("/audit").status_code == 403
    [account] = accounts(room)
    assert (account.name, account.groups) == ("ada", ("leads", "team"))
    assert account.identity == f"{provider.issuer} 248289761001"
    with room.stores.metadata.transaction() as tx:
        assert [(event.operation, event.target) for event in tx.audit()] == [("access.login", "account=ada")]


def test_an_unknown_group_gives_nothing(room: Showroom, provider: Provider) -> None:
    provider.person["groups"] = ["admin", "Team", "team=admin", "*"]
    door, _ = log_in(room, provider)
    assert door.get("/").status_code == 200
    assert door.get("/models").status_code == 403


@pytest.mark.parametrize("groups", ["root", {"root": 1}, None, [["root"]], 7])
def test_groups_that_are_no_list_of_names_give_nothing(room: Showroom, provider: Provider, groups: object) -> None:
    provider.person["groups"] = groups
    door, _ = log_in(room, provider)
    assert door.get("/models").status_code == 403


def test_who_leaves_a_group_has_its_role_no_longer_and_older_sessions_end(room: Showroom, provider: Provider) -> None:
    provider.person["groups"] = ["team"]
    first, _ = log_in(room, provider)
    assert first.get("/models").status_code == 200
    provider.person["groups"] = []
    second, _ = log_in(room, provider)
    assert second.get("/models").status_code == 403
    assert first.get("/models").status_code == 303
    assert len(accounts(room)) == 1


def test_somebody_disabled_is_not_let_in(room: Showroom, provider: Provider) -> None:
    log_in(room, provider)
    api(room).post("/api/access.disable", json={"account": "ada"})
    _, answer = log_in(room, provider)
    assert answer.status_code == 401
    assert "disabled" in answer.text


def test_a_name_takes_nothing_over_that_was_given_to_another(room: Showroom, provider: Provider) -> None:
    admin = api(room)
    admin.post("/api/access.add", json={"account": "ada"})
    admin.post("/api/access.grant", json={"account": "ada", "role": "admin"})
    door, answer = log_in(room, provider)
    assert answer.status_code == 401
    assert "not yours" in Html(answer.text).text
    assert door.get("/").status_code == 303


def test_an_administrator_can_say_whose_an_account_is(room: Showroom, provider: Provider) -> None:
    admin = api(room)
    admin.post("/api/access.add", json={"account": "countess", "identity": f"{provider.issuer} 248289761001"})
    admin.post("/api/access.grant", json={"account": "countess", "role": "viewer"})
    door, _ = log_in(room, provider)
    assert "countess" in Html(door.get("/models").text).text


@pytest.mark.parametrize("name", [None, "", "../../etc", "<b>", 7, "a b", "user:root", "x" * 99])
def test_a_name_that_cannot_be_one_is_replaced(room: Showroom, provider: Provider, name: object) -> None:
    provider.person["preferred_username"] = name
    log_in(room, provider)
    [account] = accounts(room)
    assert account.name.startswith("oidc-")
    assert len(account.name) == 17


def test_the_login_page_offers_it(room: Showroom) -> None:
    page = stranger(room).get("/login", params={"next": "/models?a=b"})
    assert "/login/oidc?next=/models%3Fa%3Db" in Html(page.text).links


def test_without_a_provider_there_is_no_such_door(tmp_path: Path) -> None:
    assert stranger(empty_showroom(tmp_path)).get("/login/oidc").status_code == 404


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "javascript:alert(1)"])
def test_nobody_is_led_away(room: Showroom, provider: Provider, back: str) -> None:
    _, welcome = log_in(room, provider, back)
    assert 'content="0;url=/"' in welcome.text


def test_keys_that_the_provider_changed_are_fetched_again(
    room: Showroom, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octavo.api.oidc.provider._AGAIN_S", -1.0)
    door = Door(room, headers=BROWSER)
    come_back(door, provider.authorize(begin(door)))
    before = provider.key
    try:
        provider.key = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})
        assert come_back(door, provider.authorize(begin(door))).status_code == 200
    finally:
        provider.key = before


# Answers that are not of this login


def refused(answer: httpx.Response) -> bool:
    return answer.status_code == 401 and "octavo_session" not in answer.headers.get("set-cookie", "")


def test_an_answer_works_once(room: Showroom, provider: Provider) -> None:
    door = Door(room, headers=BROWSER)
    answer = provider.authorize(begin(door))
    cookie = door.cookies["octavo_login"]
    assert come_back(door, answer).status_code == 200
    again = Door(room, headers={**BROWSER, "cookie": f"octavo_login={cookie}"})
    asked = len(provider.asked)
    assert refused(come_back(again, answer))
    assert len(provider.asked) == asked


def test_an_answer_to_another_browser_is_refused(room: Showroom, provider: Provider) -> None:
    theirs = Door(room, headers=BROWSER)
    answer = provider.authorize(begin(theirs))
    mine = Door(room, headers=BROWSER)
    assert refused(come_back(mine, answer))
    begin(mine)
    assert refused(come_back(mine, answer))


@pytest.mark.parametrize(
    "change",
    [
        {"state": "0" * 43},
        {"state": ""},
        {"state": "é"},
        {"code": "made up"},
        {"code": None},
        {"state": None},
        {"error": "access_denied"},
        {"iss": "https://another.example"},
        {"more": "x" * 5_000},
    ],
)
def test_an_answer_that_was_changed_is_refused(
    room: Showroom, provider: Provider, change: dict[str, str | None]
) -> None:
    door = Door(room, headers=BROWSER)
    answer = {n: v for n, v in {**provider.authorize(begin(door)), **change}.items() if v is not None}
    assert refused(come_back(door, answer))
    assert accounts(room) == []


def test_an_answer_comes_too_late(room: Showroom, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(room, headers=BROWSER)
    answer = provider.authorize(begin(door))
    monkeypatch.setattr(pending, "LASTS", pending.timedelta(seconds=-1))
    assert refused(come_back(door, answer))


def test_a_state_given_twice_is_refused(room: Showroom, provider: Provider) -> None:
    door = Door(room, headers=BROWSER)
    answer = provider.authorize(begin(door))
    path = f"/login/oidc/callback?{urlencode(answer)}&state={answer['state']}"
    assert refused(door.get(path))


def test_logins_that_nobody_ends_take_a_bounded_place(room: Showroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "_PLACES", 8)
    door = Door(room, headers=BROWSER)
    for _ in range(30):
        begin(door)
    with room.stores.metadata.transaction() as tx:
        assert len(tx.find(pending.PendingLogin)) <= 8


# What a forger would sign


def raw(header: Claims, claims: Claims, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hmac_signed(header: Claims, claims: Claims, key: bytes) -> str:
    unsigned = raw(header, claims).rpartition(".")[0]
    return f"{unsigned}.{urlsafe_b64encode(hmac.digest(key, unsigned.encode(), 'sha256')).rstrip(b'=').decode()}"


def with_claims(**changes: Any) -> Callable[[Provider, Claims], str]:
    """An honest signature over other claims; None leaves one out."""

    def sign(provider: Provider, claims: Claims) -> str:
        changed = {**claims, **{name: made(claims) if callable(made) else made for name, made in changes.items()}}
        return signed(provider, {name: value for name, value in changed.items() if value is not None})

    return sign


def with_header(**changes: Any) -> Callable[[Provider, Claims], str]:
    """The provider's own signature under a header that says more."""

    def sign(provider: Provider, claims: Claims) -> str:
        header = {"alg": "RS256", "kid": "k1", **changes}
        unsigned = raw(header, claims).rpartition(".")[0]
        signature = JWSRegistry.algorithms["RS256"].sign(unsigned.encode(), provider.key)
        return f"{unsigned}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    return sign


@cache
def forgers_key() -> RSAKey:
    return RSAKey.generate_key(2048)


def by_another_key(**header: Any) -> Callable[[Provider, Claims], str]:
    def sign(provider: Provider, claims: Claims) -> str:
        forger = forgers_key()
        made = {"alg": "RS256", "kid": "k1", **header}
        if "jwk" in made:
            made["jwk"] = forger.as_dict(private=False)
        unsigned = raw(made, claims).rpartition(".")[0]
        signature = JWSRegistry.algorithms["RS256"].sign(unsigned.encode(), forger)
        return f"{unsigned}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    return sign


def confused(kind: str) -> Callable[[Provider, Claims], str]:
    """Signed by HMAC with what everybody knows: the public key."""

    def sign(provider: Provider, claims: Claims) -> str:
        public = (
            provider.key.as_pem(private=False)
            if kind == "pem"
            else json.dumps(provider.key.as_dict(private=False)).encode()
        )
        return hmac_signed({"alg": "HS256", "kid": "k1"}, claims, public)

    return sign


def secret_among_the_keys(provider: Provider, claims: Claims) -> str:
    """Signed by a symmetric key that stands in the provider's own set."""
    provider.more_keys = [{"kty": "oct", "kid": "s", "k": urlsafe_b64encode(b"s" * 32).decode().rstrip("=")}]
    return hmac_signed({"alg": "HS256", "kid": "s"}, claims, b"s" * 32)


def by_a_key_for_encryption(provider: Provider, claims: Claims) -> str:
    key = RSAKey.generate_key(2048, {"kid": "e", "use": "enc"})
    provider.more_keys = [key.as_dict(private=False)]
    return jwt.encode(
        {"alg": "RS256", "kid": "e"}, claims, RSAKey.import_key({**key.as_dict(private=True), "use": "sig"})
    )


def by_an_algorithm_not_allowed(provider: Provider, claims: Claims) -> str:
    return jwt.encode({"alg": "RS384", "kid": "k1"}, claims, provider.key, algorithms=["RS384"])


def by_two_keys_of_one_name(provider: Provider, claims: Claims) -> str:
    other = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
    provider.more_keys = [other.as_dict(private=False)]
    return signed(provider, claims)


def another_payload(provider: Provider, claims: Claims) -> str:
    header, _, signature = signed(provider, claims).split(".")
    return f"{header}.{raw({}, {**claims, 'sub': 'root'}).split('.')[1]}.{signature}"


def unsigned(alg: str) -> Callable[[Provider, Claims], str]:
    return lambda _, claims: raw({"alg": alg, "kid": "k1"}, claims)


def cut(provider: Provider, claims: Claims) -> str:
    return signed(provider, claims)[:-4]


FORGERIES: dict[str, Callable[[Provider, Claims], Any]] = {
    **{f"alg {alg!r}": unsigned(alg) for alg in ("none", "None", "NONE", "nOnE", "")},
    "HMAC with the public key as PEM": confused("pem"),
    "HMAC with the public key as JWK": confused("jwk"),
    "a symmetric key in the set": secret_among_the_keys,
    "a key for encryption": by_a_key_for_encryption,
    "an algorithm that is not allowed": by_an_algorithm_not_allowed,
    "two keys of one name": by_two_keys_of_one_name,
    "another key under the same name": by_another_key(),
    "another key that the header brings": by_another_key(jwk={}),
    "another key by address": by_another_key(jku="https://evil.example/jwks"),
    "another key by certificate": by_another_key(x5u="https://evil.example/cert"),
    "another key of no name": by_another_key(kid="k9"),
    "a path for a name": by_another_key(kid="../../../dev/null"),
    "a name that is no text": by_another_key(kid=["k1"]),
    "an honest key, and jwk": with_header(jwk={"kty": "RSA"}),
    "an honest key, and jku": with_header(jku="https://evil.example/jwks"),
    "an honest key, and x5u": with_header(x5u="https://evil.example/cert"),
    "an honest key, and x5c": with_header(x5c=["MII"]),
    "crit": with_header(crit=["exp"], exp=1),
    "crit of what nobody knows": with_header(crit=["urn:x"], **{"urn:x": True}),
    "b64": with_header(b64=False, crit=["b64"]),
    "zip": with_header(zip="DEF"),
    "another payload": another_payload,
    "a signature that was cut": cut,
    "expired": with_claims(exp=lambda claims: claims["iat"] - 31),
    "no end": with_claims(exp=None),
    "an end that is text": with_claims(exp="never"),
    "no beginning": with_claims(iat=None),
    "a beginning to come": with_claims(iat=lambda claims: claims["iat"] + 3_600),
    "not yet": with_claims(nbf=lambda claims: claims["iat"] + 3_600),
    "another audience": with_claims(aud="another"),
    "no audience": with_claims(aud=None),
    "several audiences": with_claims(aud=[CLIENT, "another"]),
    "made for another client": with_claims(azp="another"),
    "a client's name within another": with_claims(aud=f"{CLIENT}-dev"),
    "another issuer": with_claims(iss="https://evil.example"),
    "an issuer that ends in a slash": with_claims(iss=lambda claims: claims["iss"] + "/"),
    "no issuer": with_claims(iss=None),
    "another nonce": with_claims(nonce="0" * 43),
    "no nonce": with_claims(nonce=None),
    "a nonce that is no text": with_claims(nonce=[1]),
    "nobody": with_claims(sub=None),
    "an empty somebody": with_claims(sub=""),
    "somebody who is no text": with_claims(sub=1),
    "no token": lambda *_: "no token",
    "an encrypted token": lambda *_: "a.b.c.d.e",
    "a token of null": lambda *_: None,
    "a token that is an object": lambda *_: {"alg": "none"},
    "a token too long": lambda provider, claims: signed(provider, {**claims, "x": "x" * 70_000}),
}


@pytest.mark.parametrize("sign", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_refused(room: Showroom, provider: Provider, sign: Callable[[Provider, Claims], str]) -> None:
    provider.sign = sign
    door, answer = log_in(room, provider)
    assert refused(answer)
    assert accounts(room) == []
    assert door.get("/").status_code == 303


@pytest.mark.parametrize(
    "sign",
    [
        with_claims(aud=[CLIENT]),
        with_claims(aud=[CLIENT, "another"], azp=CLIENT),
        with_claims(exp=lambda c: c["iat"] - 5),
        with_header(typ="JWT"),
    ],
    ids=["one in a list", "several, made for us", "just expired, by clocks that differ", "typ"],
)
def test_what_is_honest_is_taken(room: Showroom, provider: Provider, sign: Callable[[Provider, Claims], str]) -> None:
    provider.sign = sign
    assert log_in(room, provider)[1].status_code == 200


def test_a_token_by_an_elliptic_curve_is_taken(room: Showroom, provider: Provider) -> None:
    key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
    provider.more_keys = [key.as_dict(private=False)]
    provider.sign = lambda _, claims: jwt.encode({"alg": "ES256", "kid": "ec"}, claims, key, algorithms=["ES256"])
    assert log_in(room, provider)[1].status_code == 200


# The provider itself


def test_a_provider_that_says_it_is_another_is_refused(room: Showroom, provider: Provider) -> None:
    provider.told_issuer = "https://evil.example"
    assert stranger(room).get("/login/oidc").status_code == 401


def test_a_provider_that_is_away_keeps_nobody_from_logging_in_otherwise(room: Showroom) -> None:
    config = replace(room.context.config, oidc=replace(room.context.config.oidc, issuer="http://127.0.0.1:9"))
    away = Showroom(context=replace(room.context, config=config), text="")
    answer = stranger(away).get("/login/oidc", headers=BROWSER)
    assert answer.status_code == 401
    assert "does not answer" in Html(answer.text).text
    assert stranger(away).get("/login").status_code == 200


@pytest.mark.parametrize(
    "url",
    ["http://provider.example", "ftp://127.0.0.1", "//provider.example", "https://", "https://a:b@c", "http://[", ""],
)
def test_logins_cross_no_network_in_the_clear(url: str) -> None:
    with pytest.raises(ConfigurationError, match="HTTPS"):
        check_address(url)


@pytest.mark.parametrize("missing", ["client_id", "url"])
def test_a_setting_that_is_missing_is_named(provider: Provider, missing: str) -> None:
    with pytest.raises(ConfigurationError, match=missing):
        Asked(settings(provider, **{missing: ""}))


@pytest.mark.parametrize("line", ["team", "team=emperor", "=viewer", "team=viewer@view:x", "team=viewer@model:", ""])
def test_a_mapping_of_groups_that_cannot_be_read_keeps_control_from_starting(provider: Provider, line: str) -> None:
    with pytest.raises(ConfigurationError, match="is no mapping"):
        Asked(settings(provider, roles=(line,)))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1", ""])
def test_no_algorithm_with_a_shared_secret_can_be_set(provider: Provider, algorithm: str) -> None:
    with pytest.raises(ConfigurationError, match="algorithms"):
        Asked(settings(provider, algorithms=("RS256", algorithm)))


def test_a_redirect_is_not_followed(provider: Provider) -> None:
    with pytest.raises(Unavailable, match="answered 400"):
        fetch_json(f"{provider.issuer}/elsewhere")


def test_tokens_are_believed_in_one_module_only() -> None:
    root = Path(__file__).parents[3] / "src" / "octavo"
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "joserfc")
        or (isinstance(node, ast.Import) and any(name.name.partition(".")[0] == "joserfc" for name in node.names))
    }
    assert found == {"api/oidc/tokens.py"}
