"""Callbacks: where they may lead, what they say, and what is done if nobody takes them."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import Bench
from tests.serving.projects import SETTINGS, arm, make_project

from octavo.clock import ManualClock, to_micros
from octavo.config import PredictorSettings
from octavo.errors import ConfigurationError, InvalidRequest
from octavo.serving.later.callbacks import CallbackRules, Place, event_of
from octavo.serving.later.jobs import Callback
from octavo.serving.later.sending import LONGEST_PAUSE_S, CallbackSender, pause_s
from octavo.serving.problems import Answer
from octavo.stores.memory import MemoryArtifacts

KEY = "k" * 32
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", KEY)


def rules(*prefixes: str, hosts: tuple[str, ...] = ()) -> CallbackRules:
    return CallbackRules(PredictorSettings(callbacks=prefixes, callback_hosts=hosts, callback_secret="env:HOOK_KEY"))


def callback(url: str = "", *, answer: Answer | None = None, tries: int = 1) -> Callback:
    made = answer or Answer(status=200, body=b'{"predictions":[]}')
    return Callback(id="j-1", deployment="eta", url=url, tries=tries, expires_us=2**60, answer=made)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/hooks",
        "https://a.example/hooks/x?y=1",
        "https://A.example:443/hooks/",
        "https://a.example/hooks/%20",
    ],
)
def test_what_is_below_an_allowed_address_may_be_called(url: str) -> None:
    assert rules("https://a.example/hooks").check(url)[:3] == ("https", "a.example", 443)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/hooks",
        "https://a.example.evil.net/hooks",
        "https://a.example@evil.net/hooks",
        "https://evil.net#@a.example/hooks",
        "https://a.example:8443/hooks",
        "https://a.example/hooksmith",
        "https://a.example/",
        "https://a.example/hooks/../admin",
        "https://a.example/hooks/%2e%2e/admin",
        "https://a.example/hooks/%252e%252e/admin",
        "https://a.example/hooks/..%2fadmin",
        "https://a.example/hooks\\..\\admin",
        "https://a.example/hooks\r\nHost: x",
        "https://a.example/hööks",
        "https:///hooks",
        "https://a.example:99999/hooks",
        "ftp://a.example/hooks",
        "hooks",
        "https://a.example/hooks/" + "x" * 2000,
    ],
)
def test_no_other_may(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        rules("https://a.example/hooks").check(url)
    assert refused.value.field == "Callback-URL"


def test_without_the_setting_none_may() -> None:
    with pytest.raises(InvalidRequest, match="callbacks allows"):
        CallbackRules(PredictorSettings()).check("https://a.example/hooks")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "2002:7f00:1::"],
)  # fmt: skip
def test_a_host_in_the_own_network_is_not_called_unless_it_is_named(address: str) -> None:
    place = Place("https", "a.example", 443, "/hooks")
    with pytest.raises(InvalidRequest, match="no public address"):
        rules("https://a.example/").check_addresses(place, ["93.184.216.34", address])
    rules("https://a.example/", hosts=("A.example",)).check_addresses(place, [address])
    rules("https://a.example/").check_addresses(place, ["93.184.216.34", "2606:2800:220:1::1"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"callbacks": ("https://a.example/",)}, "need a callback_secret"),
        ({"callbacks": ("https://a.example/",), "callback_secret": "env:NONE_SUCH"}, "is not set"),
        ({"callbacks": ("https://a.example/",), "callback_secret": "env:SHORT"}, "fewer than 16 bytes"),
        ({"callbacks": ("a.example",), "callback_secret": "env:HOOK_KEY"}, "is no http or https address"),
        ({"callbacks": ("https://a.example/?x=1",), "callback_secret": "env:HOOK_KEY"}, "has a query"),
    ],
)
def test_settings_that_cannot_be_kept_to_are_refused(
    settings: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORT", "x")
    with pytest.raises(ConfigurationError, match=words):
        CallbackRules(PredictorSettings(**settings))


def test_the_event_holds_the_answer() -> None:
    event = msgspec.json.decode(event_of(callback(), now_us=to_micros(NOW)))
    assert event == {
        "specversion": "1.0",
        "id": "j-1",
        "source": "/predictions/eta",
        "type": "octavo.predictions.answered",
        "subject": "j-1",
        "time": "2026-01-02T03:04:05Z",
        "status": 200,
        "datacontenttype": "application/json",
        "data": {"predictions": []},
    }


def test_bytes_are_told_in_base64_and_what_is_large_by_its_place() -> None:
    arrow = Answer(status=200, body=b"\0\1", content_type=b"application/vnd.apache.arrow.stream")
    large = Answer(status=200, body=b"1" * 1_000_001)
    assert msgspec.json.decode(event_of(callback(answer=arrow), now_us=0))["data_base64"] == "AAE="
    event = msgspec.json.decode(event_of(callback(answer=large), now_us=0))
    assert event["dataref"] == "/predictions/eta/j-1"
    assert "data" not in event


def test_a_refusal_is_an_event_of_its_own_type() -> None:
    refused = Answer(status=422, body=b"{}", content_type=b"application/problem+json")
    assert msgspec.json.decode(event_of(callback(answer=refused), now_us=0))["type"] == "octavo.predictions.refused"


def test_pauses_grow_to_ten_minutes() -> None:
    assert [pause_s(tries) for tries in (1, 2, 3, 100)] == [2, 4, 8, LONGEST_PAUSE_S]


@dataclass
class Hook:
    """A server that takes callbacks, and answers as it is told to."""

    answers: list[bytes] = field(default_factory=lambda: [b"HTTP/1.1 204 No Content\r\n\r\n"])
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/1"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await self._hear(reader)
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        headers["webhook-signature"] = next(line.partition(": ")[2] for line in head if line.startswith("Webhook-Sig"))
        self.taken.append((headers, await reader.readexactly(int(headers["content-length"]))))


def sent(hook: Hook, *, url: str | None = None, hosts: tuple[str, ...] = ("127.0.0.1",)) -> bool:
    async def run() -> bool:
        async with hook.listening():
            allowed = rules(f"http://127.0.0.1:{hook.port}/hooks", hosts=hosts)
            return await CallbackSender(allowed, clock=ManualClock(NOW)).send(callback(url or hook.url))

    return asyncio.run(run())


def test_a_callback_is_signed_as_standard_webhooks_are() -> None:
    hook = Hook()
    assert sent(hook)
    [(headers, body)] = hook.taken
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    wanted = base64.b64encode(hmac.digest(KEY.encode(), signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["content-type"] == "application/cloudevents+json"
    assert int(headers["webhook-timestamp"]) == NOW.timestamp()


@pytest.mark.parametrize(
    ("answer", "is_settled"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 410 Gone\r\n\r\n", True),
        (b"HTTP/1.1 500 Oops\r\n\r\n", False),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", False),
        (b"nonsense\r\n", False),
        (b"x" * 100_000, False),
        (b"", False),
    ],
)
def test_only_what_is_taken_or_gone_is_settled_and_no_redirect_is_followed(answer: bytes, is_settled: bool) -> None:
    hook = Hook(answers=[answer])
    assert sent(hook) is is_settled
    assert len(hook.taken) == 1


def test_an_address_of_this_machine_is_not_connected_to() -> None:
    hook = Hook()
    assert not sent(hook, hosts=())
    assert hook.taken == []


def test_a_server_that_says_nothing_costs_a_bounded_time() -> None:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await reader.read()

    async def run() -> bool:
        silent = await asyncio.start_server(hear, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        allowed = rules(f"http://127.0.0.1:{port}/", hosts=("127.0.0.1",))
        sender = CallbackSender(allowed, clock=ManualClock(NOW), timeout_s=0.05)
        async with silent:
            return await sender.send(callback(f"http://127.0.0.1:{port}/"))

    assert not asyncio.run(run())


def make_calling(tmp_path: Path, hook: Hook, request: pytest.FixtureRequest) -> Bench:
    """A predictor that may call a hook."""
    allowed = f'callbacks = ["http://127.0.0.1:{hook.port}/"]\ncallback_hosts = ["127.0.0.1"]\n'
    settings = f'{SETTINGS}callback_secret = "env:HOOK_KEY"\n{allowed}'
    bench = Bench(make_project(tmp_path, settings=settings, artifacts=MemoryArtifacts()))
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    request.addfinalizer(bench.app.close)
    return bench


async def submit_and_tell(bench: Bench, hook: Hook, times: int, *, forward: Callable[[], None]) -> str:
    body = msgspec.json.encode({"rows": [ROW]})
    reply = await bench.caller.ask("POST", "/predictions/eta", parts=[body], callback_url=hook.url)
    assert reply.status == 202, reply.body
    sender = CallbackSender(bench.app.later._rules, clock=bench.work._clock)  # type: ignore[union-attr]  # it is there
    await bench.work.work_off(bench.app.later.answering)  # type: ignore[union-attr]  # it is there
    for _ in range(times):
        await bench.work.tell(sender)
        forward()
    return str(reply.json["id"])


def test_a_caller_is_told_once_and_again_only_if_it_did_not_take_it(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    hook = Hook(answers=[b"HTTP/1.1 503 Later\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])

    async def run() -> str:
        async with hook.listening():
            bench = make_calling(tmp_path, hook, request)
            clock = bench.work._clock = ManualClock(NOW)

            def forward() -> None:
                clock.advance(datetime.fromtimestamp(clock.now().timestamp() + 3, UTC))

            return await submit_and_tell(bench, hook, 5, forward=forward)

    job = asyncio.run(run())
    assert [headers["webhook-id"] for headers, _ in hook.taken] == [job, job]
    assert len(msgspec.json.decode(hook.taken[0][1])["data"]["predictions"]) == 1


def test_before_its_pause_is_over_a_caller_is_not_told_again(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    hook = Hook(answers=[b"HTTP/1.1 503 Later\r\n\r\n"])

    async def run() -> None:
        async with hook.listening():
            bench = make_calling(tmp_path, hook, request)
            bench.work._clock = ManualClock(NOW)
            await submit_and_tell(bench, hook, 3, forward=lambda: None)

    asyncio.run(run())
    assert len(hook.taken) == 1


def test_a_callback_to_a_forbidden_place_is_refused_at_once(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    bench = make_calling(tmp_path, Hook(port=9), request)
    reply = bench.caller.post("/predictions/eta", {"rows": [ROW]}, callback_url="http://127.0.0.1:10/")
    assert (reply.status, reply.json["field"]) == (422, "Callback-URL")
    assert not bench.work_off()
