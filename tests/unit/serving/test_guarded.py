"""The online store as requests read it: counted, and left alone while it fails."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from octavo.errors import IntegrityError, OctavoError, Unavailable
from octavo.serving.breaker import BreakerState
from octavo.serving.guarded import GuardedReader
from octavo.serving.metrics import render


@dataclass
class Moody:
    """A store that answers or not, as it is told."""

    error: OctavoError | None = None
    asked: int = 0
    retries: int = 0
    is_closed: bool = False

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        await asyncio.sleep(0)
        return [b"value" for _ in keys]

    def close(self) -> None:
        self.is_closed = True


class Clock:
    """A clock that is set, and goes on by five milliseconds whenever it is looked at."""

    now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.005
        return self.now_s


def read(guarded: GuardedReader, *, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(OctavoError):
            asyncio.run(guarded.read([b"key"]))


def test_what_the_store_says_is_passed_on() -> None:
    guarded = GuardedReader(Moody())
    assert asyncio.run(guarded.read([b"a", b"b"])) == [b"value", b"value"]
    assert guarded.counts == {"answered": 1, "failed": 0, "timed_out": 0, "not_tried": 0}


def test_a_store_that_fails_is_no_longer_asked() -> None:
    store = Moody(Unavailable("gone"))
    guarded = GuardedReader(store, now_s=Clock())
    read(guarded, times=20)
    assert (store.asked, guarded.counts["failed"], guarded.counts["not_tried"]) == (5, 5, 15)


def test_a_store_that_is_back_is_used_again(caplog: pytest.LogCaptureFixture) -> None:
    store, clock = Moody(Unavailable("gone")), Clock()
    guarded = GuardedReader(store, now_s=clock)
    with caplog.at_level("INFO"):
        read(guarded, times=20)
        store.error, clock.now_s = None, 1.0
        for _ in range(3):
            asyncio.run(guarded.read([b"key"]))
    assert (guarded.breaker.state, store.asked) == (BreakerState.CLOSED, 8)
    assert [record.message for record in caplog.records] == [
        "the online store is left alone",
        "the online store answers again",
    ]


def test_a_probe_that_is_cancelled_is_followed_by_another() -> None:
    store, clock = Moody(Unavailable("gone")), Clock()
    guarded = GuardedReader(store, now_s=clock)
    read(guarded, times=5)
    store.error, clock.now_s = None, 1.0

    async def cancel_and_read() -> list[bytes | None]:
        probe = asyncio.ensure_future(guarded.read([b"key"]))
        await asyncio.sleep(0)
        probe.cancel()
        await asyncio.wait([probe])
        return await guarded.read([b"key"])

    assert asyncio.run(cancel_and_read()) == [b"value"]


def test_timeouts_are_told_from_other_failures() -> None:
    store = Moody(Unavailable("slow", timed_out=True))
    guarded = GuardedReader(store)
    read(guarded, times=2)
    store.error = IntegrityError("damaged")
    read(guarded)
    assert (guarded.counts["timed_out"], guarded.counts["failed"]) == (2, 1)


def test_all_of_it_stands_in_the_metrics() -> None:
    store = Moody(Unavailable("gone"), retries=3)
    guarded = GuardedReader(store, now_s=Clock())
    read(guarded, times=7)
    lines = render(guarded.families()).splitlines()
    assert 'octavo_feature_lookups_total{result="failed"} 5' in lines
    assert 'octavo_feature_lookups_total{result="not_tried"} 2' in lines
    assert "octavo_feature_store_breaker_state 2" in lines
    assert "octavo_feature_store_breaker_opened_total 1" in lines
    assert "octavo_feature_lookup_retries_total 3" in lines
    assert "octavo_feature_lookup_duration_seconds_count 5" in lines


def test_the_store_is_closed_with_it() -> None:
    store = Moody()
    GuardedReader(store).close()
    assert store.is_closed
