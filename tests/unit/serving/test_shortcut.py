"""The short way: whoever is answered by it cannot tell, whatever he sends, and in whichever pieces."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.bundles import PLAN_LOOKED_UP, PLAN_SENT, ROW, publish_bundle
from tests.serving.predictors import PATH, Bench, Unplugged, made_to_tell, make_bench, remembering
from tests.serving.projects import DEPLOYMENT, SETTINGS, arm, make_project
from uvicorn.server import ServerState

from octavo.serving.app import PredictorApp
from octavo.serving.connections import Connection, Connections, State
from octavo.serving.shortcut import Shortcut
from octavo.stores.memory import MemoryArtifacts

_OWN = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=x-request-id: )\S+|(?<=traceparent: )\S+|(?<=\"request_id\":\")[^\"]+"
)
_TURNS = 40


class Wire:
    """A client's end of a connection, in memory: as much of a transport as a server asks of one."""

    def __init__(self, app: PredictorApp, *, is_short: bool = True) -> None:
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False, http=Connections)  # type: ignore[arg-type]
        config.load()
        connections = Connections(most=10, shortcut=app.shortcut if is_short else None)
        self.server = Connection(connections, config, ServerState(), {}, asyncio.get_running_loop())
        self.said = b""
        self.is_closed = self.is_paused = False
        self.server.connection_made(self)  # type: ignore[arg-type]  # see above

    async def send(self, *pieces: bytes) -> list[bytes]:
        """What the server answers until it has nothing more to say."""
        for piece in pieces:
            await quiet()
            if not self.is_closed:
                self.server.data_received(piece)
        await quiet()
        said, self.said = self.said, b""
        return [b"HTTP/1.1" + one for one in said.split(b"HTTP/1.1")[1:]]

    def write(self, data: bytes) -> None:
        self.said += data

    def writelines(self, parts: Sequence[bytes]) -> None:
        self.said += b"".join(parts)

    def close(self) -> None:
        self.is_closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


async def quiet() -> None:
    """Until everything that was begun is done: nothing here waits for anything outside of the loop."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each request whose head was known, whether it was answered together with others."""
    return made_to_tell(monkeypatch, Shortcut, "gather")


