"""The authority: callers by keys and tokens, from documents as they come."""

import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from octavo.access import AccessFile, Authority, authority, project_access
from octavo.access.document import AccessDocument, Held, KnownAccount, KnownKey
from octavo.access.keys import NewKey, checksum, make_key
from octavo.errors import NotAuthenticated, Unavailable
from octavo.principals import PERSON, SERVICE

NOW_S = 1_700_000_000.0
US = 1_000_000


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def tokens(tmp_path: Path) -> AccessFile:
    return project_access(tmp_path)


@pytest.fixture
def key() -> NewKey:
    return make_key()


def document(
    key: NewKey, *, kind: str = PERSON, lasts_s: float = 3600, role: str = "viewer", **more: object
) -> AccessDocument:
    known = KnownKey(
        id=key.id,
        account="ada",
        secret_sha256=key.secret_sha256,
        scopes=(),
        expires_at_us=int((NOW_S + lasts_s) * US),
    )
    held = Held(role=role, **more)  # type: ignore[arg-type]  # whatever a test says of it
    return AccessDocument(
        project="p", sequence=1, accounts=(KnownAccount(name="ada", kind=kind, roles=(held,)),), keys=(known,)
    )


def bearer(key: NewKey) -> str:
    return f"Bearer {key.text}"


def test_a_key_names_its_account_and_what_that_may(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    known.apply(document(key))
    for _ in range(2):  # by its secret, and as a header that was seen before
        principal = known.authenticate(bearer(key))
        assert (principal.name, principal.subject) == (f"ada/{key.id}", "ada")
        assert principal.may("models:read")
        assert not principal.may("models:write")


def test_tokens_of_this_machine_go_on_working(tokens: AccessFile, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    token = tokens.issue(name="admin", permissions=["*"])
    assert known.authenticate(f"Bearer {token}").may("anything")
    assert known.verify(token).may("anything")
    tokens.revoke(token.split("_")[1])
    with pytest.raises(NotAuthenticated):
        known.authenticate(f"Bearer {token}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Bearer octavo_00000000_" + "0" * 64])
def test_anything_else_is_refused(tokens: AccessFile, key: NewKey, header: str | None) -> None:
    known = Authority(tokens)
    known.apply(document(key))
    with pytest.raises(NotAuthenticated):
        known.authenticate(header)


def test_another_secret_of_the_same_id_is_refused(tokens: AccessFile, key: NewKey) -> None:
    known = Authority(tokens)
    known.apply(document(key))
    body = f"octavo_{key.id}_{make_key().text.split('_')[2][:-6]}"
    with pytest.raises(NotAuthenticated, match="no longer"):
        known.authenticate(f"Bearer {body}{checksum(body)}")


def test_a_key_that_the_next_document_lacks_is_worthless_at_once(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    known.apply(document(key))
    known.authenticate(bearer(key))
    known.apply(replace(document(key), keys=()))
    with pytest.raises(NotAuthenticated):
        known.authenticate(bearer(key))


def test_a_key_of_an_account_that_is_gone_is_worthless(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    known.apply(replace(document(key), accounts=()))
    with pytest.raises(NotAuthenticated):
        known.authenticate(bearer(key))


def test_a_key_ends_by_itself_also_for_a_header_that_was_seen(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    known.apply(document(key, lasts_s=60))
    known.authenticate(bearer(key))
    clock.now_s += 60
    with pytest.raises(NotAuthenticated, match="expired"):
        known.authenticate(bearer(key))


def test_a_role_ends_by_itself_also_for_a_header_that_was_seen(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    known.apply(document(key, until_us=int((NOW_S + 60) * US)))
    assert known.authenticate(bearer(key)).may("models:read")
    clock.now_s += 60
    assert not known.authenticate(bearer(key)).may("models:read")


def test_the_use_of_a_key_is_noted_to_the_hour(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    known.apply(document(key, lasts_s=9 * 3600))
    known.authenticate(bearer(key))
    first = known.used()[key.id]
    assert first % 3600 == 0
    assert 0 <= NOW_S - first < 3600
    clock.now_s += 2 * 3600
    known.authenticate(bearer(key))
    assert known.used()[key.id] - first == 2 * 3600


def test_a_person_logs_in_by_a_key_and_a_service_does_not(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    known.apply(document(key))
    assert known.login(key.text) == f"key:{key.id}"
    known.apply(document(key, kind=SERVICE))
    with pytest.raises(NotAuthenticated, match="services do not log in"):
        known.login(key.text)


def test_what_stands_behind_a_session(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    known = Authority(tokens, now_s=clock)
    known.apply(document(key))
    token = tokens.issue(name="admin", permissions=["*"])
    holder = known.login(token)
    assert (found := known.holder(holder)) is not None
    assert found.name == f"admin/{token.split('_')[1]}"
    assert (found := known.holder("account:ada")) is not None
    assert found.name == "ada"
    assert known.holder("account:eve") is None
    assert (found := known.holder(f"key:{key.id}")) is not None
    assert found.name == f"ada/{key.id}"
    assert known.holder("key:0000000000") is None
    assert known.holder("token:00000000") is None


def test_a_look_that_fails_leaves_what_was_known(tokens: AccessFile, key: NewKey, clock: Time) -> None:
    def away() -> None:
        raise Unavailable("gone")

    known = Authority(tokens, look=away, now_s=clock)
    known.apply(document(key))
    assert known.authenticate(bearer(key)).may("models:read")


# No time tells which ids exist


def test_an_unknown_id_costs_the_same_steps_as_a_wrong_secret(
    tokens: AccessFile, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Authority(tokens)
    known.apply(document(key))
    compared: list[tuple[int, int]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(authority, "compare_digest", compare)
    steps = {}
    for name, text in (("wrong secret", _sent(key.id)), ("unknown id", _sent("0" * 10))):
        compared.clear()
        with pytest.raises(NotAuthenticated) as refused:
            known.verify(text)
        steps[name] = (list(compared), refused.value.message)
    assert steps["wrong secret"] == steps["unknown id"] == ([(64, 64)], "that key is not, or no longer, valid here")


def test_time_does_not_tell_an_unknown_id_from_a_wrong_secret(tokens: AccessFile, key: NewKey) -> None:
    """The quickest tenth of many refusals of either kind, taken by turns, takes the same to within a quarter."""
    known = Authority(tokens)
    known.apply(document(key))
    known_id, unknown_id = [_sent(key.id) for _ in range(50)], [_sent(make_key().id) for _ in range(50)]
    times: dict[bool, list[int]] = {True: [], False: []}
    for turn in range(4_000):
        of_known = turn % 2 == 0
        text = (known_id if of_known else unknown_id)[turn // 2 % 50]
        times[of_known].append(_time(lambda text=text: known.verify(text)))  # type: ignore[misc]
    quick = {of_known: statistics.quantiles(taken, n=10)[0] for of_known, taken in times.items()}
    assert 0.8 < quick[True] / quick[False] < 1.25


def _sent(id_: str) -> str:
    secret = hashlib.sha256(make_key().text.encode()).hexdigest()[:43]
    body = f"octavo_{id_}_{secret}"
    return body + checksum(body)


def _time(do: Callable[[], object]) -> int:
    began = time.perf_counter_ns()
    try:
        do()
    except NotAuthenticated:
        return time.perf_counter_ns() - began
    raise AssertionError("it was let in")
