"""Predictions that are asked for now and answered later."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from tests.serving.asgi import Reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import PATH, Bench, make_bench
from tests.serving.projects import arm

from octavo.access import project_access
from octavo.errors import Unavailable

LATER = "/predictions/eta"
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A predictor that serves one version, and answers later when it is told to."""
    made = make_bench(tmp_path)
    made.publish(arm(publish_bundle(made.project.artifacts)))
    yield made
    made.app.close()


def submit(bench: Bench, *rows: dict[str, Any], **headers: str) -> Reply:
    return bench.caller.post(LATER, {"rows": rows or (ROW,)}, **headers)


def cancel(bench: Bench, path: str) -> Reply:
    return asyncio.run(bench.caller.ask("DELETE", path, parts=[b""]))


def told(answer: Any) -> Any:
    """An answer without what is never the same twice."""
    return [{**one, "id": None} for one in answer["predictions"]]


def test_a_question_is_accepted_with_the_place_of_its_answer(bench: Bench) -> None:
    reply = submit(bench)
    assert reply.status == 202
    assert reply.headers["location"] == f"{LATER}/{reply.json['id']}"
    assert reply.json["state"] == "waiting"
    assert bench.records == []


def test_while_it_waits_the_caller_is_told_when_to_ask_again(bench: Bench) -> None:
    reply = bench.caller.get(submit(bench).headers["location"])
    assert (reply.status, reply.headers["retry-after"], reply.json["state"]) == (202, "1", "waiting")


def test_the_answer_is_the_one_that_predict_gives_and_is_recorded_once(bench: Bench) -> None:
    place = submit(bench, ROW, {**ROW, "distance": 9.0}).headers["location"]
    assert bench.work_off()
    reply = bench.caller.get(place)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert [record.id for record in bench.records] == [one["id"] for one in reply.json["predictions"]]
    assert told(reply.json) == told(bench.predict(ROW, {**ROW, "distance": 9.0}))
    assert bench.caller.get(place).body == reply.body
    assert not bench.work_off()


def test_what_predict_would_refuse_is_answered_with_that_refusal_and_not_recorded(bench: Bench) -> None:
    place = submit(bench, {**ROW, "seats": "many"}).headers["location"]
    bench.work_off()
    reply = bench.caller.get(place)
    now = bench.caller.post(PATH, {"rows": [{**ROW, "seats": "many"}]})
    assert (reply.status, reply.headers["content-type"]) == (422, "application/problem+json")
    assert {**reply.json, "request_id": ""} == {**now.json, "request_id": ""}
    assert bench.records == []


@pytest.mark.parametrize("path", ["/predictions/etta", "/predictions/"])
def test_what_is_not_served_is_refused_at_once(bench: Bench, path: str) -> None:
    assert bench.caller.post(path, {"rows": [ROW]}).status == 404


def test_a_body_of_another_kind_is_refused_at_once(bench: Bench) -> None:
    assert submit(bench, content_type="text/csv").status == 415


def test_an_answer_can_be_had_as_arrow(bench: Bench) -> None:
    place = submit(bench, accept=ARROW).headers["location"]
    bench.work_off()
    reply = bench.caller.get(place)
    assert reply.headers["content-type"] == ARROW
    assert pa.ipc.open_stream(reply.body).read_all().num_rows == 1


def test_the_options_of_predict_are_taken(bench: Bench) -> None:
    place = bench.caller.post(f"{LATER}?values=1", {"rows": [ROW]}).headers["location"]
    bench.work_off()
    assert bench.caller.get(place).json["predictions"][0]["values"]["distance"] == ROW["distance"]


def test_a_cancelled_question_is_never_answered(bench: Bench) -> None:
    place = submit(bench).headers["location"]
    assert cancel(bench, place).json["state"] == "cancelled"
    assert not bench.work_off()
    assert (bench.caller.get(place).status, cancel(bench, place).status) == (404, 404)


def test_an_answer_that_is_cancelled_while_it_is_made_is_not_recorded(bench: Bench) -> None:
    place = submit(bench).headers["location"]
    answering = bench.app.later.answering  # type: ignore[union-attr]  # it is there
    made = answering.answer

    async def slow(job: Any, **more: Any) -> Any:
        done = await made(job, **more)
        assert (await bench.work.cancel(job.id)) is True
        return done

    answering.answer = slow  # type: ignore[method-assign]  # the caller comes in between
    bench.work_off()
    assert bench.records == []
    assert bench.caller.get(place).status == 404


def test_an_answer_is_its_callers_alone(bench: Bench) -> None:
    place = submit(bench).headers["location"]
    access = project_access(bench.project.config.home)
    ann = replace(bench.caller, token=access.issue(name="ann", permissions=["predictions:write"]))
    again = replace(bench.caller, token=access.issue(name="admin", permissions=["predictions:write"]))
    assert (ann.get(place).status, again.get(place).status) == (404, 202)


