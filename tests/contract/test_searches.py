"""What every metadata store promises of searches: the same records in the same order, page by page."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from octavo.stores.memory import MemoryMetadata
from octavo.stores.ports import Metadata
from octavo.stores.searches import Comparing, Condition, Order, Search, Value
from tests.contract.metadata_stores import KINDS, new_metadata

NUMBERS = [math.nan, math.inf, -math.inf, 0.0, -1.5, 2.0, 0.1, 1e300, 5e-324]
TEXTS = [
    "6",
    "6.0",
    "-1.5",
    "1e2",
    "1e999",
    "nan",
    "inf",
    "six",
    "Six",
    "s_x",
    "s%x",
    "s*x",
    "s?x",
    "s[x",
    "",
    "\\x",
    "é",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    kind: ClassVar[str] = "jar"

    name: str
    label: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.name


@pytest.fixture(params=KINDS)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    store = new_metadata(request, tmp_path)
    yield store
    store.close()


@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind != "memory"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metadata]:
    store = new_metadata(request, tmp_path_factory.mktemp("jars"))
    yield store
    store.close()


def put(metadata: Metadata, *jars: Jar) -> None:
    with metadata.transaction() as tx:
        for jar in jars:
            tx.put(jar)


def found(metadata: Metadata, *where: Condition, order: Sequence[Order] = (), limit: int = 100) -> list[str]:
    """All that fulfil conditions, read page by page."""
    names: list[str] = []
    after: tuple[Value, ...] | None = None
    while True:
        with metadata.transaction() as tx:
            page = tx.search(Jar, Search(where=where, order=order, limit=limit, after=after))
        names += [jar.name for jar in page.records]
        after = page.last
        if after is None:
            return names


def compare(name: str, comparing: Comparing, *values: str | float) -> Condition:
    return Condition(path=tuple(name.split(".")), comparing=comparing, values=values)  # type: ignore[arg-type]  # of one kind


def test_without_conditions_the_newest_comes_first(metadata: Metadata) -> None:
    put(metadata, *(Jar(name=str(n)) for n in range(5)))
    assert found(metadata, limit=2) == ["4", "3", "2", "1", "0"]


def test_a_number_that_is_kept_as_text_is_compared_as_number(metadata: Metadata) -> None:
    put(metadata, *(Jar(name=text, notes={"depth": text}) for text in ("6", "6.0", "10", "six", "1e1")))
    assert found(metadata, compare("notes.depth", Comparing.EQUAL, 6)) == ["6.0", "6"]
    assert found(metadata, compare("notes.depth", Comparing.MORE, 6)) == ["1e1", "10"]
    assert found(metadata, compare("notes.depth", Comparing.EQUAL, "6")) == ["6"]


def test_what_is_absent_fulfils_nothing_but_its_absence(metadata: Metadata) -> None:
    put(metadata, Jar(name="with", notes={"a": "x"}), Jar(name="without"))
    assert found(metadata, compare("notes.a", Comparing.UNEQUAL, "y")) == ["with"]
    assert found(metadata, Condition(path=("notes", "a"), comparing=Comparing.ABSENT)) == ["without"]
    assert found(metadata, Condition(path=("notes", "a"), comparing=Comparing.PRESENT)) == ["with"]
    assert found(metadata, Condition(path=("label",), comparing=Comparing.ABSENT)) == ["without", "with"]


def test_absent_values_come_last_whichever_way_it_is_sorted(metadata: Metadata) -> None:
    weights = {"heavy": 2.0, "light": 1.0, "unknown": math.nan, "endless": math.inf}
    put(metadata, *(Jar(name=name, weights={"w": weight}) for name, weight in weights.items()), Jar(name="none"))
    rising = [Order(path=("weights", "w"), numeric=True)]
    falling = [Order(path=("weights", "w"), numeric=True, descending=True)]
    for limit in (1, 2, 100):
        assert found(metadata, order=rising, limit=limit) == ["light", "heavy", "endless", "none", "unknown"]
        assert found(metadata, order=falling, limit=limit) == ["endless", "heavy", "light", "none", "unknown"]


def test_patterns_know_the_case_of_letters_if_they_shall(metadata: Metadata) -> None:
    put(metadata, Jar(name="Grid 1"), Jar(name="grid 2"), Jar(name="grad*2"))
    assert found(metadata, compare("name", Comparing.LIKE, "gr_d%2")) == ["grad*2", "grid 2"]
    assert found(metadata, compare("name", Comparing.ILIKE, "GRID%")) == ["grid 2", "Grid 1"]
    assert found(metadata, compare("name", Comparing.LIKE, "%*%")) == ["grad*2"]


@pytest.mark.parametrize("text", ["' or 1=1 --", 'a"b', "$.x", "a'); drop table records; --", "%", "\\"])
def test_a_value_is_never_taken_for_a_part_of_the_query(metadata: Metadata, text: str) -> None:
    put(metadata, Jar(name="other"), Jar(name=text, notes={"a": text}))
    assert found(metadata, compare("name", Comparing.EQUAL, text)) == [text]
    assert found(metadata, compare("notes.a", Comparing.IN, text, "x")) == [text]


def test_a_name_with_dots_is_one_step_of_the_path(metadata: Metadata) -> None:
    put(metadata, Jar(name="a", notes={"x.y z": "1"}), Jar(name="b"))
    where = Condition(path=("notes", "x.y z"), comparing=Comparing.EQUAL, values=("1",))
    assert found(metadata, where) == ["a"]


JARS = st.lists(
    st.builds(
        Jar,
        name=st.just(""),
        label=st.none() | st.sampled_from(TEXTS),
        weights=st.dictionaries(st.sampled_from(["w", "v"]), st.sampled_from(NUMBERS), max_size=2),
        notes=st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(TEXTS), max_size=2),
    ),
    max_size=12,
)
FIELDS = st.sampled_from([("label",), ("weights", "w"), ("notes", "a"), ("notes", "b")])
COMPARED = [c for c in Comparing if c not in (Comparing.PRESENT, Comparing.ABSENT)]
CONDITIONS = st.one_of(
    st.builds(
        lambda path, comparing, number: Condition(path=path, comparing=comparing, values=(number,)),
        st.sampled_from([("weights", "w"), ("notes", "a"), ("label",)]),
        st.sampled_from([c for c in COMPARED if c not in (Comparing.LIKE, Comparing.ILIKE)]),
        st.sampled_from([number for number in NUMBERS if not math.isnan(number)] + [6.0, 100.0]),
    ),
    st.builds(
        lambda path, comparing, text: Condition(path=path, comparing=comparing, values=(text,)),
        st.sampled_from([("notes", "a"), ("notes", "b"), ("label",)]),
        st.sampled_from(COMPARED),
        st.sampled_from([*TEXTS, "%x", "s_x", "%", "S%"]),
    ),
    st.builds(
        lambda path, comparing: Condition(path=path, comparing=comparing),
        FIELDS,
        st.sampled_from([Comparing.PRESENT, Comparing.ABSENT]),
    ),
)
ORDERS = st.lists(
    st.builds(
        lambda path, falling, numeric: Order(path=path, descending=falling, numeric=numeric or path[0] == "weights"),
        FIELDS,
        st.booleans(),
        st.booleans(),
    ),
    max_size=2,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jars=JARS, where=st.lists(CONDITIONS, max_size=2), order=ORDERS, limit=st.integers(1, 5))
def test_every_database_finds_what_the_plain_meaning_finds(
    database: Metadata, jars: list[Jar], where: list[Condition], order: list[Order], limit: int
) -> None:
    numbered = [Jar(name=f"{n}", label=j.label, weights=j.weights, notes=j.notes) for n, j in enumerate(jars)]
    padding = [Jar(name=f"{n}", notes={"gone": "yes"}) for n in range(len(jars), 12)]
    memory = MemoryMetadata()
    for store in (memory, database):
        put(store, *numbered, *padding)
    here = [*where, Condition(path=("notes", "gone"), comparing=Comparing.ABSENT)]
    with memory.transaction() as tx:
        at_once = [jar.name for jar in tx.search(Jar, Search(where=here, order=order, limit=100)).records]
    assert found(memory, *here, order=order, limit=limit) == at_once
    # The names were first put in the same order in both, so what is not told apart comes in the same order too.
    assert found(database, *here, order=order, limit=limit) == at_once
