"""Connections of HTTP/2: what they take, what they refuse, and when they end."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import ngh2
import pytest
from tests.serving import calls
from tests.serving.bundles import publish_bundle
from tests.serving.grpc_wire import GrpcWire
from tests.serving.http2 import PING, PREFACE, SETTINGS, WINDOW_UPDATE, frame
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import arm

from octavo.serving.grpc.connections import ANSWER_TIMEOUT_S, HELLO_TIMEOUT_S, IDLE_TIMEOUT_S
from octavo.serving.grpc.messages import HEALTH, SERVICE

LIVE = f"/{SERVICE}/ServerLive"
WATCH = f"/{HEALTH}/Watch"
EMPTY = calls.frame(b"")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = make_bench(tmp_path_factory.mktemp("predictor"))
    made.publish(arm(publish_bundle(made.project.artifacts)))
    return made


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), timeout=30))


def in_s(seconds: float) -> int:
    """The time after some seconds, as connections are swept by."""
    return time.perf_counter_ns() + round(seconds * 1e9)


def rows(n: int) -> bytes:
    tensor = {"name": "model_inputs", "datatype": "FP32", "shape": [n, 5], "data": [1.0] * 5 * n}
    return calls.frame(calls.raw([tensor]).SerializeToString())


def test_calls_side_by_side_are_answered_each(bench: Bench) -> None:
    async def scenario() -> None:
        wire = GrpcWire(bench.grpc)
        numbers = [wire.begin(LIVE, EMPTY) for _ in range(40)]
        await wire.quiet()
        assert {wire.answers[number][0]["grpc-status"] for number in numbers} == {"0"}
        assert wire.answers[numbers[0]][1] == b"\x00\x00\x00\x00\x02\x08\x01"

    run(scenario)


@pytest.mark.parametrize("more", [{"big": "x" * 17_000}, {f"many{n}": "x" for n in range(70)}])
def test_too_large_a_head_is_refused_and_nothing_else(bench: Bench, more: dict[str, str]) -> None:
    async def scenario() -> None:
        wire = GrpcWire(bench.grpc)
        wire.begin(LIVE, EMPTY, **more)
        await wire.quiet()
        [refused] = [one.error_code for one in wire.events if isinstance(one, ngh2.StreamReset)]
        assert refused == ngh2.ErrorCode.ENHANCE_YOUR_CALM
        headers, _ = await wire.ask(LIVE, EMPTY)
        assert headers["grpc-status"] == "0"

    run(scenario)


def test_who_is_refused_before_his_message_came_need_not_send_it(bench: Bench) -> None:
    async def scenario() -> None:
        wire = GrpcWire(bench.grpc)
        number = wire.begin(calls.INFER, None, token="wrong")
        await wire.quiet()
        assert wire.answers[number][0]["grpc-status"] == "16"
        assert [(one.stream_id, one.error_code) for one in wire.events if isinstance(one, ngh2.StreamReset)] == [
            (number, ngh2.ErrorCode.NO_ERROR)
        ]

    run(scenario)


def test_an_answer_that_nobody_takes_is_not_kept_for_ever(bench: Bench) -> None:
    async def scenario() -> None:
        wire = GrpcWire(bench.grpc, window=0)
        wire.begin(calls.INFER, rows(500), token=bench.project.token)
        await wire.quiet()
        for seconds in (0.0, ANSWER_TIMEOUT_S / 2, ANSWER_TIMEOUT_S - 1):
            wire.server.end_if_over(in_s(seconds))
            await wire.quiet()
            assert not wire.heard(ngh2.StreamReset)
        wire.server.end_if_over(in_s(ANSWER_TIMEOUT_S + 1))
        await wire.quiet()
        assert wire.heard(ngh2.StreamReset)

    run(scenario)


def test_answers_that_nobody_takes_are_not_gathered_without_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octavo.serving.grpc.connections._MOST_UNSENT_BYTES", 20_000)

    async def scenario() -> None:
        wire = GrpcWire(bench.grpc, window=0)
        for _ in range(4):
            wire.begin(calls.INFER, rows(300), token=bench.project.token)
            await wire.quiet()
        reset = [one.error_code for one in wire.events if isinstance(one, ngh2.StreamReset)]
        assert reset == [ngh2.ErrorCode.ENHANCE_YOUR_CALM] * 3

    run(scenario)


def test_what_is_ready_is_kept_while_the_caller_reads_nothing(bench: Bench) -> None:
    async def scenario() -> None:
        wire = GrpcWire(bench.grpc)
        await wire.quiet()
        wire.server.pause_writing()
        number = wire.begin(LIVE, EMPTY)
        await wire.quiet()
        assert number not in wire.answers
        wire.server.resume_writing()
        await wire.quiet()
        assert wire.answers[number][0]["grpc-status"] == "0"
        wire.unsent = 1
        wire.server.end_if_over(in_s(1))
        assert not wire.is_closing()
        wire.server.end_if_over(in_s(1 + ANSWER_TIMEOUT_S))
        assert wire.is_closing()

    run(scenario)


def test_who_says_nothing_or_asks_nothing_is_sent_away(bench: Bench) -> None:
    async def scenario() -> None:
        silent = GrpcWire(bench.grpc)
        silent.server.end_if_over(in_s(HELLO_TIMEOUT_S - 1))
        assert not silent.is_closing()
        silent.server.end_if_over(in_s(HELLO_TIMEOUT_S + 1))
        assert silent.is_closing()
        idle = GrpcWire(bench.grpc)
        await idle.ask(LIVE, EMPTY)
        idle.server.end_if_over(in_s(IDLE_TIMEOUT_S - 1))
        assert not idle.is_closing()
        idle.server.end_if_over(in_s(IDLE_TIMEOUT_S + 1))
        assert idle.heard(ngh2.GoAwayReceived)
        assert idle.is_closing()
        busy = GrpcWire(bench.grpc)
        busy.begin(WATCH, EMPTY)
        await busy.quiet()
        busy.server.end_if_over(in_s(IDLE_TIMEOUT_S + 1))
        assert not busy.is_closing()
        busy.close()

    run(scenario)


def test_the_idle_make_room_and_nobody_else(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octavo.serving.grpc.connections._GRACE_S", 0.0)

    async def scenario() -> None:
        wire = GrpcWire(bench.grpc, most=1)
        number = wire.begin(WATCH, EMPTY)
        await wire.quiet()
        second = GrpcWire(bench.grpc, over=wire.connections)
        assert second.is_closing()
        wire.cancel(number)
        await wire.quiet()
        third = GrpcWire(bench.grpc, over=wire.connections)
        assert (wire.is_closed, third.is_closed) == (True, False)
        assert (await third.ask(LIVE, EMPTY))[0]["grpc-status"] == "0"

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\nhost: here\r\n\r\n", ngh2.ErrorCode.PROTOCOL_ERROR),
        (PREFACE + frame(SETTINGS) + frame(PING, b"12345678") * 2_000, ngh2.ErrorCode.ENHANCE_YOUR_CALM),
        (PREFACE + frame(SETTINGS) + frame(WINDOW_UPDATE, bytes(4)), ngh2.ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_who_breaks_the_rules_is_told_so_and_heard_no_more(bench: Bench, sent: bytes, code: int) -> None:
    async def scenario() -> None:
        wire = GrpcWire(bench.grpc)
        wire.server.data_received(sent)
        await asyncio.sleep(0.01)
        [gone] = [one for one in wire.events if isinstance(one, ngh2.GoAwayReceived)]
        assert gone.error_code == code
        wire.server.data_received(sent)
        assert not wire.is_closing()
        wire.server.end_if_over(in_s(3))
        assert wire.is_closing()

    run(scenario)


def test_in_the_end_calls_under_way_are_answered_and_new_ones_are_not(bench: Bench) -> None:
    async def scenario() -> None:
        wire, other = GrpcWire(bench.grpc), GrpcWire(bench.grpc)
        number = wire.begin(calls.INFER, None, token=bench.project.token)
        await wire.quiet()
        await other.quiet()
        drained = asyncio.create_task(wire.connections.drain(for_s=10))
        await asyncio.sleep(0)
        assert wire.heard(ngh2.GoAwayReceived)
        assert not wire.is_closing()
        wire.go_on(number, rows(1), is_last=True)
        await wire.quiet()
        assert wire.answers[number][0]["grpc-status"] == "0"
        assert wire.is_closing()
        assert await drained == 0
        other.begin(WATCH, EMPTY)
        await other.quiet()
        assert await other.connections.drain(for_s=0.05) == 1
        assert other.is_closing()
        await other.quiet()

    run(scenario)


def test_a_call_that_fails_beyond_the_application_costs_nothing_but_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        wire = GrpcWire(bench.grpc)
        with monkeypatch.context() as changed:
            changed.setattr(bench.grpc, "_by_path", None)
            number = wire.begin(LIVE, EMPTY)
            await wire.quiet()
        assert number not in wire.answers
        assert wire.heard(ngh2.StreamReset)
        assert "a call failed" in caplog.text
        assert (await wire.ask(LIVE, EMPTY))[0]["grpc-status"] == "0"

    run(scenario)