def test_a_question_sent_again_with_its_key_is_the_same(bench: Bench) -> None:
    first, second = submit(bench, idempotency_key="k-1"), submit(bench, idempotency_key="k-1")
    assert second.headers["location"] == first.headers["location"]
    assert (bench.work_off(), bench.work_off()) == (True, False)
    assert submit(bench, idempotency_key="k-1").headers["location"] == first.headers["location"]


def test_a_key_that_was_sent_with_another_question_is_a_conflict(bench: Bench) -> None:
    submit(bench, idempotency_key="k-1")
    reply = submit(bench, {**ROW, "distance": 1.0}, idempotency_key="k-1")
    assert (reply.status, reply.json["code"]) == (409, "conflict")


def test_beyond_as_many_as_may_wait_the_next_is_turned_away(bench: Bench) -> None:
    bench.work._jobs._max_waiting = 2
    assert [submit(bench).status for _ in range(3)] == [202, 202, 429]
    bench.work_off()
    assert submit(bench).status == 202


def test_beyond_the_bytes_that_may_be_kept_the_next_is_turned_away(bench: Bench) -> None:
    bench.work._jobs._max_bytes = 10
    reply = submit(bench)
    assert (reply.status, reply.headers["retry-after"]) == (429, "10")


def test_a_body_larger_than_later_bodies_may_be_is_refused(bench: Bench) -> None:
    assert submit(bench, content_length="32000001").status == 413


def test_an_answer_is_forgotten_when_its_time_is_over(bench: Bench) -> None:
    bench.work._keep_us = 0
    place = submit(bench).headers["location"]
    bench.work_off()
    assert bench.caller.get(place).status == 404


def test_the_unforeseen_is_an_answer_without_its_text(bench: Bench) -> None:
    place = submit(bench).headers["location"]

    async def broken(request: Any) -> Any:
        raise ZeroDivisionError("a secret of the inside")

    bench.app.later.answering._handle = broken  # type: ignore[union-attr]  # it is there
    bench.work_off()
    reply = bench.caller.get(place)
    assert (reply.status, reply.json["code"]) == (500, "internal")
    assert "secret" not in reply.body.decode()


def test_records_that_the_log_refused_are_appended_once_it_takes_them(bench: Bench) -> None:
    place = submit(bench).headers["location"]
    bench.log.is_full = True
    with pytest.raises(Unavailable):
        bench.work_off()
    assert bench.caller.get(place).status == 202
    bench.log.is_full = False
    asyncio.run(bench.work.recover())
    answer = bench.caller.get(place).json
    assert [record.id for record in bench.records] == [one["id"] for one in answer["predictions"]]


def test_records_that_are_in_the_log_already_are_not_appended_again(bench: Bench, monkeypatch: Any) -> None:
    place = submit(bench).headers["location"]

    def killed(*_: Any, **__: Any) -> None:
        raise Unavailable("killed before it was noted that the records are there")

    with monkeypatch.context() as patched:
        patched.setattr(bench.work._jobs, "recorded", killed)
        with pytest.raises(Unavailable):
            bench.work_off()
    bench.predict(ROW)
    asyncio.run(bench.work.recover())
    assert (bench.caller.get(place).status, len(bench.records)) == (200, 2)


def test_a_job_whose_worker_ended_waits_again(bench: Bench) -> None:
    place = submit(bench).headers["location"]
    assert bench.work._jobs.claim(0) is not None
    assert not bench.work_off()
    asyncio.run(bench.work.recover())
    bench.work_off()
    assert bench.caller.get(place).status == 200


def test_a_version_that_gives_no_number_is_recorded_as_by_predict(bench: Bench) -> None:
    overflowing = publish_bundle(bench.project.artifacts, weights=[0.0, 0.0, 0.0, 3e38, 0.0])
    bench.publish(arm(overflowing, version=2), sequence=2)
    place = submit(bench).headers["location"]
    bench.work_off()
    assert (bench.caller.get(place).json["code"], len(bench.records)) == ("prediction_failed", 1)


def test_shadows_see_what_is_answered_later(bench: Bench) -> None:
    artifacts = bench.project.artifacts
    bench.publish(
        arm(publish_bundle(artifacts)), arm(publish_bundle(artifacts, bias=1.0), role="shadow", version=2), sequence=2
    )
    submit(bench)

    async def work() -> None:
        assert await bench.work.work_off(bench.app.later.answering)  # type: ignore[union-attr]  # it is there
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(work())
    assert sorted(record.arm for record in bench.records) == ["live", "shadow"]


def test_a_question_is_told_in_the_gauge(bench: Bench) -> None:
    body = msgspec.json.encode({"rows": [ROW]})
    assert bench.caller.post(LATER, body).status == 202
    assert bench.work._jobs.count_waiting() == 1
    assert b"octavo_asynchronous_predictions_waiting" in bench.caller.get("/metrics").body


def test_a_broken_file_costs_nothing_but_what_stands_in_it(bench: Bench) -> None:
    bench.work._jobs._path.parent.mkdir(parents=True, exist_ok=True)
    bench.work._jobs._path.write_bytes(b"no database" * 100)
    reply = submit(bench)
    assert (reply.status, reply.json["code"]) == (503, "unavailable")
    assert bench.predict(ROW)
