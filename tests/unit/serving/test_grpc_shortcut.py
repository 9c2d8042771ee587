"""The short way of a call: whoever is answered by it cannot tell, whatever he sends."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving import calls
from tests.serving.bundles import PLAN_LOOKED_UP, PLAN_SENT, ROW, publish_bundle
from tests.serving.doors import tensors
from tests.serving.grpc_wire import GrpcWire, as_told
from tests.serving.predictors import Bench, made_to_tell, make_bench, remembering
from tests.serving.projects import arm

from octavo.access import project_access
from octavo.serving.grpc.shortcut import GrpcShortcut

LEARNING = 60
"""Calls of a form after which it is known for certain: an eighth of the unknown ones is learnt."""


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each call that the shortcut was shown, whether it took it."""
    return made_to_tell(monkeypatch, GrpcShortcut)


@pytest.fixture(params=[PLAN_SENT, PLAN_LOOKED_UP], ids=["sent", "looked up"], scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A predictor that knows the forms of a caller's calls."""
    made = remembering(tmp_path_factory.mktemp("predictor"), request.param)
    learn(made)
    return made


def learn(bench: Bench) -> None:
    async def scenario() -> None:
        wire = GrpcWire(bench.grpc)
        for make in (calls.raw, calls.by_lists):
            for _ in range(LEARNING):
                await wire.ask(calls.INFER, body_of(make(tensors([ROW]))), token=bench.project.token)

    run(scenario)


def body_of(message: Any) -> bytes:
    return calls.frame(message.SerializeToString())


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), timeout=30))


@pytest.mark.parametrize("make", [calls.raw, calls.by_lists])
def test_what_is_sent_again_goes_the_short_way_and_is_recorded(
    bench: Bench, taken: list[bool], make: Callable[[Any], Any]
) -> None:
    async def scenario() -> None:
        wire, before = GrpcWire(bench.grpc), len(bench.records)
        numbers = [wire.begin(calls.INFER, body_of(make(tensors([ROW]))), token=bench.project.token) for _ in range(3)]
        await wire.quiet()
        assert taken == [True] * 3
        answers = [calls.document(wire.answers[number][1][calls.PREFIX_BYTES :]) for number in numbers]
        ids = [one["data"][0] for answer in answers for one in answer["outputs"] if one["name"] == "id"]
        assert [record.id for record in bench.records[before:]] == ids
        assert all(record.latency_us >= 0 and record.caller for record in bench.records[before:])
        assert bench.app.admission.present == 0

    run(scenario)


def test_rows_and_matrices_that_wait_at_the_same_time_are_told_apart(bench: Bench, taken: list[bool]) -> None:
    n_inputs = len(bench.watcher.lineups["eta"].common_inputs or ())

    def matrix(value: float) -> bytes:
        tensor = {"name": "model_inputs", "datatype": "FP32", "shape": [1, n_inputs], "data": [value] * n_inputs}
        return body_of(calls.raw([tensor]))

    async def scenario() -> None:
        wire, token = GrpcWire(bench.grpc), bench.project.token
        for _ in range(LEARNING):
            await wire.ask(calls.INFER, matrix(1.0), token=token)
        taken.clear()
        bodies = [matrix(1.0), body_of(calls.raw(tensors([ROW]))), matrix(2.0)]
        alone = [as_told(await wire.ask(calls.INFER, body, token=token)) for body in bodies]
        numbers = [wire.begin(calls.INFER, body, token=token) for body in bodies]
        await wire.quiet()
        assert taken == [True] * 6
        assert [as_told(wire.answers[number]) for number in numbers] == alone

    run(scenario)


ROWS = st.one_of(
    st.just(ROW),
    st.fixed_dictionaries(
        {
            **{name: st.just(value) for name, value in ROW.items()},
            "distance": st.floats(),
            "seats": st.integers(-(2**63), 2**63 - 1),
            "sched_dep": st.sampled_from([ROW["sched_dep"], "soon", ""]),
        }
    ),
)
MORE = st.fixed_dictionaries(
    {},
    optional={
        "grpc_timeout": st.sampled_from(["10S", "100m", "soon"]),
        "x_request_id": st.just("mine"),
        "traceparent": st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        "grpc_encoding": st.just("gzip"),
        "content_type": st.sampled_from(["application/grpc+json", "application/grpc"]),
    },
)
CHANGES = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=2)
CALLS = st.tuples(ROWS, st.booleans(), st.sampled_from(["", "1", "7"]), st.sampled_from(["good", "", "bad"]), MORE)