@pytest.fixture(params=[PLAN_SENT, PLAN_LOOKED_UP], ids=["sent", "looked up"], scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A predictor that remembers heads."""
    return remembering(tmp_path_factory.mktemp("predictor"), request.param)


def request_of(
    bench: Bench, body: bytes | None = None, *, path: str = PATH, method: str = "POST", **headers: Any
) -> bytes:
    """A request as it is sent; a header is left out where its value is empty."""
    body = msgspec.json.encode({"rows": [ROW]}) if body is None else body
    told: Mapping[str, str] = {
        "host": "x",
        "authorization": f"Bearer {bench.project.token}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def answers_alike(one: Sequence[bytes]) -> list[tuple[list[bytes], bytes]]:
    """Answers but for what no two have in common: the lines of their heads in any order, and their bodies."""
    told = [_OWN.sub(b"?", answer).partition(b"\r\n\r\n") for answer in one]
    return [
        (sorted(line for line in head.split(b"\r\n") if not line.startswith(b"date")), body) for head, _, body in told
    ]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), timeout=30))


def test_what_is_sent_again_goes_the_short_way_and_is_recorded(bench: Bench, taken: list[bool]) -> None:
    async def scenario() -> None:
        wire, before = Wire(bench.app), len(bench.records)
        answers = [await wire.send(request_of(bench)) for _ in range(4)]
        assert len({repr(answers_alike(answer)) for answer in answers}) == 1
        assert taken[-1]
        sent = [msgspec.json.decode(answer[0].partition(b"\r\n\r\n")[2]) for answer in answers]
        assert [record.id for record in bench.records[before:]] == [one["predictions"][0]["id"] for one in sent]
        assert all(record.latency_us >= 0 and record.caller for record in bench.records[before:])

    run(scenario)


INFER = f"/v2/models/{DEPLOYMENT}/infer"


def tensors_of(row: dict[str, Any], **more: Any) -> bytes:
    """A row as a tensor per field."""
    kinds = {str: "BYTES", float: "FP64", int: "INT64", type(None): "INT64"}
    inputs = [
        {"name": name, "shape": [1], "datatype": kinds[type(value)], "data": [value]} for name, value in row.items()
    ]
    return msgspec.json.encode({"inputs": inputs, **more})


MATRIX = {"name": "model_inputs", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}
TENSORS = [
    tensors_of(ROW),
    tensors_of(ROW, id="mine"),
    tensors_of({**ROW, "seats": None}),
    tensors_of({**ROW, "distance": "far"}),
    tensors_of(ROW, outputs=[{"name": "prediction"}]),
    tensors_of(ROW, parameters={"binary_data_output": True}),
    msgspec.json.encode({"inputs": [MATRIX]}),
]


def bodies() -> st.SearchStrategy[bytes]:
    rows = st.lists(st.sampled_from([ROW, {**ROW, "seats": None}, {**ROW, "distance": "far"}, {}]), max_size=10)
    return st.one_of(
        rows.map(lambda found: msgspec.json.encode({"rows": found})),
        st.sampled_from(TENSORS),
        st.sampled_from([b"", b"{", b'{"rows":[', b'{"rows":[],"rows":[]}', b"\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"]),
    )


REQUESTS = st.fixed_dictionaries(
    {"body": bodies()},
    optional={
        "path": st.sampled_from([INFER, INFER, "/predict/other", f"{PATH}?values=1", f"{INFER}?", "/livez"]),
        "method": st.sampled_from(["GET", "PUT"]),
        "authorization": st.sampled_from(["", "Bearer wrong"]),
        "connection": st.sampled_from(["keep-alive", "Keep-Alive", "close", "upgrade"]),
        "content_type": st.sampled_from(["", "text/plain", "application/json; charset=utf-8"]),
        "content_length": st.sampled_from(["", "0", "5", "100", "x"]),
        "transfer_encoding": st.just("chunked"),
        "expect": st.just("100-continue"),
        "traceparent": st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        "x_request_id": st.just("mine"),
        "host": st.sampled_from(["x\r\nHost: y", "x\r\n y", "x\nA: b", "x\n\nPOST / HTTP/1.1"]),
    },
)
BY_ROWS: dict[str, Any] = {"body": msgspec.json.encode({"rows": [ROW]}) + b"  "}
BY_TENSORS: dict[str, Any] = {"body": tensors_of(ROW), "path": INFER}


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_it_answers_as_the_long_way_does(bench: Bench, data: st.DataObject) -> None:
    """Whatever follows upon whatever else on a connection, cut wherever it may be cut."""
    often = data.draw(st.sampled_from([BY_ROWS, BY_TENSORS]))
    asked = data.draw(st.lists(st.one_of(st.just(often), st.just(BY_ROWS), REQUESTS), min_size=2, max_size=6))
    sent = b"".join([request_of(bench, **one) for one in (often, often, *asked, often)])
    usual = len(request_of(bench, **often))
    early = data.draw(st.sampled_from([0, 1, 3]))
    ends = [2 * usual + sum(len(request_of(bench, **one)) for one in asked[:n]) for n in range(len(asked) + 1)]
    by_request = [end - early for end in ends]
    cuts = data.draw(st.one_of(st.just(by_request), st.lists(st.integers(0, len(sent)), max_size=12)))
    places = sorted({0, usual, 2 * usual, *cuts, len(sent)})
    pieces = [sent[first:last] for first, last in pairwise(places)]

    async def scenario() -> None:
        short, long = Wire(bench.app), Wire(bench.app, is_short=False)
        assert answers_alike(await short.send(*pieces)) == answers_alike(await long.send(*pieces))
        assert short.is_closed == long.is_closed
        assert short.server.state == long.server.state

    run(scenario)


@pytest.mark.parametrize(
    ("body", "is_short"), [(body, b"binary" not in body and b"far" not in body) for body in TENSORS]
)
def test_tensors_go_the_short_way_unless_bytes_are_wanted(
    tmp_path: Path, taken: list[bool], body: bytes, is_short: bool
) -> None:
    bench = make_bench(tmp_path, heads_for_s=60.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=PLAN_SENT)))

    async def scenario() -> None:
        wire = Wire(bench.app)
        first, last = [await wire.send(request_of(bench, body, path=INFER)) for _ in range(2)]
        assert taken == [is_short]
        assert answers_alike(first) == answers_alike(last)

    run(scenario)


def test_what_comes_while_it_waits_is_answered_after_it(bench: Bench, taken: list[bool]) -> None:
    async def scenario() -> None:
        wire = Wire(bench.app)
        for _ in range(2):
            await wire.send(request_of(bench))
        taken.clear()
        first, second = request_of(bench), request_of(bench, path="/livez", method="GET")
        wire.server.data_received(first)
        wire.server.data_received(second[:30])
        assert wire.is_paused
        told = await wire.send(second[30:])
        assert taken[0], "the first one was taken"
        assert [b'"predictions"' in one for one in told] == [True, False]
        assert not wire.is_paused

    run(scenario)


def test_what_fails_on_the_short_way_is_answered_on_the_long_one(
    tmp_path: Path, taken: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    bench = make_bench(tmp_path, heads_for_s=60.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=PLAN_SENT, weights=[3e38, 0.0])))

    async def scenario() -> None:
        wire, good = Wire(bench.app), msgspec.json.encode({"rows": [{**ROW, "distance": 0.000}]})
        bad = msgspec.json.encode({"rows": [{**ROW, "distance": 1234}]}).ljust(len(good))
        good = good.ljust(len(bad))
        told = [await wire.send(request_of(bench, body)) for body in (good, good, good, bad, good)]
        assert taken == [True, True, True, True]
        assert [one[0][9:12] for one in told] == [b"200", b"200", b"200", b"500", b"200"]
        wire.server.data_received(request_of(bench, bad))
        wire.server.shutdown()
        [last] = await wire.send()
        assert b" 500 " in last[:15]
        assert wire.is_closed

    run(scenario)


def test_a_server_that_ends_answers_what_it_has_taken(bench: Bench, taken: list[bool]) -> None:
    async def scenario() -> None:
        wire = Wire(bench.app)
        for _ in range(2):
            await wire.send(request_of(bench))
        wire.server.data_received(request_of(bench))
        wire.server.shutdown()
        assert not wire.is_closed
        [answer] = await wire.send()
        assert b'"predictions"' in answer
        assert wire.is_closed

    run(scenario)


def test_a_caller_who_leaves_is_no_trouble(bench: Bench) -> None:
    async def scenario() -> None:
        wire = Wire(bench.app)
        for _ in range(2):
            await wire.send(request_of(bench))
        wire.server.data_received(request_of(bench))
        wire.close()
        wire.server.connection_lost(None)
        await quiet()
        assert wire.said == b""
        assert bench.app.admission.present == 0

    run(scenario)


@pytest.mark.parametrize("state", ["draining", "stopped", "shadowed", "slow reader"])
def test_what_is_unusual_goes_the_long_way(tmp_path: Path, taken: list[bool], state: str) -> None:
    bench = make_bench(tmp_path, heads_for_s=60.0)
    digest = publish_bundle(bench.project.artifacts, plan=PLAN_SENT)
    bench.publish(arm(digest))

    async def scenario() -> None:
        wire = Wire(bench.app)
        for _ in range(2):
            await wire.send(request_of(bench))
        assert taken == [True]
        bench.app.is_draining = state == "draining"
        if state == "stopped":
            bench.publish(arm(digest), sequence=2, stopped="a person said so")
        elif state == "shadowed":
            other = publish_bundle(bench.project.artifacts, plan=PLAN_SENT, bias=1.0)
            bench.publish(arm(digest), arm(other, role="shadow", version=2), sequence=2)
        elif state == "slow reader":
            wire.server.pause_writing()
        await wire.send(request_of(bench))
        assert taken[1:] == ([] if state in ("draining", "slow reader") else [False])
        wire.server.resume_writing()

    run(scenario)


def test_a_full_predictor_refuses_on_the_long_way(bench: Bench, taken: list[bool]) -> None:
    async def scenario() -> None:
        wire, admission = Wire(bench.app), bench.app.admission
        for _ in range(2):
            await wire.send(request_of(bench))
        for _ in range(admission._max_concurrent):
            admission.enter_briefly(0)
        [refused] = await wire.send(request_of(bench))
        assert b" 429 " in refused[:15]
        for _ in range(admission._max_concurrent):
            admission.leave_briefly()
        [answered] = await wire.send(request_of(bench))
        assert b" 200 " in answered[:15]
        assert admission.present == 0

    run(scenario)


def test_a_body_beyond_the_settings_is_refused_however_often_it_is_sent(tmp_path: Path, taken: list[bool]) -> None:
    few = SETTINGS.replace("max_body_bytes = 200000", "max_body_bytes = 50")
    bench = Bench(make_project(tmp_path, settings=few, artifacts=MemoryArtifacts()), heads_for_s=60.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=PLAN_SENT)))

    async def scenario() -> None:
        wire = Wire(bench.app)
        for _ in range(4):
            [refused] = await wire.send(request_of(bench))
            assert b" 413 " in refused[:15]
        assert not any(taken)

    run(scenario)


def test_without_the_store_it_says_so(tmp_path: Path, taken: list[bool]) -> None:
    bench = make_bench(tmp_path, heads_for_s=60.0)
    bench.publish(arm(publish_bundle(bench.project.artifacts, plan=PLAN_LOOKED_UP)))
    assert isinstance(bench.online, Unplugged)

    async def scenario() -> None:
        wire = Wire(bench.app)
        for _ in range(2):
            await wire.send(request_of(bench))
        bench.online.is_gone = True  # type: ignore[attr-defined]  # see above
        [answer] = await wire.send(request_of(bench))
        assert taken[-1]
        assert b'"degraded":true' in answer

    run(scenario)


def test_a_new_connection_is_known_by_what_others_sent(bench: Bench, taken: list[bool]) -> None:
    async def scenario() -> None:
        first = await Wire(bench.app).send(request_of(bench))
        taken.clear()
        assert answers_alike(await Wire(bench.app).send(request_of(bench))) == answers_alike(first)
        assert taken == [True]

    run(scenario)


def test_a_body_may_have_any_length_and_come_in_pieces(bench: Bench, taken: list[bool]) -> None:
    async def scenario() -> None:
        wire, more = Wire(bench.app), request_of(bench, msgspec.json.encode({"rows": [ROW] * 2}))
        [first] = await wire.send(request_of(bench))
        taken.clear()
        head, _, body = more.partition(b"\r\n\r\n")
        assert await wire.send(head + b"\r\n\r\n", body[:1], body[1:40]) == []
        [answer] = await wire.send(body[40:])
        assert taken == [True]
        assert answer.count(b'"id"') == 2 * first.count(b'"id"')

    run(scenario)


def test_a_long_body_is_answered_by_itself(bench: Bench, taken: list[bool]) -> None:
    async def scenario() -> None:
        short, long = Wire(bench.app), Wire(bench.app, is_short=False)
        for rows in ([ROW] * 700, [ROW] * 600 + [{"distance": "far"}]):
            sent = request_of(bench, msgspec.json.encode({"rows": rows}))
            assert answers_alike(await short.send(request_of(bench), sent[:9_000], sent[9_000:])) == answers_alike(
                await long.send(request_of(bench), sent)
            )
        assert all(taken), "what is long is not even shown to it"
        assert bench.app.admission.present == 0

    run(scenario)


@pytest.mark.parametrize("end", ["slow", "gone", "shutdown"])
def test_a_body_whose_rest_does_not_come_is_waited_for_the_long_way(bench: Bench, end: str) -> None:
    async def scenario() -> None:
        wire, sent = Wire(bench.app), request_of(bench)
        await wire.send(sent, sent[:-5])
        every = wire.server._all
        assert every.n_gathered == 1
        assert bench.app.admission.present == 0, "it takes nobody's place"
        if end == "gone":
            wire.close()
            wire.server.connection_lost(None)
        elif end == "shutdown":
            wire.server.shutdown()
        else:
            every.sweep(time.perf_counter_ns() + 2_000_000_000)
        assert every.n_gathered == 0
        answers = await wire.send(sent[-5:])
        assert [b'"predictions"' in answer for answer in answers] == ([] if end == "gone" else [True])
        assert wire.is_closed == (end != "slow")
        assert bench.app.admission.present == 0

    run(scenario)


def test_not_all_connections_may_wait_for_the_rest_of_a_body(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    monkeypatch.setattr("octavo.serving.connections._MOST_GATHERED", 0)

    async def scenario() -> None:
        wire, sent = Wire(bench.app), request_of(bench)
        await wire.send(sent)
        taken.clear()
        [answer] = await wire.send(sent[:-5], sent[-5:])
        assert b'"predictions"' in answer
        assert taken == []

    run(scenario)


def test_a_head_is_a_head_only_to_its_first_empty_line(bench: Bench, taken: list[bool]) -> None:
    """Bytes that the parser passes over before a request are no head, whoever sends them, and however often."""

    async def scenario() -> None:
        wire = Wire(bench.app)
        for _ in range(4):
            await wire.send(b"\r\n\r\n" + request_of(bench))
            assert wire.server.state is State.NOTHING
        assert not any(taken)

    run(scenario)
