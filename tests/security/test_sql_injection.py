"""Text of callers never becomes SQL: filters and orders are parsed to data, and every value is bound."""

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import octavo
from octavo.errors import OctavoError
from octavo.stores.searches import Comparing, Condition, Search, is_like
from octavo.stores.sql import SqlMetadata
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.filters import conditions_of, orders_of
from tests.security.sites import parsed
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import Door, api
from tests.showrooms.moments import NOW

PACKAGE = Path(octavo.__file__).parent
INJECTIONS = [
    "' OR '1'='1", "'; DROP TABLE records; --", "1; ATTACH DATABASE '/tmp/x' AS x", "' UNION SELECT body FROM x --",
    '" OR ""="', "') OR ('1'='1", "\\'; --", "%' OR 1=1 --", "x' AND load_extension('/tmp/x') --", "'||(SELECT 1)||'",
    "\0' OR 1=1", "$.\"x\"') OR 1=1 --", "`", "';COPY records TO '/tmp/x';", "{{7*7}}", "%s%s%n", "\u02bc OR 1=1",
]  # fmt: skip


def run(number: int, name: str) -> Run:
    return Run(
        id=f"018f0000-0000-7000-8000-{number:012d}", model="", status=RunStatus.SUCCEEDED, trigger="user", as_of=NOW,
        started_at=NOW, name=name, params={"depth": str(number)}, tags={"who": name},
    )  # fmt: skip


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlMetadata]:
    store = SqlMetadata(f"sqlite:///{tmp_path_factory.mktemp('sql') / 'metadata.db'}")
    with store.transaction() as tx:
        for number, name in enumerate(["one", "two", *INJECTIONS]):
            tx.add(run(number, name.replace("\0", "")))
        tx.add(run(999, "one"))
    yield store
    store.close()


def found(metadata: SqlMetadata, where: list[Condition], **more: Any) -> list[str]:
    with metadata.transaction() as tx:
        return [one.name for one in tx.search(Run, Search(where=where, limit=100, **more)).records]


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_value_is_compared_and_nothing_else(metadata: SqlMetadata, text: str) -> None:
    plain = text.replace("\0", "")
    written = plain.replace("'", "''")
    for where in (f"name = '{written}'", f"tags.who = '{written}'", f"name in ('{written}')"):
        try:
            conditions = conditions_of(where)
        except OctavoError:
            continue
        assert found(metadata, conditions) == [plain]
    with metadata.transaction() as tx:
        assert [one.name for one in tx.find(Run, name=plain)] == [plain]
        assert tx.get(Run, text) is None
    assert len(found(metadata, [])) == len(INJECTIONS) + 3


@pytest.mark.parametrize("text", INJECTIONS)
def test_the_name_of_a_field_is_a_name(metadata: SqlMetadata, text: str) -> None:
    for part in (text, f"tags.`{text}` = 'x'", f'params."{text}" = 1', f"metrics.{text} > 1", f"name {text} 'x'"):
        for read in (conditions_of, orders_of):
            try:
                read(part)
            except OctavoError:
                continue
            if read is conditions_of:
                found(metadata, conditions_of(part))
            else:
                found(metadata, [], order=orders_of(part))
    for comparing in (Comparing.EQUAL, Comparing.LIKE, Comparing.ILIKE, Comparing.LESS):
        try:
            assert found(metadata, [Condition(path=("tags", text), comparing=comparing, values=("x",))]) == []
        except OctavoError:
            continue
    assert len(found(metadata, [])) == len(INJECTIONS) + 3


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.sampled_from([
            "name", "tags.who", "=", "like", "'", "''", '"', "`", " ", "and", "(", ")", "--", ";", "\\", "%",
                         "1", "or", "status", "in", ",", ".", "$", "*",
        ]),
        max_size=12,
    )
)  # fmt: skip
def test_whatever_is_written_is_refused_or_finds_what_is_there(metadata: SqlMetadata, parts: list[str]) -> None:
    for text in ("".join(parts), " ".join(parts)):
        try:
            conditions = conditions_of(text)
        except OctavoError:
            continue
        assert set(found(metadata, conditions)) <= {"one", "two", *(one.replace("\0", "") for one in INJECTIONS)}


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Door:
    room: Showroom = empty_showroom(tmp_path_factory.mktemp("project"))
    return api(room)


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_token_is_no_text_for_a_database(admin: Door, text: str) -> None:
    """The class of attack that came by the check of a key itself."""
    for token in (text, f"octavo_{text}", f"octavo_00000000_{text}", f"octavo_0000000000_{text}"):
        headers = {"authorization": f"Bearer {token}".encode("utf-8", "replace").replace(b"\0", b"")}
        answer = admin.post("/api/models.list", json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        answer = admin.get("/models", headers={"cookie": f"octavo_session={token}".encode().replace(b"\0", b"")})
        assert answer.status_code in (303, 401)


@pytest.mark.parametrize(
    "pattern", ["%a" * 20 + "b", "%" * 40 + "b", "%_" * 30 + "b", "%a%_" * 15 + "%b", "a%" * 1_000]
)
def test_a_pattern_costs_a_bounded_time(metadata: SqlMetadata, pattern: str) -> None:
    """As the databases compare it, and as we do."""
    text = "a" * 8_000
    with metadata.transaction() as tx:
        tx.put(run(999, text))
    try:
        began = time.perf_counter()
        for comparing in (Comparing.LIKE, Comparing.ILIKE):
            found(metadata, [Condition(path=("name",), comparing=comparing, values=(pattern,))])
        assert is_like(text, pattern, any_case=False) == pattern.endswith("%")
        assert time.perf_counter() - began < 5
    finally:
        with metadata.transaction() as tx:
            tx.put(run(999, "one"))


@settings(max_examples=300, deadline=None)
@given(text=st.text("ab%_", max_size=7), pattern=st.text("aAb%_", max_size=7), any_case=st.booleans())
def test_a_pattern_means_what_it_says(text: str, pattern: str, any_case: bool) -> None:
    def fits(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "%":
            return any(fits(text[n:], pattern[1:]) for n in range(len(text) + 1))
        same = text[:1].lower() == pattern[0].lower() if any_case else text[:1] == pattern[0]
        return bool(text) and (pattern[0] == "_" or same) and fits(text[1:], pattern[1:])

    assert is_like(text, pattern, any_case=any_case) == fits(text, pattern)


PUT_TOGETHER = {("postgres/database.py", "copied"), ("postgres/database.py", "original"), ("sqlite.py", "pragma")}


def test_no_statement_is_put_together_with_a_value() -> None:
    """Whoever runs SQL in the metadata binds what is compared; what is written into a text is a name of ours."""
    folder, found = PACKAGE / "stores" / "sql", set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("execute", "text"):
                written = [one for argument in node.args[:1] for one in ast.walk(argument)]
                names = {ast.unparse(one.value) for one in written if isinstance(one, ast.FormattedValue)}
                found |= {(path.relative_to(folder).as_posix(), name) for name in names}
    assert found == PUT_TOGETHER