@settings(max_examples=120, deadline=None)
@given(asked=st.lists(st.tuples(CALLS, CHANGES), min_size=1, max_size=5))
def test_it_answers_as_the_long_way_does(bench: Bench, asked: list[Any]) -> None:
    """Whatever is called beside whatever else, with wrong bytes in it too."""

    async def scenario() -> None:
        short, long = GrpcWire(bench.grpc), GrpcWire(bench.grpc, is_short=False)
        for (row, is_raw, id_, token, more), changes in asked:
            body = bytearray(body_of((calls.raw if is_raw else calls.by_lists)(tensors([row]), id=id_)))
            for place, byte in changes:
                body[place % len(body)] = byte
            tokens = {"good": bench.project.token}
            for wire in (short, long):
                wire.begin(calls.INFER, bytes(body), token=tokens.get(token, token), **more)
        await short.quiet()
        await long.quiet()
        assert {number: as_told(one) for number, one in short.answers.items()} == {
            number: as_told(one) for number, one in long.answers.items()
        }
        assert len(short.answers) == len(asked)
        assert bench.app.admission.present == 0

    run(scenario)


def test_what_fails_on_the_short_way_is_answered_on_the_long_one(
    tmp_path: Path, taken: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    bench = make_bench(tmp_path, heads_for_s=60.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=PLAN_SENT, weights=[3e38, 0.0])))

    async def scenario() -> None:
        wire, token = GrpcWire(bench.grpc), bench.project.token
        good, bad = (body_of(calls.raw(tensors([{**ROW, "distance": distance}]))) for distance in (0.0, 1234.0))
        for _ in range(LEARNING):
            await wire.ask(calls.INFER, good, token=token)
        taken.clear()
        numbers = [wire.begin(calls.INFER, body, token=token) for body in (good, bad, good)]
        await wire.quiet()
        assert taken == [True] * 3
        assert [as_told(wire.answers[number])[0] for number in numbers] == [200, 500, 200]

    run(scenario)


@pytest.mark.parametrize("state", ["draining", "stopped", "shadowed", "in pieces", "full", "impatient"])
def test_what_is_unusual_goes_the_long_way(tmp_path: Path, taken: list[bool], state: str) -> None:
    bench = make_bench(tmp_path, heads_for_s=60.0)
    digest = publish_bundle(bench.project.artifacts, plan=PLAN_SENT)
    bench.publish(arm(digest))
    learn(bench)

    async def scenario() -> None:
        wire, token = GrpcWire(bench.grpc), bench.project.token
        body, more = body_of(calls.raw(tensors([ROW]))), {}
        await wire.ask(calls.INFER, body, token=token)
        assert taken.pop()
        taken.clear()
        bench.app.is_draining = state == "draining"
        if state == "stopped":
            bench.publish(arm(digest), sequence=2, stopped="a person said so")
        elif state == "shadowed":
            other = publish_bundle(bench.project.artifacts, plan=PLAN_SENT, bias=1.0)
            bench.publish(arm(digest), arm(other, role="shadow", version=2), sequence=2)
        elif state == "full":
            for _ in range(bench.app.admission._max_concurrent):
                bench.app.admission.enter_briefly(0)
        elif state == "impatient":
            more = {"grpc_timeout": "99m"}
        if state == "in pieces":
            number = wire.begin(calls.INFER, None, token=token)
            for byte in np.array_split(np.frombuffer(body, np.uint8), 5):
                await wire.quiet()
                wire.go_on(number, byte.tobytes())
            wire.go_on(number, b"", is_last=True)
            await wire.quiet()
        else:
            number = wire.begin(calls.INFER, body, token=token, **more)
            await wire.quiet()
        assert not any(taken)
        told = as_told(wire.answers[number])[0]
        assert told == {"full": 429, "stopped": 503}.get(state, 200)

    run(scenario)


def test_who_may_not_any_more_is_refused_soon(tmp_path: Path, taken: list[bool], monkeypatch: Any) -> None:
    monkeypatch.setattr("octavo.serving.grpc.shortcut._BELIEVED_NS", 0)
    bench = make_bench(tmp_path, heads_for_s=60.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=PLAN_SENT)))
    learn(bench)
    access = project_access(bench.project.config.home)
    token = access.issue(name="guest", permissions=["predictions:write"])

    async def scenario() -> None:
        wire, body = GrpcWire(bench.grpc), body_of(calls.raw(tensors([ROW])))
        assert as_told(await wire.ask(calls.INFER, body, token=token))[0] == 200
        assert taken[-1]
        access.revoke(token.split("_")[1])
        assert as_told(await wire.ask(calls.INFER, body, token=token))[0] == 401

    run(scenario)


def test_a_caller_who_leaves_is_no_trouble(bench: Bench) -> None:
    async def scenario() -> None:
        wire, body = GrpcWire(bench.grpc), body_of(calls.raw(tensors([ROW])))
        await wire.ask(calls.INFER, body, token=bench.project.token)
        number = wire.begin(calls.INFER, body, token=bench.project.token)
        wire.cancel(number)
        await wire.quiet()
        wire.begin(calls.INFER, body, token=bench.project.token)
        wire.close()
        await wire.quiet()
        assert bench.app.admission.present == 0

    run(scenario)
