"""A large job, answered in pieces."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.asgi import Reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import arm

from octavo.errors import Unavailable
from octavo.serving.later import pieces, work
from octavo.serving.later.jobs import Job, Question

LATER = "/predictions/eta"
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A predictor of two versions that answers everything later in pieces of three rows."""
    made = make_bench(tmp_path)
    artifacts = made.project.artifacts
    made.publish(
        arm(publish_bundle(artifacts), percent=50),
        arm(publish_bundle(artifacts, bias=1.0), role="canary", version=2, percent=50),
        unit="origin",
    )
    made.app.later.answering._large_bytes = 0  # type: ignore[union-attr]  # it is there
    yield made
    made.app.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_ROWS", 3)
    monkeypatch.setattr(work, "AGAIN_AFTER_S", (0, 0))


def rows(n: int) -> list[dict[str, Any]]:
    return [{**ROW, "distance": float(number), "origin": f"A{number % 5}"} for number in range(n)]


def arrow_of(n: int) -> bytes:
    table = pa.Table.from_pylist(rows(n))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def answered(bench: Bench, body: object, **headers: str) -> Reply:
    place = bench.caller.post(LATER, body, **headers).headers["location"]
    assert bench.work_off()
    return bench.caller.get(place)


def without_ids(document: Any) -> Any:
    return {**document, "predictions": [{**one, "id": None} for one in document["predictions"]]}


@pytest.mark.parametrize("n", [1, 3, 4, 20])
def test_the_answer_is_that_of_one_piece(bench: Bench, n: int) -> None:
    reply = answered(bench, {"rows": rows(n)})
    assert without_ids(reply.json) == without_ids(bench.predict(*rows(n)))
    ids = [one["id"] for one in reply.json["predictions"]]
    assert sorted(ids) == sorted(record.id for record in bench.records[:n])
    assert len(set(ids)) == n


def test_a_large_body_in_arrow_is_answered_alike(bench: Bench) -> None:
    reply = answered(bench, arrow_of(20), content_type=ARROW)
    assert without_ids(reply.json) == without_ids(bench.predict(*rows(20)))


def test_a_large_answer_in_arrow_holds_all_rows(bench: Bench) -> None:
    table = pa.ipc.open_stream(answered(bench, {"rows": rows(20)}, accept=ARROW).body).read_all()
    now = bench.predict(*rows(20))["predictions"]
    assert table.column("value").to_pylist() == [one["value"] for one in now]
    assert table.column("version").to_pylist() == [one["version"] for one in now]


def test_more_rows_are_taken_than_by_predict(bench: Bench) -> None:
    many = {"rows": rows(1001)}
    assert bench.caller.post("/predict/eta", many).status == 413
    assert len(answered(bench, many).json["predictions"]) == 1001
    assert answered(bench, arrow_of(1001), content_type=ARROW).status == 200


@pytest.mark.parametrize("body", [{"rows": rows(21)}, arrow_of(21)], ids=["JSON", "Arrow"])
def test_beyond_as_many_rows_as_may_be_it_is_refused(bench: Bench, body: object) -> None:
    bench.app.later.answering._max_rows = 20  # type: ignore[union-attr]  # it is there
    reply = answered(bench, body, content_type=ARROW if isinstance(body, bytes) else "")
    assert reply.status in (413, 422)
    assert bench.records == []


def test_a_wrong_row_is_named_by_its_place_in_the_whole_and_nothing_is_recorded(bench: Bench) -> None:
    wrong = rows(10)
    wrong[7]["seats"] = "many"
    reply = answered(bench, {"rows": wrong})
    now = bench.caller.post("/predict/eta", {"rows": wrong})
    assert reply.json["field"] == "rows[7].seats"
    assert {**reply.json, "request_id": ""} == {**now.json, "request_id": ""}
    assert bench.records == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"rows": []}', b'{"rows": [1, 2]}', b'{"rows": [{}], "x": 1}', b'{"rows": [{}], "rows": []}', b"[]"],
)
def test_what_is_not_rows_is_refused_as_by_predict(bench: Bench, body: bytes) -> None:
    reply, now = answered(bench, body), bench.caller.post("/predict/eta", body)
    assert {**reply.json, "request_id": ""} == {**now.json, "request_id": ""}


def test_a_job_that_is_cancelled_between_its_pieces_is_not_recorded(bench: Bench) -> None:
    place = bench.caller.post(LATER, {"rows": rows(20)}).headers["location"]
    wanted = iter([True, True, False])

    bench.work._jobs.is_wanted = lambda _: next(wanted)  # type: ignore[method-assign]  # the caller comes in between
    bench.work_off()
    assert bench.records == []
    assert list(wanted) == []
    assert bench.caller.get(place).json["state"] == "answering"


def test_others_are_answered_between_the_pieces(bench: Bench) -> None:
    answering = bench.app.later.answering  # type: ignore[union-attr]  # it is there
    body = msgspec.json.encode({"rows": rows(12)})
    question = Question(query=b"", headers={}, accepted_us=0)
    job = Job(id="j", deployment="eta", caller="admin/1", question=question, body=body)
    answer, turns, seen = answering._predictor.answer, list[int](), list[int]()

    async def watched(*args: Any) -> Any:
        seen.append(len(turns))
        return await answer(*args)

    async def other() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def wanted() -> bool:
        return True

    async def run() -> None:
        task = asyncio.create_task(other())
        await answering.answer(job, is_wanted=wanted)
        task.cancel()

    answering._predictor.answer = watched
    asyncio.run(run())
    assert len(set(seen)) == len(seen) == 4


def test_what_fails_in_the_midst_is_refused_as_a_whole_and_not_recorded(bench: Bench) -> None:
    predictor = bench.app.later.answering._predictor  # type: ignore[union-attr]  # it is there
    answer, calls = predictor.answer, list[Any]()

    async def failing(*args: Any) -> Any:
        calls.append(args)
        if len(calls) % 3 == 0:
            raise Unavailable("the features cannot be read")
        return await answer(*args)

    predictor.answer = failing  # type: ignore[method-assign]  # as a store that goes away
    reply = answered(bench, {"rows": rows(12)})
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert (len(calls), bench.records) == (9, [])


def test_what_is_out_of_reach_for_a_moment_is_tried_again_and_recorded_once(bench: Bench) -> None:
    predictor = bench.app.later.answering._predictor  # type: ignore[union-attr]  # it is there
    answer, calls = predictor.answer, list[Any]()

    async def failing(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise Unavailable("the features cannot be read")
        return await answer(*args)

    predictor.answer = failing  # type: ignore[method-assign]  # as a store that goes away, and comes back
    ids = [one["id"] for one in answered(bench, {"rows": rows(12)}).json["predictions"]]
    assert sorted(record.id for record in bench.records) == sorted(ids)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=5)), st.sampled_from(["", " ", "\n\t"]))
def test_rows_are_cut_out_of_a_body_as_they_are_written(values: list[str], space: str) -> None:
    written = [f'{{"a":{space}{msgspec.json.encode(value).decode()}}}' for value in values]
    body = f'{space}{{{space}"rows"{space}:{space}[{space}{f",{space}".join(written)}{space}]{space}}}{space}'
    found = pieces._split(body.encode())
    assert ([] if found is None else [bytes(one).decode() for one in found]) == written
