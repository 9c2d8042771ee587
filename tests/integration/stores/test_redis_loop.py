"""A real Redis as an event loop reads it: that dies, hangs, comes back, cuts connections off and asks who is there."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop

from octavo.config import Config, PredictorSettings, StoreSettings
from octavo.errors import MissingExtra, Unavailable
from octavo.stores.online import loop_reader, online_adapter
from octavo.stores.redis import RedisAddress, RedisLoopReader, RedisOnlineStore
from tests.servers import RedisServer, Relay, free_port, running_redis, self_signed, wait_for_port

T = TypeVar("T")
Read = Callable[[RedisLoopReader], Awaitable[T]]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


def fill(server: RedisServer, **values: bytes) -> None:
    writer = RedisOnlineStore(RedisAddress(port=server.port), project="trips")
    writer.write({key.encode(): value for key, value in values.items()}, marks={})
    writer.close()


def run(port: int, use: Read[T], *, timeout_s: float = 5.0) -> T:
    """Use a reader in a loop of its own."""

    async def used() -> T:
        reader = RedisLoopReader(RedisAddress(port=port), project="trips", timeout_s=timeout_s)
        try:
            return await use(reader)
        finally:
            reader.close()

    return uvloop.run(used())


async def refusal(reader: RedisLoopReader) -> Unavailable:
    """Why a lookup is refused."""
    with pytest.raises(Unavailable, match=r"the Redis at .* cannot be used now") as refused:
        await reader.read([b"key"])
    return refused.value


def test_where_no_server_is_lookups_are_refused_at_once() -> None:
    async def use(reader: RedisLoopReader) -> list[Unavailable]:
        return await asyncio.gather(*(refusal(reader) for _ in range(20)))

    assert "timed_out" not in run(free_port(), use, timeout_s=60)[0].facts


def test_a_server_that_hangs_costs_the_timeout_and_is_used_again_when_it_wakes(own_server: RedisServer) -> None:
    fill(own_server, key=b"value", other=b"another")

    async def use(reader: RedisLoopReader) -> list[bytes | None]:
        await reader.read([b"other"])
        with own_server.paused():
            for _ in range(3):
                assert (await refusal(reader)).facts == {"timed_out": True}
        return [*await patiently(reader, b"other"), *await reader.read([b"key"])]

    assert run(own_server.port, use, timeout_s=0.05) == [b"another", b"value"]


def test_a_server_that_hangs_for_long_is_connected_to_anew(own_server: RedisServer) -> None:
    fill(own_server, key=b"value")

    async def use(reader: RedisLoopReader) -> list[bytes | None]:
        await reader.read([b"other"])
        with own_server.paused():
            await refusal(reader)
            await asyncio.sleep(1.1)
            await refusal(reader)
        return await patiently(reader, b"key")

    assert run(own_server.port, use, timeout_s=0.05) == [b"value"]


def test_a_killed_server_refuses_what_is_under_way_and_one_that_is_back_is_used_again(own_server: RedisServer) -> None:
    async def use(reader: RedisLoopReader) -> list[bytes | None]:
        await reader.read([b"other"])
        with own_server.paused():
            waiting = [asyncio.ensure_future(refusal(reader)) for _ in range(10)]
            await asyncio.sleep(0.05)
            own_server.kill()
            await asyncio.gather(*waiting)
        own_server.start()
        fill(own_server, key=b"newer")
        return await reader.read([b"key"])

    assert run(own_server.port, use, timeout_s=60) == [b"newer"]


def test_a_server_that_was_restarted_between_two_reads_is_not_noticed(own_server: RedisServer) -> None:
    async def use(reader: RedisLoopReader) -> list[bytes | None]:
        await reader.read([b"key"])
        own_server.kill()
        own_server.start()
        return await reader.read([b"key"])

    assert run(own_server.port, use) == [None]


def test_lookups_whose_connection_is_lost_are_sent_once_more(own_server: RedisServer) -> None:
    fill(own_server, a=b"1", b=b"2")
    relay = Relay(own_server.port)

    async def use(reader: RedisLoopReader) -> tuple[list[list[bytes | None]], int]:
        relay.lose_answer_to(b"MGET")
        found = await asyncio.gather(reader.read([b"a", b"b"]), reader.read([b"b"]), reader.read([b"c", b"a"]))
        return found, reader.retries

    assert run(relay.port, use) == ([[b"1", b"2"], [b"2"], [None, b"1"]], 3)
    relay.close()


def test_commands_that_are_under_way_together_are_each_given_their_own_reply(own_server: RedisServer) -> None:
    fill(own_server, **{f"key{n}": b"value %d" % n for n in range(12)})

    async def use(reader: RedisLoopReader) -> list[list[bytes | None]]:
        await reader.read([b"key0"])
        with own_server.paused():
            lookups = []
            for n in range(12):  # one in each turn, so that as many commands go out as may at a time
                lookups.append(asyncio.ensure_future(reader.read([b"key%d" % n])))
                await asyncio.sleep(0.01)
        return await asyncio.gather(*lookups)

    assert run(own_server.port, use) == [[b"value %d" % n] for n in range(12)]


def test_no_lookup_is_sent_a_third_time(own_server: RedisServer) -> None:
    relay = Relay(own_server.port, loses_all=b"MGET")

    async def use(reader: RedisLoopReader) -> int:
        await refusal(reader)
        return reader.retries

    assert run(relay.port, use) == 1
    relay.close()


def test_of_lookups_that_are_lost_again_and_again_a_tenth_is_sent_once_more(own_server: RedisServer) -> None:
    relay = Relay(own_server.port, loses_all=b"MGET")

    async def use(reader: RedisLoopReader) -> int:
        for _ in range(400):
            await refusal(reader)
        return reader.retries

    assert run(relay.port, use) == pytest.approx(100 + 40, abs=5)
    relay.close()


def test_over_a_failing_network_nobody_is_given_what_another_asked_for(own_server: RedisServer) -> None:
    fill(own_server, **{f"key{n}": b"value %d" % n for n in range(100)})
    relay = Relay(own_server.port)

    async def follow(reader: RedisLoopReader, first: int) -> list[tuple[int, bytes | None]]:
        found = []
        for n in range(first, 100, 10):
            if n % 20 == 7:
                relay.lose_answer_to(b"MGET")
            try:
                found.append((n, (await reader.read([b"key%d" % n, b"absent"]))[0]))
            except Unavailable:
                continue
        return found

    async def use(reader: RedisLoopReader) -> list[list[tuple[int, bytes | None]]]:
        return await asyncio.gather(*(follow(reader, first) for first in range(10)))

    found = [one for found in run(relay.port, use) for one in found]
    assert len(found) > 50
    assert found == [(n, b"value %d" % n) for n, _ in found]
    relay.close()


def test_what_does_not_speak_the_protocol_is_refused(own_server: RedisServer) -> None:
    async def use(_: object) -> Unavailable:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader = RedisLoopReader(RedisAddress(port=port), project="trips", timeout_s=5)
        refused = await refusal(reader)
        reader.close()
        server.close()
        return refused

    assert "protocol" in str(run(own_server.port, use))


def test_a_closed_reader_refuses_who_waits(own_server: RedisServer) -> None:
    async def use(reader: RedisLoopReader) -> Unavailable:
        await reader.read([b"other"])
        waiting = asyncio.ensure_future(refusal(reader))
        await asyncio.sleep(0)
        reader.close()
        return await waiting

    assert "it was closed" in str(run(own_server.port, use))


def from_url(root: Path, url: str, *keys: bytes) -> list[bytes | None]:
    """What a reader finds that was made as a predictor makes it."""
    predictor = PredictorSettings(lookup_timeout_ms=5_000)

    async def read() -> list[bytes | None]:
        reader = loop_reader(Config(root=root, stores=StoreSettings(online=url), predictor=predictor))
        try:
            return await reader.read(keys)
        finally:
            reader.close()

    return uvloop.run(read())


def write(root: Path, url: str, **values: bytes) -> None:
    store = online_adapter(Config(root=root, stores=StoreSettings(online=url)))(readonly=False)
    store.write({key.encode(): value for key, value in values.items()}, marks={})
    store.close()


def test_a_user_who_may_no_more_than_mget_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("of-the-reader\n")
    rights = "reader on >of-the-reader ~octavo:* -@all +mget"
    with running_redis(tmp_path, "--requirepass", "of-all", "--user", *rights.split()) as server:
        monkeypatch.setenv("REDIS_PASSWORD", "of-all")
        write(tmp_path, f"redis://:env:REDIS_PASSWORD@127.0.0.1:{server.port}", key=b"value")
        url = f"redis://reader@127.0.0.1:{server.port}/0?password=file:secret"
        assert from_url(tmp_path, url, b"key") == [b"value"]


def test_a_user_who_may_not_read_is_refused_with_the_servers_reason(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    rights = "nobody on >x ~other:* +mget"
    with running_redis(tmp_path, "--user", *rights.split()) as server:
        url = f"redis://nobody@127.0.0.1:{server.port}?password=file:secret"
        with pytest.raises(Unavailable, match="permissions"):
            from_url(tmp_path, url, b"key")


@pytest.mark.parametrize("password", ["", "?password=env:REDIS_PASSWORD"])
def test_a_wrong_password_is_refused_without_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "guessed")
    with running_redis(tmp_path, "--requirepass", "right") as server:
        with pytest.raises(Unavailable, match=r"cannot be used now: .*(password|Authentication)") as refused:
            from_url(tmp_path, f"{server.url()}{password}", b"key")
        assert "guessed" not in str(refused.value)


def test_a_socket_serves_as_well(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--unixsocket", str(tmp_path / "socket")):
        write(tmp_path, "unix:socket?db=1", key=b"value")
        assert from_url(tmp_path, f"unix:{tmp_path}/socket?db=1", b"key") == [b"value"]
        assert from_url(tmp_path, "unix:socket", b"key") == [None]


def test_over_tls_the_certificate_must_be_one_that_the_authority_vouches_for(tmp_path: Path) -> None:
    certificate, key, port = *self_signed(tmp_path), free_port()
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    with running_redis(tmp_path, "--tls-port", str(port), *files):
        wait_for_port(port)
        write(tmp_path, f"rediss://localhost:{port}/0?ca_file={certificate.name}", key=b"value")
        assert from_url(tmp_path, f"rediss://localhost:{port}/0?ca_file={certificate.name}", b"key") == [b"value"]
        for url in (f"rediss://localhost:{port}/0", f"rediss://127.0.0.1:{port}/0?ca_file={certificate.name}"):
            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                from_url(tmp_path, url, b"key")


def test_without_the_client_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hiredis", None)
    with pytest.raises(MissingExtra, match=r"pip install 'octavo\[redis\]'"):
        RedisLoopReader(RedisAddress(), project="trips", timeout_s=1)


async def patiently(reader: RedisLoopReader, *keys: bytes) -> list[bytes | None]:
    """What is found once the server answers again."""
    for _ in range(200):
        try:
            return await reader.read(keys)
        except Unavailable:
            await asyncio.sleep(0.02)
    raise AssertionError("the server was not used again")
