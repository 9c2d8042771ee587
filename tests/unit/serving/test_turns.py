"""Requests that wait at the same time are answered as one, and nobody can tell by the answers or the records."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.serving.asgi import Reply
from tests.serving.bundles import PLAN_LOOKED_UP, PLAN_OF_TESTS, PLAN_SENT, ROW, publish_bundle
from tests.serving.predictors import PATH, Bench, Unplugged
from tests.serving.projects import arm

from octavo.definitions.plans import LookupPlan
from octavo.errors import Unavailable
from octavo.serving.turns import Turns, begun
from octavo.stores.inline import InlineReader

ROWS: list[dict[str, Any]] = [
    ROW,
    {**ROW, "origin": "EWR"},
    {**ROW, "seats": None},
    {**ROW, "distance": -1.25},
    {**ROW, "sched_dep": "2013-07-01T03:00:00+02:00"},
]


def serve(bench: Bench, plan: LookupPlan = PLAN_LOOKED_UP, **changes: Any) -> None:
    """Serve one version."""
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=plan, **changes)))


def ask_together(bench: Bench, *requests: Sequence[dict[str, Any]] | bytes, path: str = PATH) -> list[Reply]:
    """Send requests that all arrive before the predictor has answered any."""
    bodies = [one if isinstance(one, bytes) else msgspec.json.encode({"rows": one}) for one in requests]

    async def ask() -> list[Reply]:
        return await asyncio.gather(*[bench.caller.ask("POST", path, parts=[body]) for body in bodies])

    return asyncio.run(ask())


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests each turn answered."""
    found: list[int] = []
    see_to = Turns._see_to

    def counted(turns: Turns, lineup: Any, gathered: Any) -> None:
        found.append(len(gathered))
        see_to(turns, lineup, gathered)

    monkeypatch.setattr(Turns, "_see_to", counted)
    return found


def _told(answer: Any) -> list[Any]:
    """An answer but for its ids."""
    return [{**prediction, "id": None} for prediction in answer["predictions"]]


@pytest.mark.parametrize("plan", [PLAN_LOOKED_UP, PLAN_SENT], ids=["looked up", "sent"])
def test_they_are_answered_and_recorded_as_each_would_be_alone(bench: Bench, runs: list[int], plan: LookupPlan) -> None:
    bench.delays(3.0, 5.0)
    serve(bench, plan, weights=range(1, 1 + len(plan.inputs)))
    requests = [[row] for row in ROWS] + [ROWS[:3], ROWS]
    alone = [bench.predict(*rows) for rows in requests]
    recorded_alone = bench.records
    assert runs == [1] * len(requests)
    together = [reply.json for reply in ask_together(bench, *requests)]
    assert runs[len(requests) :] == [len(requests)]
    assert [_told(answer) for answer in together] == [_told(answer) for answer in alone]
    recorded = bench.records[len(recorded_alone) :]
    ids = [prediction["id"] for answer in together for prediction in answer["predictions"]]
    assert [record.id for record in recorded] == ids
    assert len(set(ids)) == len(ids)
    ours = {"id": "", "latency_us": 0, "at_us": 0, "ages_s": b""}
    assert [msgspec.structs.replace(record, **ours) for record in recorded] == [
        msgspec.structs.replace(record, **ours) for record in recorded_alone
    ]
    assert all(record.latency_us > 0 for record in recorded)


def test_each_record_tells_of_its_own_request(bench: Bench) -> None:
    serve(bench)
    traces = [f"{number:032x}" for number in range(1, 4)]
    body = msgspec.json.encode({"rows": [ROW, ROW]})

    async def ask() -> None:
        sent = [f"00-{trace}-00f067aa0ba902b7-01" for trace in traces]
        await asyncio.gather(*[bench.caller.ask("POST", PATH, parts=[body], traceparent=one) for one in sent])

    asyncio.run(ask())
    assert [record.trace for record in bench.records] == [trace for trace in traces for _ in range(2)]


def test_a_row_that_no_version_can_answer_costs_its_neighbours_nothing(bench: Bench) -> None:
    serve(bench, PLAN_SENT, weights=[3e38, 0.0])
    good = {**ROW, "distance": 0.0}
    replies = ask_together(bench, [good], [ROW], [good])
    assert [reply.status for reply in replies] == [200, 500, 200]
    assert [record.output for record in bench.records] == [0.0, float("inf"), 0.0]


