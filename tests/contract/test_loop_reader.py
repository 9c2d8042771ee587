"""What everything promises by which an event loop reads an online store."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from octavo.stores.inline import InlineReader
from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.memory import MemoryOnlineStore
from octavo.stores.ports import LoopReader, OnlineStore
from octavo.stores.redis import RedisAddress, RedisLoopReader, RedisOnlineStore
from tests.servers import RedisServer


class Borrowed:
    """A store that is not closed with its reader."""

    def __init__(self, store: OnlineStore) -> None:
        self.read, self.write, self.mark = store.read, store.write, store.mark

    def close(self) -> None:
        """It goes on."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A store, and what makes readers of it."""

    store: OnlineStore
    open_reader: Callable[[], LoopReader]

    def read(self, *keys: bytes) -> list[bytes | None]:
        """What a fresh reader finds."""
        return self.run(lambda reader: reader.read(keys))

    def run(self, use: Callable[[LoopReader], Awaitable[list[bytes | None]]]) -> list[bytes | None]:
        async def run() -> list[bytes | None]:
            reader = self.open_reader()
            try:
                return await use(reader)
            finally:
                reader.close()

        return asyncio.run(run())


@pytest.fixture(params=["memory", "lmdb", "redis"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    if request.param == "memory":
        memory = MemoryOnlineStore()
        yield Shop(store=memory, open_reader=lambda: InlineReader(memory))
    elif request.param == "lmdb":
        lmdb = LmdbOnlineStore(tmp_path / "online")  # which one process opens but once
        yield Shop(store=lmdb, open_reader=lambda: InlineReader(Borrowed(lmdb)))
        lmdb.close()
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        address, project = RedisAddress(port=server.port), str(tmp_path)
        redis = RedisOnlineStore(address, project=project)
        yield Shop(store=redis, open_reader=lambda: RedisLoopReader(address, project=project, timeout_s=5))
        redis.close()


def test_values_come_back_in_the_order_of_the_keys(shop: Shop) -> None:
    shop.store.write({b"a": b"1", b"b": b"2", b"empty": b""}, marks={})
    assert shop.read(b"b", b"absent", b"a", b"b", b"empty") == [b"2", None, b"1", b"2", b""]


def test_no_keys_have_no_values(shop: Shop) -> None:
    assert shop.read() == []


@pytest.mark.parametrize("key", [b"", b"\0", b"\r\n$3\r\n" + bytes(range(256)), b"k" * 2000])
def test_any_bytes_are_a_key(shop: Shop, key: bytes) -> None:
    shop.store.write({key: b"1", key + b"x": key}, marks={})
    assert shop.read(key, key + b"x") == [b"1", key]


def test_large_values_come_back_whole(shop: Shop) -> None:
    value = bytes(range(256)) * 10_000
    shop.store.write({b"a": value}, marks={})
    assert shop.read(b"a", b"b", b"a") == [value, None, value]


def test_what_is_written_meanwhile_is_read_next(shop: Shop) -> None:
    async def use(reader: LoopReader) -> list[bytes | None]:
        found = await reader.read([b"a"])
        shop.store.write({b"a": b"1"}, marks={})
        return found + await reader.read([b"a"])

    assert shop.run(use) == [None, b"1"]


def test_lookups_that_wait_together_get_each_its_own(shop: Shop) -> None:
    shop.store.write({b"%d" % n: b"value %d" % n for n in range(300)}, marks={})
    wanted = [[b"shared", *(b"%d" % (n * step % 400) for n in range(7))] for step in range(300)]

    async def use(reader: LoopReader) -> list[bytes | None]:
        found = await asyncio.gather(*(reader.read(keys) for keys in wanted))
        return [value for values in found for value in values]

    assert shop.run(use) == [value for keys in wanted for value in shop.store.read(keys)]


def test_lookups_that_come_in_several_turns_get_each_its_own(shop: Shop) -> None:
    shop.store.write({b"%d" % n: b"value %d" % n for n in range(50)}, marks={})

    async def follow(reader: LoopReader, begin: int) -> list[bytes | None]:
        return [value for n in range(begin, begin + 20) for value in await reader.read([b"%d" % n])]

    async def use(reader: LoopReader) -> list[bytes | None]:
        found = await asyncio.gather(*(follow(reader, begin) for begin in range(40)))
        return [value for values in found for value in values]

    assert shop.run(use) == [
        b"value %d" % n if n < 50 else None for begin in range(40) for n in range(begin, begin + 20)
    ]


def test_a_lookup_that_is_cancelled_leaves_the_others_what_is_theirs(shop: Shop) -> None:
    shop.store.write({b"%d" % n: b"value %d" % n for n in range(20)}, marks={})

    async def use(reader: LoopReader) -> list[bytes | None]:
        lookups = [asyncio.ensure_future(reader.read([b"%d" % n])) for n in range(20)]
        await asyncio.sleep(0)
        for lookup in lookups[::3]:
            lookup.cancel()
        found = await asyncio.gather(*lookups, return_exceptions=True)
        return [one[0] for one in found[1::3] + found[2::3] if isinstance(one, list)]

    assert shop.run(use) == [b"value %d" % n for n in (*range(1, 20, 3), *range(2, 20, 3))]
