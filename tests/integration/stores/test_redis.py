"""The online store in a real Redis that dies, hangs, comes back, is shared and is full."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from octavo.config import Config, StoreSettings
from octavo.errors import ConfigurationError, Conflict, MissingExtra, Unavailable
from octavo.features.online.materialize import materialize
from octavo.stores.online import online_adapter
from octavo.stores.redis import RedisAddress, RedisOnlineStore
from tests.plants import Plant, check, memory_stores, project_of, random_events, views
from tests.servers import RedisServer, Relay, free_port, running_redis, self_signed, wait_for_port

TIMEOUT_S = 0.1


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


def opened(server: RedisServer, *, readonly: bool = False, project: str = "trips") -> RedisOnlineStore:
    address = RedisAddress(port=server.port, timeout_s=TIMEOUT_S)
    return RedisOnlineStore(address, readonly, project=project, write_timeout_s=TIMEOUT_S)


def seconds_until_refused(action: Callable[[], object]) -> float:
    start = time.monotonic()
    with pytest.raises(Unavailable, match=r"the Redis at .* cannot be used now"):
        action()
    return time.monotonic() - start


def test_a_reader_sees_what_a_writer_wrote_and_writes_nothing(own_server: RedisServer) -> None:
    writer, reader = opened(own_server), opened(own_server, readonly=True)
    writer.write({b"key": b"value"}, marks={"applied/view": 3})
    assert (reader.read([b"key"]), reader.mark("applied/view")) == ([b"value"], 3)
    with pytest.raises(Conflict, match="opened to be read only"):
        reader.write({b"key": b"other"}, marks={})


def test_a_killed_server_costs_a_moment_and_one_that_is_back_is_used_again(own_server: RedisServer) -> None:
    reader = opened(own_server, readonly=True)
    own_server.kill()
    assert seconds_until_refused(lambda: reader.read([b"key"])) < 5 * TIMEOUT_S
    own_server.start()
    assert reader.read([b"key"]) == [None]


def test_a_server_that_was_restarted_between_two_reads_is_not_noticed(own_server: RedisServer) -> None:
    reader = opened(own_server, readonly=True)
    reader.read([b"key"])
    own_server.kill()
    own_server.start()
    assert reader.read([b"key"]) == [None]


def test_a_server_that_hangs_costs_a_bounded_time(own_server: RedisServer) -> None:
    reader, writer = opened(own_server, readonly=True), opened(own_server)
    writer.write({b"key": b"value"}, marks={})
    with own_server.paused():
        for action in (
            lambda: reader.read([b"key"]),
            lambda: reader.mark("x"),
            lambda: writer.write({}, marks={"x": 1}),
        ):
            assert TIMEOUT_S * 0.9 < seconds_until_refused(action) < 10 * TIMEOUT_S
        assert seconds_until_refused(lambda: opened(own_server, readonly=True)) < 10 * TIMEOUT_S
    assert reader.read([b"key"]) == [b"value"]
    writer.write({b"key": b"newer"}, marks={})
    assert reader.read([b"key"]) == [b"newer"]


def test_nothing_is_opened_where_no_server_is(own_server: RedisServer) -> None:
    own_server.kill()
    assert seconds_until_refused(lambda: opened(own_server)) < 5 * TIMEOUT_S


def test_projects_in_one_database_do_not_see_each_other(own_server: RedisServer) -> None:
    names = ["a", "a:v", "a:vx", "ä", "a/b", "a%3Av"]
    stores = {name: opened(own_server, project=name) for name in names}
    for name, store in stores.items():
        store.write({b"x": name.encode(), b"": b"none"}, marks={"x": len(name)})
    for name, store in stores.items():
        assert (store.read([b"x", b"", b"y"]), store.mark("x")) == ([name.encode(), b"none", None], len(name))


def test_databases_of_one_server_are_apart(own_server: RedisServer) -> None:
    first, second = (RedisOnlineStore(RedisAddress(port=own_server.port, database=n), project="p") for n in (0, 3))
    first.write({b"key": b"first"}, marks={})
    assert second.read([b"key"]) == [None]


def test_values_of_a_megabyte_and_a_hundred_thousand_keys_are_written_in_one_step(own_server: RedisServer) -> None:
    store = RedisOnlineStore(RedisAddress(port=own_server.port), project="trips")
    values: dict[bytes, bytes | None] = {b"key %d" % number: b"%d" % number for number in range(100_000)}
    values |= {b"large %d" % number: bytes([number]) * 1_000_000 for number in range(20)}
    store.write(values, marks={"applied/view": 1})
    assert store.read(list(values)) == list(values.values())
    store.write(dict.fromkeys(values), marks={"applied/view": 2})
    assert set(store.read(list(values))) == {None}


def test_of_two_processes_that_write_the_one_whose_reads_are_old_is_refused(own_server: RedisServer) -> None:
    mine, other = opened(own_server), opened(own_server)
    mine.read([b"key"])
    other.write({b"key": b"other"}, marks={"applied/view": 1})
    with pytest.raises(Conflict, match="only one process does"):
        mine.write({b"key": b"mine", b"more": b"mine"}, marks={"applied/view": 2})
    assert (mine.read([b"key", b"more"]), mine.mark("applied/view")) == ([b"other", None], 1)
    mine.write({b"key": b"mine"}, marks={"applied/view": 2})
    assert other.read([b"key"]) == [b"mine"]


def test_a_server_that_lost_the_last_writes_refuses_the_next(own_server: RedisServer) -> None:
    store = opened(own_server)
    store.write({b"key": b"value"}, marks={"applied/view": 1})
    own_server.kill()
    own_server.start()
    with pytest.raises(Conflict):
        store.write({b"other": b"value"}, marks={})
    assert (store.read([b"key", b"other"]), store.mark("applied/view")) == ([None, None], -1)


def test_a_write_whose_answer_is_lost_is_whole_and_the_next_one_goes_on_from_it(own_server: RedisServer) -> None:
    relay = Relay(own_server.port)
    store = RedisOnlineStore(RedisAddress(port=relay.port), project="trips")
    relay.lose_answer_to(b"EXEC")
    assert seconds_until_refused(lambda: store.write({b"a": b"1", b"b": b"1"}, marks={"applied/view": 1})) < 5
    assert (store.read([b"a", b"b"]), store.mark("applied/view")) == ([b"1", b"1"], 1)
    store.write({b"a": b"2"}, marks={"applied/view": 2})
    assert (store.read([b"a", b"b"]), store.mark("applied/view")) == ([b"2", b"1"], 2)
    relay.close()


def test_a_read_whose_connection_is_lost_is_asked_again_once(own_server: RedisServer) -> None:
    relay = Relay(own_server.port)
    store = RedisOnlineStore(RedisAddress(port=relay.port), readonly=True, project="trips")
    relay.lose_answer_to(b"MGET")
    assert store.read([b"key"]) == [None]
    relay.close()


def test_the_pump_over_a_failing_network_loses_and_doubles_nothing(own_server: RedisServer) -> None:
    relay, chance = Relay(own_server.port), random.Random(11)
    store = RedisOnlineStore(RedisAddress(port=relay.port), project="plant")
    plant = Plant(stores=replace(memory_stores(), online=store))
    for round_ in range(12):
        plant.send(random_events(chance, now_us=plant.now_us, n=5))
        relay.lose_answer_to([b"EXEC", b"MGET", b"UNLINK"][round_ % 3])
        for _ in range(3):
            try:
                plant.apply()
            except Unavailable:
                continue
    plant.apply()
    check(plant.read(plant.now_us), plant.events, plant.now_us)
    relay.close()


def test_what_is_lost_with_the_server_is_built_again_from_table_and_stream(own_server: RedisServer) -> None:
    chance = random.Random(5)
    plant = Plant(stores=replace(memory_stores(), online=opened(own_server)))
    plant.send(random_events(chance, now_us=plant.now_us, n=20))
    plant.apply()
    plant.ship()
    plant.send(random_events(chance, now_us=plant.now_us, n=20))
    own_server.kill()
    own_server.start()
    plant = Plant(stores=replace(plant.stores, online=opened(own_server)), events=plant.events)
    materialize(plant.stores, tuple(project_of(*views).views.values()), clock=plant.clock)
    plant.apply()
    check(plant.read(plant.now_us), plant.events, plant.now_us)


def test_a_full_server_takes_nothing_of_a_write(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory", "8mb") as server:
        store = opened(server)
        with pytest.raises(Unavailable, match="maxmemory") as refused:
            fill(store)
        assert "secret" not in str(refused.value)
        written = store.mark("applied/view")
        assert store.read([b"last", b"%d" % (written + 1)]) == [b"%d" % written, None]


def fill(store: RedisOnlineStore) -> None:
    for number in range(10):
        values = {b"%d" % number: b"secret" * 200_000, b"last": b"%d" % number}
        store.write(values, marks={"applied/view": number})


def test_a_server_that_drops_values_is_not_written_to(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        with pytest.raises(ConfigurationError, match="set its maxmemory-policy to noeviction"):
            opened(server)
        assert opened(server, readonly=True).read([b"key"]) == [None]


def test_a_user_who_may_no_more_than_mget_can_read(
    own_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("of-the-reader\n")
    rights = "reader on >of-the-reader ~octavo:* -@all +mget"
    with running_redis(tmp_path, "--requirepass", "of-all", "--user", *rights.split()) as server:
        monkeypatch.setenv("REDIS_PASSWORD", "of-all")
        writer = from_url(tmp_path, f"redis://:env:REDIS_PASSWORD@127.0.0.1:{server.port}", readonly=False)
        writer.write({b"key": b"value"}, marks={})
        reader = from_url(tmp_path, f"redis://reader@127.0.0.1:{server.port}/0?password=file:secret")
        assert reader.read([b"key"]) == [b"value"]


@pytest.mark.parametrize("password", ["", "?password=env:REDIS_PASSWORD"])
def test_a_wrong_password_is_refused_without_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "guessed")
    with running_redis(tmp_path, "--requirepass", "right") as server:
        with pytest.raises(Unavailable, match=r"cannot be used now: .*(password|Authentication)") as refused:
            from_url(tmp_path, f"{server.url()}{password}")
        assert "guessed" not in str(refused.value)


def test_a_socket_serves_as_well(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--unixsocket", str(tmp_path / "socket")):
        from_url(tmp_path, "unix:socket?db=1", readonly=False).write({b"key": b"value"}, marks={})
        assert from_url(tmp_path, f"unix:{tmp_path}/socket?db=1").read([b"key"]) == [b"value"]
        assert from_url(tmp_path, "unix:socket").read([b"key"]) == [None]


def test_over_tls_the_certificate_must_be_one_that_the_authority_vouches_for(tmp_path: Path) -> None:
    certificate, key, port = *self_signed(tmp_path), free_port()
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    with running_redis(tmp_path, "--tls-port", str(port), *files):
        wait_for_port(port)
        trusting = from_url(tmp_path, f"rediss://localhost:{port}/0?ca_file={certificate.name}", readonly=False)
        trusting.write({b"key": b"value"}, marks={})
        assert trusting.read([b"key"]) == [b"value"]
        with pytest.raises(Unavailable, match=r"(?i)certificate"):
            from_url(tmp_path, f"rediss://localhost:{port}/0")
        with pytest.raises(Unavailable, match=r"(?i)certificate"):
            from_url(tmp_path, f"rediss://127.0.0.1:{port}/0?ca_file={certificate.name}")


def test_without_the_client_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hiredis", None)
    with pytest.raises(MissingExtra, match=r"pip install 'octavo\[redis\]'"):
        RedisOnlineStore(RedisAddress(), project="trips")


def from_url(root: Path, url: str, *, readonly: bool = True) -> RedisOnlineStore:
    store = online_adapter(Config(root=root, stores=StoreSettings(online=url)))(readonly=readonly)
    assert isinstance(store, RedisOnlineStore)
    return store
