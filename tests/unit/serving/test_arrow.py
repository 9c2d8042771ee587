"""Requests and answers in Arrow."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.serving.asgi import Reply
from tests.serving.bundles import MODEL, ROW, publish_bundle
from tests.serving.doors import ARROW, arrow, told_by_arrow
from tests.serving.predictors import PATH, Bench
from tests.serving.projects import arm

from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan, PlannedField
from octavo.definitions.types import DType

SCHED_DEP = datetime(2013, 7, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves one version, with features."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    bench.delays(10.0, 20.0)
    return bench


def table(n_rows: int = 2, **changes: Any) -> pa.Table:
    columns = {
        "distance": pa.array([500.0] * n_rows),
        "sched_dep": pa.array([SCHED_DEP] * n_rows, pa.timestamp("ns", "Europe/Berlin")),
        "seats": pa.array([100] * n_rows, pa.int32()),
        "origin": pa.array(["JFK"] * n_rows).dictionary_encode(),
    }
    return pa.table({**columns, **changes})


def ask(bench: Bench, body: bytes, **headers: str) -> Reply:
    return bench.caller.post(PATH, body, **{"content_type": ARROW, "accept": ARROW, **headers})


def test_columns_of_any_width_are_the_rows_that_json_would_be(served: Bench) -> None:
    expected = served.predict(ROW, ROW)["predictions"]
    told = told_by_arrow(ask(served, arrow(table(distance=pa.array([500, 500], pa.float32())))))
    assert told.column("value").to_pylist() == [one["value"] for one in expected]
    assert told.column_names == ["id", "value", "version"]
    by_json, by_arrow = served.records[0], served.records[2]
    assert (by_arrow.request, by_arrow.entities, by_arrow.inputs) == (by_json.request, by_json.entities, by_json.inputs)
    assert told.column("id").to_pylist() == [record.id for record in served.records[2:]]
    assert told.schema.metadata == {b"deployment": b"eta", b"model": b"arrival_delay", b"degraded": b"false"}


def test_numbers_beside_each_other_are_the_rows_that_json_would_be(bench: Bench) -> None:
    names, random = [f"n{place}" for place in range(6)], np.random.default_rng(1)
    fields = [PlannedField(name=name, dtype=DType.FLOAT64, required=False) for name in names]
    city = PlannedField(name="city", dtype=DType.CATEGORY, required=True, categories=("Łódź", "Paris"))
    inputs = ("city", *names)
    plan = LookupPlan(model=MODEL, task=Task.REGRESSION, inputs=inputs, fields=(*fields, city), views=(), functions=())
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=plan, weights=[1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0])))
    columns = {name: random.normal(0, 1e3, 50) for name in names} | {
        "city": ["Paris", "Łódź", "Rome", "Paris", ""] * 10
    }
    whole = pa.table(columns)
    with_null = whole.set_column(1, "n1", [[None, *columns["n1"][1:]]])
    for sent in (whole, whole.slice(7, 9), with_null):
        first = len(bench.records)
        expected = bench.predict(*sent.to_pylist())["predictions"]
        told = told_by_arrow(ask(bench, arrow(sent)))
        assert told.column("value").to_pylist() == [one["value"] for one in expected]
        kept = [(record.request, record.inputs, record.status) for record in bench.records[first:]]
        assert kept[: len(sent)] == kept[len(sent) :]


def test_a_file_and_several_batches_are_taken_and_json_is_given_unless_arrow_is_asked_for(served: Bench) -> None:
    body = arrow(pa.concat_tables([table(2), table(3)]), fixed=True)
    reply = ask(served, body, content_type="application/vnd.apache.arrow.file", accept="*/*")
    assert (reply.status, len(reply.json["predictions"])) == (200, 5)
    assert told_by_arrow(served.caller.post(PATH, {"rows": [ROW]}, accept=ARROW)).num_rows == 1


def test_nulls_are_missing_and_told_by_their_row(served: Bench) -> None:
    told = told_by_arrow(ask(served, arrow(table(seats=pa.array([None, 3], pa.int64())))))
    assert told.column("features").to_pylist() == ['{"seats":"missing"}', None]
    assert [record.request["seats"] for record in served.records] == [None, 3]


def test_arms_and_values_are_told_where_there_are_any(bench: Bench) -> None:
    live, other = (publish_bundle(bench.project.artifacts, bias=bias) for bias in (0.0, 1.0))
    bench.publish(arm(live, percent=50), arm(other, role="canary", version=2, percent=50))
    reply = bench.caller.post(f"{PATH}?values=1", arrow(table(100)), content_type=ARROW, accept=ARROW)
    told = told_by_arrow(reply)
    assert set(told.column("arm").to_pylist()) == {"live", "canary"}
    assert set(told.column("version").to_pylist()) == {1, 2}
    assert '"distance":500.0' in told.column("values")[0].as_py()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"distance": pa.array(["far", "near"])}, "rows[0].distance"),
        ({"distance": pa.array([1.0, np.inf])}, "rows[1].distance"),
        ({"distance": pa.array([1.0, None])}, "rows[1].distance"),
        ({"distance": pa.array([[1.0], [2.0]])}, "distance"),
        ({"seats": pa.array([1.0, 2.0])}, "rows[0].seats"),
        ({"seats": pa.array([1, 2**64 - 1], pa.uint64())}, "rows[1].seats"),
        ({"sched_dep": pa.array([0, 1], pa.timestamp("us"))}, "sched_dep"),
        ({"sched_dep": pa.array([0, 2**62], pa.timestamp("s", "UTC"))}, "sched_dep"),
        ({"sched_dep": pa.array([0, 2**53], pa.timestamp("us", "UTC"))}, "rows[1].sched_dep"),
        ({"origin": pa.array(["x" * 1025, "y"])}, "rows[0].origin"),
        ({"gate": pa.array([1, 2])}, "rows[0].gate"),
    ],
)
def test_what_json_would_be_refused_for_is_refused_by_its_name(
    served: Bench, changes: dict[str, pa.Array], field: str
) -> None:
    reply = ask(served, arrow(table(**changes)))
    assert (reply.status, reply.json["code"], reply.json["field"]) == (422, "invalid_request", field)
    assert served.records == []


def test_a_name_twice_no_rows_and_too_many_are_refused(served: Bench) -> None:
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["distance", "distance"])
    assert ask(served, arrow(twice)).json["field"] == "distance"
    assert ask(served, arrow(table().slice(0, 0))).json["detail"] == "the request holds no row"
    assert ask(served, arrow(table(1001))).status == 413


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_compressed_stream_is_taken_unless_it_becomes_too_large(served: Bench, codec: str) -> None:
    assert ask(served, arrow(table(), compression=codec)).status == 200
    bomb = arrow(table(3, origin=pa.array(["x" * 20_000_000] * 3)), compression=codec)
    assert (ask(served, bomb).status, len(bomb) < 200_000_000) == (413, True)


def test_bytes_that_are_changed_or_cut_off_are_refused_or_answered(served: Bench) -> None:
    body = arrow(table())
    chance = np.random.default_rng(7)
    for _ in range(300):
        changed = bytearray(body[: chance.integers(1, len(body))] if chance.random() < 0.3 else body)
        for place in chance.integers(0, len(changed), 3):
            changed[place] = chance.integers(256)
        assert ask(served, bytes(changed)).status in (200, 413, 422)
