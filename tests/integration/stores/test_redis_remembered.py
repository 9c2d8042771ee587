"""What a predictor remembers of a real Redis is what stands there, and is not believed for long without its word."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop

from octavo.errors import Unavailable
from octavo.stores.redis import RedisAddress, RedisLoopReader, RedisOnlineStore
from octavo.stores.redis.blocking import BlockingConnection
from tests.servers import RedisServer, Relay, running_redis

T = TypeVar("T")
TRUE_FOR_S = 0.05


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisOnlineStore]:
    store = RedisOnlineStore(RedisAddress(port=server.port), project="trips")
    yield store
    store.close()


def run(
    server: RedisServer | Relay,
    use: Callable[[RedisLoopReader], Awaitable[T]],
    *,
    timeout_s: float = 5.0,
    remember_mb: int = 32,
) -> T:
    """Use a reader in a loop of its own."""

    async def used() -> T:
        address = RedisAddress(port=server.port, remember_mb=remember_mb)
        reader = RedisLoopReader(address, project="trips", timeout_s=timeout_s)
        try:
            return await use(reader)
        finally:
            reader.close()

    return uvloop.run(used())


def at_hand(reader: RedisLoopReader, *keys: bytes) -> list[bytes | None] | None:
    """What is read without waiting; None if it would take that."""
    lookup = reader.read(keys)
    try:
        lookup.send(None)
    except StopIteration as done:
        found: list[bytes | None] = done.value
        return found
    lookup.close()
    return None


async def remembered(reader: RedisLoopReader, *keys: bytes) -> list[bytes | None]:
    """What is read without waiting right after it was read."""
    for _ in range(100):  # since the machine may pause at the wrong moment
        await reader.read(keys)
        if (found := at_hand(reader, *keys)) is not None:
            return found
    raise AssertionError("nothing is remembered")


def test_what_was_read_is_at_hand_and_so_is_that_it_is_absent(server: RedisServer, store: RedisOnlineStore) -> None:
    store.write({b"a": b"1", b"empty": b""}, marks={})

    async def use(reader: RedisLoopReader) -> list[bytes | None]:
        assert at_hand(reader, b"a") is None
        found = await remembered(reader, b"a", b"absent", b"empty")
        assert at_hand(reader, b"a", b"another") is None
        return found

    assert run(server, use) == [b"1", None, b""]


def test_what_is_written_is_no_longer_remembered(server: RedisServer, store: RedisOnlineStore) -> None:
    async def use(reader: RedisLoopReader) -> None:
        for n in range(50):
            await remembered(reader, b"a", b"b")
            store.write({b"a": b"%d" % n}, marks={})
            assert at_hand(reader, b"a", b"b") is None
            assert await reader.read([b"b", b"a"]) == [None, b"%d" % n]

    run(server, use)


def test_what_was_removed_with_everything_is_no_longer_remembered(server: RedisServer, store: RedisOnlineStore) -> None:
    store.write({b"a": b"1"}, marks={})
    connection = BlockingConnection(RedisAddress(port=server.port), timeout_s=5)

    async def use(reader: RedisLoopReader) -> None:
        await remembered(reader, b"a")
        connection.ask((b"FLUSHALL",))
        until_s = time.monotonic() + 5
        while await reader.read([b"a"]) != [None]:  # who removed it may be answered before we are told
            assert time.monotonic() < until_s

    run(server, use)
    connection.close()


def test_with_a_connection_all_is_lost_that_came_over_it(server: RedisServer, store: RedisOnlineStore) -> None:
    relay = Relay(server.port)

    async def use(reader: RedisLoopReader) -> list[bytes | None] | None:
        await remembered(reader, b"a")
        relay.lose_answer_to(b"MGET")
        await reader.read([b"another"])
        return at_hand(reader, b"a")

    assert run(relay, use) is None
    relay.close()


def test_a_server_that_hangs_is_not_believed_to_have_changed_nothing(
    server: RedisServer, store: RedisOnlineStore
) -> None:
    async def use(reader: RedisLoopReader) -> None:
        await remembered(reader, b"a")
        with server.paused():
            await asyncio.sleep(2 * TRUE_FOR_S)
            assert at_hand(reader, b"a") is None
            with pytest.raises(Unavailable, match="in time"):
                await reader.read([b"a"])

    run(server, use, timeout_s=0.05)


def test_where_the_server_answers_nobody_waits_again(server: RedisServer, store: RedisOnlineStore) -> None:
    async def stays_at_hand(reader: RedisLoopReader) -> bool:
        await reader.read([b"a"])
        until_s = time.monotonic() + 3 * TRUE_FOR_S
        while time.monotonic() < until_s:
            if at_hand(reader, b"a") is None:
                return False
            await asyncio.sleep(TRUE_FOR_S / 10)
        return True

    async def use(reader: RedisLoopReader) -> bool:
        for _ in range(20):  # since the machine may pause at the wrong moment
            if await stays_at_hand(reader):
                return True
        return False

    assert run(server, use)


def test_of_what_is_remembered_little_is_asked_again(server: RedisServer, store: RedisOnlineStore) -> None:
    value = bytes(1_000_000)
    store.write({b"first": b"1", b"second": value}, marks={})
    counting = BlockingConnection(RedisAddress(port=server.port), timeout_s=5)

    def sent() -> int:
        [told] = counting.ask((b"INFO", b"stats"))
        return int(told.split(b"total_net_output_bytes:")[1].split()[0])

    async def use(reader: RedisLoopReader) -> int:
        await reader.read([b"first", b"second"])
        before = sent()
        for _ in range(3):
            await asyncio.sleep(2 * TRUE_FOR_S)
            assert await reader.read([b"first", b"second"]) == [b"1", value]
        return sent() - before

    assert run(server, use) < 100_000
    counting.close()


def test_nothing_is_remembered_where_there_shall_be_no_room(server: RedisServer, store: RedisOnlineStore) -> None:
    async def use(reader: RedisLoopReader) -> list[bytes | None] | None:
        await reader.read([b"a"])
        return at_hand(reader, b"a")

    assert run(server, use, remember_mb=0) is None


@pytest.mark.parametrize("unknown", ["HELLO", "CLIENT"])
def test_a_server_that_knows_nothing_of_it_is_read_each_time(tmp_path: Path, unknown: str) -> None:
    async def use(reader: RedisLoopReader) -> list[bytes | None]:
        await reader.read([b"a"])
        assert at_hand(reader, b"a") is None
        return await reader.read([b"a"])

    with running_redis(tmp_path, "--rename-command", unknown, "") as server:
        assert run(server, use) == [None]


@pytest.mark.parametrize("may_be_told", [False, True])
def test_only_a_user_who_may_be_told_remembers(tmp_path: Path, may_be_told: bool) -> None:
    (tmp_path / "secret").write_text("of-the-reader")
    rights = "reader on >of-the-reader ~octavo:* -@all +mget" + " +client|tracking" * may_be_told

    async def use(port: int) -> None:
        address = RedisAddress(port=port, user="reader", password=f"file:{tmp_path}/secret")
        reader = RedisLoopReader(address, project="trips", timeout_s=5)
        if may_be_told:
            assert await remembered(reader, b"a") == [None]
        else:
            assert await reader.read([b"a"]) == [None]
            assert at_hand(reader, b"a") is None
        reader.close()

    with running_redis(tmp_path, "--user", *rights.split()) as server:
        uvloop.run(use(server.port))


@pytest.mark.parametrize(("remember_mb", "n_bytes"), [(0, 10), (1, 150_000), (32, 10), (32, 10_000)])
def test_every_read_is_of_one_moment_and_of_none_that_is_long_ago(
    server: RedisServer, store: RedisOnlineStore, remember_mb: int, n_bytes: int
) -> None:
    """Nine values are always written together, and say how many writes there were."""
    keys, writes, written_s = [b"%d" % n for n in range(9)], 200, [time.monotonic()]

    def value(number: int) -> bytes:
        return b"%09d" % number + bytes(n_bytes)

    def write() -> None:
        for number in range(1, writes + 1):
            store.write(dict.fromkeys(keys, value(number)), marks={})
            written_s.append(time.monotonic())
            time.sleep(random.choice([0, 0.001, 0.003]))

    async def follow(reader: RedisLoopReader) -> int:
        last = n_at_hand = 0
        while last < writes:
            chosen, began_s = random.sample(keys, random.randint(1, 9)), time.monotonic()
            found = at_hand(reader, *chosen)
            n_at_hand += found is not None
            numbers = {int((one or b"")[:9]) for one in found or await reader.read(chosen)}
            assert len(numbers) == 1
            [number] = numbers
            assert number >= last
            assert number >= sum(at_s < began_s - TRUE_FOR_S for at_s in written_s) - 1
            last = number
            await asyncio.sleep(random.choice([0, 0, 0.0005]))
        return n_at_hand

    async def use(reader: RedisLoopReader) -> int:
        return sum(await asyncio.gather(*[follow(reader) for _ in range(5)]))

    store.write(dict.fromkeys(keys, value(0)), marks={})
    writing = threading.Thread(target=write)
    writing.start()
    n_at_hand = run(server, use, remember_mb=remember_mb)
    writing.join()
    assert remember_mb or not n_at_hand
