"""An online store that may be absent, vanish and come back."""

import pytest
from tests.serving.predictors import Unplugged

from octavo.errors import Conflict, Unavailable
from octavo.stores.memory import MemoryOnlineStore
from octavo.stores.ports import OnlineStore
from octavo.stores.reopening import ReopeningStore


class Opener:
    """Opens a store that may not be there, and counts how often it was asked."""

    def __init__(self, store: OnlineStore) -> None:
        self.store, self.is_there, self.asked = store, True, 0

    def __call__(self) -> OnlineStore:
        self.asked += 1
        if not self.is_there:
            raise Unavailable("no store yet")
        return self.store


@pytest.fixture
def opener() -> Opener:
    store = Unplugged()
    store.write({b"key": b"1"}, marks={"applied/view": 7})
    return Opener(store)


def test_it_is_opened_at_the_first_read_and_only_once(opener: Opener) -> None:
    store = ReopeningStore(opener)
    assert opener.asked == 0
    assert (store.read([b"key", b"x"]), store.read([b"key"]), store.mark("applied/view")) == ([b"1", None], [b"1"], 7)
    assert opener.asked == 1


def test_a_store_that_cannot_be_opened_is_not_asked_for_a_while(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    monkeypatch.setattr("octavo.stores.reopening.time.monotonic", lambda: now_s)
    store = ReopeningStore(opener)
    opener.is_there = False
    for _ in range(3):
        with pytest.raises(Unavailable):
            store.read([b"key"])
    assert opener.asked == 1
    opener.is_there = True
    now_s += 1.0
    assert store.read([b"key"]) == [b"1"]


def test_a_store_that_fails_is_opened_again_at_the_next_read(opener: Opener) -> None:
    store = ReopeningStore(opener)
    store.read([b"key"])
    opener.store.is_gone = True  # type: ignore[attr-defined]  # an Unplugged
    with pytest.raises(Unavailable, match="out of reach"):
        store.read([b"key"])
    opener.store = MemoryOnlineStore()
    assert store.read([b"key"]) == [None]
    assert opener.asked == 2


def test_nothing_is_written_to_it(opener: Opener) -> None:
    with pytest.raises(Conflict, match="opened to be read only"):
        ReopeningStore(opener).write({b"key": b"2"}, marks={})


def test_after_it_was_closed_it_opens_again(opener: Opener) -> None:
    store = ReopeningStore(opener)
    store.close()
    store.read([b"key"])
    store.close()
    assert store.read([b"key"]) == [b"1"]
    assert opener.asked == 2
