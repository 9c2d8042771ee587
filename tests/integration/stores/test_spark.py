"""Features on Spark: equal to those of DuckDB and of the oracle, row for row."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.clock import from_micros
from octavo.definitions.features import FeatureView
from octavo.errors import ConfigurationError, InvalidRequest
from octavo.features.measures import measure_sql
from octavo.features.offline.historical import historical_features
from octavo.features.offline.queries import reach_s
from octavo.stores.delta import DeltaTables
from octavo.stores.duckdb import DuckDB
from octavo.stores.memory import MemoryTables
from octavo.stores.ports import Engine, Tables
from octavo.stores.spark import SparkEngine
from octavo.stores.spill import Spill
from tests import plants
from tests.integration.stores import sparks
from tests.oracles.features import Event, distinct, features_at
from tests.plants import Plant
from tests.property.test_point_in_time import (
    EVENTS,
    KNOWN_AT_ONCE,
    MOMENT,
    SECOND,
    START,
    VIEWS,
    Point,
    cases,
    crowd,
    readings,
)

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
PAIRS = FeatureView(
    "of_pairs",
    entity=(oc.Entity("machine", key="machine_id"), oc.Entity("batch", key="pieces", dtype=oc.Int64)),
    key=("group", "pieces"),
    source=readings,
    features=[
        oc.count(over="5h"),
        oc.max("amount", over="5h"),
        oc.distinct("remark", over="5h"),
        oc.latest("amount", ttl="7d"),
    ],
)
Case = tuple[list[Event], list[Point]]
NOT_EXACT = ("sum", "mean", "std", "rate", "decayed_sum", "decayed_count")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    yield from sparks.started(tmp_path_factory.mktemp("spark"))


@pytest.mark.slow
@pytest.mark.parametrize("view", [VIEWS[0], VIEWS[2], KNOWN_AT_ONCE], ids=lambda view: view.name)
def test_features_on_spark_equal_those_of_the_oracle_now_and_around_1970(spark: Engine, view: FeatureView) -> None:
    span_us = reach_s(view) * SECOND
    random = np.random.default_rng(11)
    crowds = [with_gaps(crowd(random, span_us=span_us), random) for _ in range(3)]
    check_against_oracle(spark, view, [*crowds[:2], moved(crowds[2], by_us=-START - span_us)])


def test_what_is_asked_of_lists_means_the_same_on_spark(spark: Engine) -> None:
    tags = pa.array([["a", "it's"], [], None, ["b"]], pa.list_(pa.string()))
    codes = pa.array([[2**53 + 1, -1], None, [], [0]], pa.list_(pa.int64()))
    visits = oc.Source(
        "visits",
        event_time="at",
        schema={"at": oc.Timestamp, "tags": oc.List(oc.String), "codes": oc.List(oc.Int64)},
    )
    conditions = '"it\'s" in tags', "'a' not in tags", f"{2**53} in codes", "0 in codes or len(tags) > 1"
    measures = ("len(tags)", "len(codes) if tags is None else None", *conditions)
    select = ", ".join(f"({measure_sql(text, visits)})::DOUBLE AS m{n}" for n, text in enumerate(measures))
    relations = {"visits": pa.table({"tags": tags, "codes": codes})}
    found = spark.select(f"SELECT {select} FROM visits", relations=relations)
    assert found.to_pydict() == DuckDB().select(f"SELECT {select} FROM visits", relations=relations).to_pydict()
    assert found.column("m0").to_pylist() == [2.0, 0.0, None, 1.0]


def test_features_of_pairs_on_spark_equal_those_of_the_oracle(spark: Engine) -> None:
    random = np.random.default_rng(5)
    events, points = with_gaps(crowd(random, span_us=reach_s(PAIRS) * SECOND), random)
    batches = [None if number % 7 == 0 else number % 3 for number, _ in enumerate(points)]
    tables = MemoryTables(heavy=spark)
    keep(tables, distinct(events), writer="test")
    spine = spine_of(points).append_column("pieces", pa.array(batches, pa.int64()))
    answer = historical_features(tables, [PAIRS], spine=spine, at="decided")
    for place, ((key, moment), batch) in enumerate(zip(points, batches, strict=True)):
        expected = features_at(events, PAIRS, key=(key, batch), at_us=moment)
        assert {f.name: answer[f"of_pairs__{f.name}"][place].as_py() for f in PAIRS.features} == expected


@pytest.mark.slow
@given(batch=st.lists(cases(), min_size=15, max_size=30))
@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_features_on_spark_equal_those_of_the_oracle_for_any_events(spark: Engine, batch: list[Case]) -> None:
    check_against_oracle(spark, VIEWS[1], batch)


def test_features_over_a_delta_table_equal_those_of_duckdb(spark: Engine, tmp_path: Path) -> None:
    tables = [DeltaTables(tmp_path / "all tables"), DeltaTables(tmp_path / "all tables", heavy=spark)]
    events, points = crowd(np.random.default_rng(3), span_us=reach_s(KNOWN_AT_ONCE) * SECOND)
    for number in range(3):
        keep(tables[0], events[number::3], writer=f"writer {number}")
    expected, actual = (historical_features(t, [KNOWN_AT_ONCE], spine=spine_of(points), at="decided") for t in tables)
    assert_equal(actual, expected)


def test_vectors_on_spark_equal_those_of_duckdb(spark: Engine, tmp_path: Path) -> None:
    plant, tables = Plant(), [DeltaTables(tmp_path / "tables"), DeltaTables(tmp_path / "tables", heavy=spark)]
    shapes = [
        oc.latest("shape", ttl="2h"),
        oc.last("shape", name="fine", over="24h", where="remark == 'fine'"),
        oc.count("shape", over="24h"),
    ]
    view = FeatureView("shapes", entity=oc.Entity("machine", key="machine"), source=plants.readings, features=shapes)
    plant.stores = replace(plant.stores, tables=tables[0])
    plant.restart(view)
    plant.wait(86_400 * SECOND)
    times = [plants.START + number * 900 * SECOND for number in range(40)]
    held, remarks = (None, [1.0, -2.0, 0.5], [1e300, 0.0, 3.0]), ("fine", None)
    event = {"machine": "a", "amount": 1.0}
    plant.send(
        [
            event | {"number": n, "happened": at, "known": at, "remark": remarks[n % 2], "shape": held[n % 3]}
            for n, at in enumerate(times)
        ]
    )
    plant.apply()
    plant.ship()
    moments = pa.array([from_micros(at + 1) for at in times[::5]], pa.timestamp("us", tz="UTC"))
    spine = pa.table({"machine": ["a"] * len(moments), "at": moments})
    expected, actual = (historical_features(t, [view], spine=spine, at="at") for t in tables)
    assert_equal(actual, expected)


def test_a_file_in_a_folder_of_any_name_is_read(spark: Engine, tmp_path: Path) -> None:
    file = tmp_path / "[a] {b,c} *? 100%20 é \\" / "rows.parquet"
    file.parent.mkdir()
    pq.write_table(NULLS, file)
    assert spark.select("SELECT * FROM t ORDER BY place", relations={"t": [str(file)]}).to_pylist() == NULLS.to_pylist()


NULLS = pa.table(
    {
        "place": pa.array(range(7), pa.int64()),
        "group": ["a", "a", "a", "b", "b", None, "c"],
        "x": pa.array([3.5, None, -1.5, None, None, 2.0, -0.0]),
        "n": pa.array([-7, 8, -9, 2**62, None, 5, 0], pa.int64()),
        "a b": ["it's", "\\n", None, "", "é`", '"', "null"],
        "raw": pa.array([b"\x00", b"\xff", b"\x7f\x80", b"", b"a", b"b", None]),
        "at": pa.array([-1, 0, 1, -62_135_596_800_000_000, 253_402_300_799_999_999, 5, None], MOMENT),
    }
)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT n % 4 AS m, -n % 4 AS k, n / 4 AS part, n::DOUBLE AS d FROM t ORDER BY place",
        'SELECT epoch_us("at") AS t, "at", "a b" FROM t ORDER BY place',
        'SELECT arg_max(x, raw) AS newest, max(raw) AS last FROM t GROUP BY "group" ORDER BY "group"',
        "SELECT list_sort(list(x) FILTER (x IS NOT NULL AND n < 9)) AS xs FROM t",
        "SELECT l[0] AS a, l[1] AS b, l[3] AS c, l[place] AS d FROM (SELECT place, list_value(1.5, 2.5) AS l FROM t)",
        "SELECT list_slice(l, 2, 9) AS a, list_slice(l, 1, 0) AS b FROM (SELECT list_value(1.5, 2.5) AS l)",
        "SELECT len(list_concat(NULL, list_value(n))) AS n, len(NULL::BIGINT[]) AS none FROM t ORDER BY place",
        """SELECT length("a b") || ':' || "a b" || n::VARCHAR AS joined FROM t ORDER BY place""",
        "SELECT place, unnest(range(place, 5, 2)) AS cell FROM t ORDER BY place, cell",
        "SELECT max(n, 2) FILTER (n < 9) AS most, max(n) FILTER (n < 0) AS negative FROM t",
        "SELECT list_reverse_sort(list(x))[1] AS most, count(*) FILTER (x <= 0) AS n FROM t WHERE x IS NOT NULL",
        "SELECT ('0x' || substr(md5(\"a b\"), 1, 13))::BIGINT::DOUBLE AS hash FROM t ORDER BY place",
        "SELECT place FROM t WHERE \"a b\" IN ('it''s', '\\n', '\"') OR raw = $raw OR \"a b\" = $text ORDER BY place",
        'SELECT place FROM t WHERE "at" >= $since AND n <= $most AND x <> $other ORDER BY place',
        "SELECT place, least(x, n) AS low, greatest(x, NULL) AS high, coalesce(x, 1) AS c FROM t ORDER BY x, place",
    ],
)
def test_a_query_means_the_same_on_spark(spark: Engine, sql: str) -> None:
    named = {
        "raw": b"\xff",
        "text": "é`",
        "since": datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        "most": 2**62,
        "other": 0.1,
    }
    used = {name: value for name, value in named.items() if f"${name}" in sql}
    actual, expected = (engine.select(sql, relations={"t": NULLS}, parameters=used) for engine in (spark, DuckDB()))
    assert actual.to_pylist() == expected.to_pylist()


@pytest.mark.parametrize("compared", ["r.t < l.t", "r.t <= l.t", "l.t > r.t"])
@pytest.mark.parametrize("side", ["", "LEFT"])
def test_an_asof_join_means_the_same_on_spark(spark: Engine, compared: str, side: str) -> None:
    left = pa.table({"key": ["a", "a", "a", "b", None], "t": [1, 2, 9, 2, 2]})
    right = pa.table({"key": ["a", "a", "a", None, "c"], "t": [1, 2, 3, 1, None], "value": [1.0, None, 3.0, 4.0, 5.0]})
    sql = f"""
        SELECT l.key, l.t, r.t AS found, r.value FROM l ASOF {side} JOIN r ON r.key = l.key AND {compared}
        ORDER BY l.key, l.t
    """
    actual, expected = (engine.select(sql, relations={"l": left, "r": right}) for engine in (spark, DuckDB()))
    assert actual.to_pylist() == expected.to_pylist()


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT 1; SELECT 2", "exactly one SELECT"),
        ("DROP TABLE t", "exactly one SELECT"),
        ("SELECT FROM WHERE", "cannot be read"),
        ("SELECT nothing FROM t", "nothing"),
        ("SELECT n + 9223372036854775807 AS too_much FROM t", "cannot run this query"),
        ("SELECT $unknown AS x", r"\$unknown"),
        ("SELECT t.n FROM t ASOF JOIN t AS u ON t.n < u.n", "ASOF"),
    ],
)
def test_what_spark_cannot_run_is_refused(spark: Engine, sql: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        spark.select(sql, relations={"t": NULLS})


def test_a_file_that_has_vanished_is_told_as_such(spark: Engine, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        spark.select("SELECT * FROM t", relations={"t": [str(tmp_path / "gone.parquet")]})


def test_queries_of_several_threads_have_names_of_their_own(spark: Engine) -> None:
    def total(number: int) -> object:
        rows = pa.table({"n": [number] * 10})
        return spark.select("SELECT sum(n) AS n FROM t", relations={"t": rows}).to_pylist()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(total, range(8))) == [[{"n": 10 * number}] for number in range(8)]


def test_without_java_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    engine = SparkEngine("local[2]", memory_bytes=10**9, spill=Spill(tmp_path / "spill"))
    with pytest.raises(ConfigurationError, match="apt-get install openjdk-17-jre-headless"):
        engine.select("SELECT 1", relations={})


def check_against_oracle(engine: Engine, view: FeatureView, batch: Sequence[Case]) -> None:
    """Many cases in one query, each with keys of its own, against DuckDB and against the oracle."""
    apart = [keyed(case, number) for number, case in enumerate(batch)]
    events = [event for of_case, _ in apart for event in of_case]
    points = [point for _, of_case in apart for point in of_case]
    answers = []
    for tables in (MemoryTables(heavy=engine), MemoryTables()):
        keep(tables, distinct(events), writer="test")
        answers.append(historical_features(tables, [view], spine=spine_of(points), at="decided"))
    assert_equal(*answers)
    expected = [features_at(of_case, view, key=key, at_us=t) for of_case, near in apart for key, t in near]
    scale = max((abs(float(str(e["amount"]))) for e in events if e["amount"] is not None), default=0.0)
    for feature in view.features:
        actual = answers[0][f"{view.name}__{feature.name}"].to_numpy()
        wanted = np.array([row[feature.name] for row in expected], np.float64)
        rtol, atol = (1e-12, 1e-13 * max(scale, 1.0)) if feature.operation in NOT_EXACT else (0.0, 0.0)
        np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=atol, err_msg=feature.name)


def assert_equal(actual: pa.Table, expected: pa.Table) -> None:
    """As float32, what a model is given, but for what floating sums of huge and tiny numbers lose."""
    assert actual.schema == expected.schema
    for name in actual.column_names:
        if pa.types.is_floating(actual.schema.field(name).type):
            columns = (table[name].to_numpy() for table in (actual, expected))
            np.testing.assert_allclose(*columns, rtol=1e-12, atol=1e-1, err_msg=name)
        else:
            assert actual[name].equals(expected[name])


def keyed(case: Case, number: int) -> Case:
    events, points = case
    named = [
        {**event, "_event_id": _identity(event, number), "group": _key(event["group"], number)} for event in events
    ]
    return named, [(_key(key, number), moment) for key, moment in points]


def _key(key: Any, number: int) -> str | None:
    return None if key is None else f"{number}/{key}"


def _identity(event: Event, number: int) -> bytes:
    identity = event["_event_id"]
    assert isinstance(identity, bytes)
    return identity + number.to_bytes(2, "big")


def with_gaps(case: Case, random: np.random.Generator) -> Case:
    """The same with nulls, some of the events sent again, and a point of an entity that none is of."""
    events, points = case
    for event in events:
        lost = {"amount": None, "pieces": None} if random.random() < 0.1 else {}
        passed = [None, True, False][random.integers(0, 3)]
        event |= {**lost, "passed": passed, "remark": [None, "", "fine"][random.integers(0, 3)]}  # type: ignore[operator]
    return [*events, *events[:3]], [*points, ("nobody", START), (None, START)]


def moved(case: Case, *, by_us: int) -> Case:
    events, points = case
    times = ("order", "until")
    later = [{**event, **{name: int(str(event[name])) + by_us for name in times}} for event in events]
    return later, [(key, moment + by_us) for key, moment in points]


def keep(tables: Tables, events: Sequence[Event], *, writer: str) -> None:
    tables.ensure("events/readings", EVENTS)
    rows = pa.Table.from_pylist([dict(event) for event in events], schema=EVENTS)
    tables.append("events/readings", rows, writer=writer, sequence=1)


def spine_of(points: Sequence[Point]) -> pa.Table:
    keys, moments = zip(*points, strict=True) if points else ((), ())
    return pa.table({"machine_id": pa.array(keys, pa.string()), "decided": pa.array(moments, MOMENT)})
