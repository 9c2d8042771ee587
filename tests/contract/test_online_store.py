"""What every online store promises."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from octavo.stores.lmdb import LmdbOnlineStore
from octavo.stores.memory import MemoryOnlineStore
from octavo.stores.ports import OnlineStore
from octavo.stores.redis import RedisAddress, RedisOnlineStore
from tests.servers import RedisServer


@pytest.fixture(params=["memory", "lmdb", "redis"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    store = _opened(request, tmp_path)
    yield store
    store.close()


def _opened(request: pytest.FixtureRequest, tmp_path: Path) -> OnlineStore:
    if request.param == "memory":
        return MemoryOnlineStore()
    if request.param == "lmdb":
        return LmdbOnlineStore(tmp_path / "online")
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisOnlineStore(RedisAddress(port=server.port), project=str(tmp_path))


def test_values_come_back_in_the_order_of_the_keys(online: OnlineStore) -> None:
    online.write({b"a": b"1", b"b": b"2"}, marks={})
    assert online.read([b"b", b"absent", b"a", b"b"]) == [b"2", None, b"1", b"2"]


def test_a_new_store_has_nothing(online: OnlineStore) -> None:
    assert (online.read([b"a"]), online.mark("applied/view")) == ([None], -1)


def test_none_deletes_and_deleting_what_is_absent_is_no_error(online: OnlineStore) -> None:
    online.write({b"a": b"1", b"b": b"2"}, marks={})
    online.write({b"a": None, b"c": None}, marks={})
    assert online.read([b"a", b"b", b"c"]) == [None, b"2", None]


def test_an_empty_value_is_not_an_absent_one(online: OnlineStore) -> None:
    online.write({b"a": b""}, marks={})
    assert online.read([b"a"]) == [b""]


def test_marks_are_set_with_the_values(online: OnlineStore) -> None:
    online.write({b"a": b"1"}, marks={"applied/view": 7, "applied/other": 2**40})
    online.write({}, marks={"applied/view": 8})
    assert [online.mark(name) for name in ("applied/view", "applied/other", "applied")] == [8, 2**40, -1]


def test_marks_and_values_never_meet(online: OnlineStore) -> None:
    online.write({b"x": b"9", b"mx": b"9", b"vx": b"8"}, marks={"x": 1, "vx": 2})
    assert (online.read([b"x", b"mx", b"vx"]), online.mark("x")) == ([b"9", b"9", b"8"], 1)


@pytest.mark.parametrize("key", [b"", b"\0", b"seen\0trips\0" + bytes(range(256)), b"k" * 499, b"k" * 500, b"k" * 2000])
def test_any_bytes_are_a_key(online: OnlineStore, key: bytes) -> None:
    online.write({key: b"1", key + b"x": b"2"}, marks={})
    assert online.read([key, key + b"x"]) == [b"1", b"2"]


def test_long_keys_that_differ_only_at_their_end_are_apart(online: OnlineStore) -> None:
    online.write({b"k" * 1000 + b"a": b"1", b"k" * 1000 + b"b": b"2"}, marks={})
    assert online.read([b"k" * 1000 + b"b", b"k" * 1000 + b"c"]) == [b"2", None]


def test_large_values_come_back_whole(online: OnlineStore) -> None:
    value = bytes(range(256)) * 10_000
    online.write({b"a": value}, marks={})
    assert online.read([b"a"]) == [value]


def test_a_read_is_of_one_moment(online: OnlineStore) -> None:
    keys = [b"a", b"b", b"c"]
    online.write(dict.fromkeys(keys, b"0"), marks={})
    done = threading.Event()
    torn: list[list[bytes | None]] = []

    def watch() -> None:
        while not done.is_set():
            values = online.read(keys)
            if len(set(values)) != 1:
                torn.append(values)

    reader = threading.Thread(target=watch)
    reader.start()
    for number in range(300):
        online.write(dict.fromkeys(keys, b"%d" % number), marks={})
    done.set()
    reader.join()
    assert torn == []
