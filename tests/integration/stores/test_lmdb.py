"""The online store with several processes."""

import shutil
from pathlib import Path
from random import Random

import pytest

from octavo.errors import Conflict, Unavailable
from octavo.stores import lmdb
from octavo.stores.lmdb import LmdbOnlineStore
from tests.integration.stores.processes import python

PRELUDE = """
import sys
from pathlib import Path
from octavo.stores.lmdb import LmdbOnlineStore
path = Path(sys.argv[1])
"""
READ = (
    PRELUDE
    + """
store = LmdbOnlineStore(path, readonly=True)
while True:
    print(store.read([b"key"]), store.mark("applied/view"), flush=True)
    sys.stdin.readline()
"""
)
WRITE = (
    PRELUDE
    + """
store = LmdbOnlineStore(path)
for number in range(10**9):
    store.write({b"%d" % key: b"%d" % number for key in range(5)}, marks={"applied/view": number})
    print(number, flush=True)
"""
)


def test_a_reader_sees_what_another_process_wrote_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with python(READ, tmp_path / "online") as reader:
        assert reader.line() == "[None] -1"
        store = LmdbOnlineStore(tmp_path / "online")
        for number in range(3):
            store.write({b"key": b"%d" % number}, marks={"applied/view": number})
            reader.go_on()
            assert reader.line() == f"[b'{number}'] {number}"
        store.close()


def test_what_a_reader_remembers_is_never_old(tmp_path: Path) -> None:
    random, kept = Random(7), dict[bytes, bytes]()
    keys = [b"%d" % number for number in range(6)]
    with python(READ.replace('[b"key"]', repr(keys)), tmp_path / "online") as reader:
        reader.line()
        store = LmdbOnlineStore(tmp_path / "online")
        for number in range(60):
            if random.random() < 0.6:  # else it is read again as it is
                changes = {key: random.choice([b"%d" % number, None]) for key in random.sample(keys, 2)}
                store.write(changes, marks={})
                kept = {key: value for key, value in (kept | changes).items() if value is not None}
            reader.go_on()
            assert reader.line() == f"{[kept.get(key) for key in keys]} -1"
        store.close()


def test_a_reader_remembers_only_so_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb, "_REMEMBERED_BYTES", 1000)
    store = LmdbOnlineStore(tmp_path / "online")
    values = {b"%d" % number: b"x" * (300 + 100 * number) for number in range(10)}
    store.write(values, marks={})
    store.close()
    reader = LmdbOnlineStore(tmp_path / "online", readonly=True)
    for _ in range(3):
        for key, value in values.items():
            assert reader.read([key, b"none"]) == [value, None]
            assert sum(len(known or b"") for known in reader._remembered.values()) <= 1000
        assert reader.read([*values]) == [*values.values()]
    reader.close()


def test_the_store_outgrows_its_map_and_readers_follow(tmp_path: Path) -> None:
    store = LmdbOnlineStore(tmp_path / "online", map_bytes=100_000)
    store.write({b"key": b"small"}, marks={})
    with python(READ.replace("readonly=True", "readonly=True, map_bytes=100_000"), tmp_path / "online") as reader:
        assert reader.line() == "[b'small'] -1"
        store.write({b"%d" % i: b"x" * 10_000 for i in range(300)} | {b"key": b"grown"}, marks={"applied/view": 1})
        reader.go_on()
        assert reader.line() == "[b'grown'] 1"
    assert store.read([b"299"]) == [b"x" * 10_000]
    store.close()


@pytest.mark.parametrize("after", [1, 200])
def test_writes_are_whole_after_kill_9(tmp_path: Path, after: int) -> None:
    with python(WRITE, tmp_path / "online") as child:
        acknowledged = [child.line() for _ in range(after)] + child.kill()
    store = LmdbOnlineStore(tmp_path / "online")
    assert store.mark("applied/view") >= int(acknowledged[-1])
    assert set(store.read([b"%d" % key for key in range(5)])) == {b"%d" % store.mark("applied/view")}
    store.close()


def test_what_was_written_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    store = LmdbOnlineStore(tmp_path / "online")
    store.write({b"key": b"value"}, marks={"applied/view": 3})
    store.close()
    again = LmdbOnlineStore(tmp_path / "online", readonly=True)
    assert (again.read([b"key"]), again.mark("applied/view")) == ([b"value"], 3)
    again.close()


def test_a_reader_notices_that_its_store_is_gone_and_that_another_took_its_place(tmp_path: Path) -> None:
    made(tmp_path / "online", number=1)
    reader = LmdbOnlineStore(tmp_path / "online", readonly=True, look_every_s=0)
    assert reader.read([b"key"]) == [b"1"]
    shutil.rmtree(tmp_path / "online")
    assert (reader.read([b"key"]), reader.mark("applied/view")) == ([None], -1)
    made(tmp_path / "other", number=2)
    (tmp_path / "other").rename(tmp_path / "online")
    assert (reader.read([b"key"]), reader.mark("applied/view")) == ([b"2"], 2)
    reader.close()


def made(path: Path, *, number: int) -> None:
    store = LmdbOnlineStore(path)
    store.write({b"key": b"%d" % number}, marks={"applied/view": number})
    store.close()


def test_a_store_opened_to_be_read_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="opened to be read only"):
        LmdbOnlineStore(tmp_path / "online", readonly=True).write({b"key": b"value"}, marks={})


def test_a_store_that_is_no_store_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "online").mkdir()
    (tmp_path / "online" / "data.mdb").write_bytes(b"not a store" * 1000)
    with pytest.raises(Unavailable, match=r"online store at .* cannot be used now"):
        LmdbOnlineStore(tmp_path / "online", readonly=True).read([b"key"])