def test_a_body_that_is_wrong_is_refused_and_the_others_are_answered(bench: Bench, runs: list[int]) -> None:
    serve(bench)
    replies = ask_together(bench, [ROW], b'{"rows": [', [{**ROW, "distance": "far"}], [ROW])
    assert [reply.status for reply in replies] == [200, 422, 422, 200]
    assert runs == [2]


@pytest.mark.parametrize(("n_rows", "turns"), [(8, [8, 8, 4]), (5, [12, 8]), (1, [20]), (4, [16, 4])])
def test_a_turn_holds_only_so_many_rows(bench: Bench, runs: list[int], n_rows: int, turns: list[int]) -> None:
    serve(bench)
    replies = ask_together(bench, *[[ROW] * n_rows for _ in range(20)])
    assert {reply.status for reply in replies} == {200}
    assert runs == turns
    assert len(bench.records) == 20 * n_rows


def test_a_caller_who_leaves_does_not_hold_the_others(bench: Bench) -> None:
    serve(bench)
    body = msgspec.json.encode({"rows": [ROW]})

    async def ask() -> Any:
        asked = [asyncio.create_task(bench.caller.ask("POST", PATH, parts=[body])) for _ in range(3)]
        await asyncio.sleep(0)
        asked[1].cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, gone, last = asyncio.run(ask())
    assert isinstance(gone, asyncio.CancelledError)
    assert (first.status, last.status) == (200, 200)


@pytest.mark.parametrize("pauses", [0, 1, 3])
def test_whether_the_store_takes_waiting_makes_no_difference(
    bench: Bench, runs: list[int], monkeypatch: pytest.MonkeyPatch, pauses: int
) -> None:
    at_once = InlineReader.read

    async def read(reader: InlineReader, keys: Sequence[bytes]) -> list[bytes | None]:
        for _ in range(pauses):
            await asyncio.sleep(0)
        return await at_once(reader, keys)

    monkeypatch.setattr(InlineReader, "read", read)
    bench.delays(3.0, 5.0)
    serve(bench, weights=range(1, 1 + len(PLAN_LOOKED_UP.inputs)))
    answers = [reply.json for reply in ask_together(bench, [ROW], ROWS, [ROW])]
    assert runs == [3]
    assert [_told(answer) for answer in answers] == [_told(bench.predict(*rows)) for rows in ([ROW], ROWS, [ROW])]


def test_what_never_waits_is_done_at_once_and_what_waits_is_gone_on_with() -> None:
    said = []

    async def say(*pauses: asyncio.Future[str]) -> None:
        for pause in pauses:
            try:
                said.append(await pause)
            except (Unavailable, asyncio.CancelledError) as error:
                said.append(type(error).__name__)
        said.append("done")

    async def run() -> None:
        assert begun(say()) is None
        assert said == ["done"]
        answer, refusal, never = [asyncio.get_running_loop().create_future() for _ in range(3)]
        rest = begun(say(answer, refusal, never))
        assert rest is not None
        task = asyncio.create_task(rest)
        answer.set_result("an answer")
        refusal.set_exception(Unavailable("gone"))
        while len(said) < 3:
            await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(run())
    assert said == ["done", "an answer", "Unavailable", "CancelledError", "done"]


def test_without_the_store_all_are_told_so(bench: Bench, runs: list[int]) -> None:
    bench.delays(3.0)
    serve(bench)
    assert isinstance(bench.online, Unplugged)
    bench.online.is_gone = True
    answers = [reply.json for reply in ask_together(bench, [ROW], [ROW])]
    assert runs == [2]
    assert [answer["degraded"] for answer in answers] == [True, True]
    assert bench.metrics.degraded == 2


def test_a_mistake_of_ours_is_told_to_all_who_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(bench)

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.app._predictor._blocks, "block", broken)
    assert [reply.status for reply in ask_together(bench, [ROW], [ROW])] == [500, 500]


def test_code_of_a_bundle_sees_one_request_at_a_time(bench: Bench, runs: list[int]) -> None:
    """What ends its process, or holds it up, is no neighbour's trouble."""
    serve(bench, PLAN_OF_TESTS)
    assert {reply.status for reply in ask_together(bench, [ROW], [ROW])} == {200}
    assert runs == []
