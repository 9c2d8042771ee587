"""Who is a worker, who has died, and who has what; members are here of one process, on two machines or on one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from octavo.loop import membership as module
from octavo.loop.membership import (
    Claim,
    Member,
    Membership,
    Superseded,
    claim_variable,
    claimed_from_outside,
    is_claimed_elsewhere,
    working_on,
)
from octavo.stores.memory import MemoryMetadata
from octavo.stores.ports import Metadata

DEAD_AFTER_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    kind: ClassVar[str] = "count"

    name: str
    value: int

    @property
    def key(self) -> str:
        return self.name


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    moved = Seconds()
    monkeypatch.setattr(module, "time", moved)
    return moved


@pytest.fixture
def metadata() -> MemoryMetadata:
    return MemoryMetadata()


@contextmanager
def joined(metadata: Metadata, home: Path) -> Iterator[Membership]:
    member = Membership(metadata, home=home, dead_after_s=DEAD_AFTER_S)
    member.join()
    try:
        yield member
    finally:
        member.abandon()


def living(metadata: Metadata) -> list[str]:
    with metadata.transaction() as tx:
        return [member.name for member in tx.find(Member, ended="")]


def add_one(metadata: Metadata) -> None:
    with metadata.transaction() as tx:
        found = tx.get(Count, "a")
        tx.put(Count(name="a", value=(found.value if found else 0) + 1))


def test_each_worker_has_a_name_of_its_own_for_ever(metadata: MemoryMetadata, tmp_path: Path) -> None:
    with joined(metadata, tmp_path) as one, joined(metadata, tmp_path) as two:
        assert (one.name, two.name) == ("1.1", "2.1")
        one.leave()
        with joined(metadata, tmp_path) as three:
            assert three.name == "1.2"
            assert living(metadata) == ["1.2", "2.1"]


def test_a_piece_of_work_is_one_workers_until_it_leaves(metadata: MemoryMetadata, tmp_path: Path) -> None:
    with joined(metadata, tmp_path) as one, joined(metadata, tmp_path) as two:
        assert (one.take("r"), one.take("r"), two.take("r"), two.take("s")) == (True, True, False, True)
        with metadata.transaction() as tx:
            assert is_claimed_elsewhere(tx, "r", worker=two.name)
            assert not is_claimed_elsewhere(tx, "r", worker=one.name)
            assert not is_claimed_elsewhere(tx, "t", worker=two.name)
        one.leave()
        assert two.take("r")


def test_of_many_who_take_the_same_work_at_once_one_has_it(metadata: MemoryMetadata, tmp_path: Path) -> None:
    members = [Membership(metadata, home=tmp_path) for _ in range(8)]
    for member in members:
        member.join()
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda m=member: taken.append(m.take("r"))) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]
    for member in members:
        member.abandon()


def test_a_worker_of_the_same_folder_whose_process_is_gone_is_dead_at_once(
    metadata: MemoryMetadata, tmp_path: Path, seconds: Seconds
) -> None:
    with joined(metadata, tmp_path) as one, joined(metadata, tmp_path) as two:
        one.take("r")
        one.abandon()
        two.tend()
        assert living(metadata) == ["2.1"]
        assert two.take("r")


def test_a_worker_that_begins_takes_the_seat_of_one_that_died_here(metadata: MemoryMetadata, tmp_path: Path) -> None:
    with joined(metadata, tmp_path) as one:
        one.take("r")
        one.abandon()
        with joined(metadata, tmp_path) as next_one:
            assert next_one.name == "1.2"
            assert next_one.take("r")


def test_a_worker_elsewhere_is_dead_when_it_has_stood_still_for_long(
    metadata: MemoryMetadata, tmp_path: Path, seconds: Seconds
) -> None:
    with joined(metadata, tmp_path / "a") as one, joined(metadata, tmp_path / "b") as two:
        one.take("r")
        for _ in range(20):  # both move
            one.tend()
            two.tend()
            seconds.now_s += DEAD_AFTER_S / 4
        assert living(metadata) == ["1.1", "2.1"]
        seconds.now_s += DEAD_AFTER_S * 0.7
        two.tend()
        assert not two.take("r")
        seconds.now_s += DEAD_AFTER_S * 0.2
        two.tend()
        assert living(metadata) == ["2.1"]
        assert two.take("r")
        with pytest.raises(Superseded, match="taken for dead"):
            one.tend()


def test_who_is_alone_writes_nothing_and_moves_as_soon_as_another_watches(
    metadata: MemoryMetadata, tmp_path: Path, seconds: Seconds
) -> None:
    with joined(metadata, tmp_path / "a") as one:
        for _ in range(10):
            one.tend()
            seconds.now_s += DEAD_AFTER_S
        with metadata.transaction() as tx:
            assert [member.beat for member in tx.find(Member)] == [0]
        with joined(metadata, tmp_path / "b") as two:
            two.tend()
            one.tend()
            seconds.now_s += DEAD_AFTER_S * 0.9
            two.tend()
            one.tend()
            seconds.now_s += DEAD_AFTER_S * 0.2
            two.tend()
            assert living(metadata) == ["1.1", "2.1"]


def test_a_worker_that_was_taken_for_dead_can_change_nothing_about_what_it_had(
    metadata: MemoryMetadata, tmp_path: Path, seconds: Seconds
) -> None:
    with joined(metadata, tmp_path / "a") as one, joined(metadata, tmp_path / "b") as two:
        of_one, of_two = one.claimed(metadata), two.claimed(metadata, subject="r")
        one.take("r")
        with working_on("r"):
            add_one(of_one)
        two.tend()
        seconds.now_s += 2 * DEAD_AFTER_S
        two.tend()
        two.take("r")
        add_one(of_two)
        with working_on("r"), pytest.raises(Superseded, match=r"r is not worker 1\.1's any more"):
            add_one(of_one)
        with metadata.transaction() as tx:
            assert tx.get(Count, "a") == Count(name="a", value=2)
        add_one(of_one)  # what is no piece of work is anybody's
        assert not one.take("s"), "a dead one takes nothing"


def test_a_process_that_works_for_a_worker_is_bound_by_its_claim(
    metadata: MemoryMetadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert claimed_from_outside(metadata) is metadata
    with joined(metadata, tmp_path) as one, joined(metadata, tmp_path) as two:
        claimed = one.claimed(metadata)
        assert claim_variable(claimed) == {}
        one.take("r")
        with working_on("r"):
            [(name, value)] = claim_variable(claimed).items()
        monkeypatch.setenv(name, value)
        add_one(claimed_from_outside(metadata))
        one.leave()
        add_one(claimed_from_outside(metadata))  # nobody else has it: it may end what it began
        two.take("r")
        with pytest.raises(Superseded):
            add_one(claimed_from_outside(metadata))


def test_a_claim_says_who_has_it(metadata: MemoryMetadata, tmp_path: Path) -> None:
    with joined(metadata, tmp_path) as one:
        one.take("r")
        with metadata.transaction() as tx:
            assert tx.get(Claim, "r") == Claim(subject="r", worker="1.1")
