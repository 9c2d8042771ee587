"""Waiting for the disk together."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from octavo.errors import Unavailable
from octavo.serving.commits import GroupCommit
from octavo.stores.log import LocalLog


class Disk:
    """A disk whose flushes end when they are told to."""

    def __init__(self) -> None:
        self.flushes = 0
        self.error: Exception | None = None
        self.may_end = threading.Event()

    def flush(self) -> None:
        self.flushes += 1
        assert self.may_end.wait(10)
        if self.error is not None:
            raise self.error


def with_disk(scenario: Callable[[Disk, GroupCommit], Awaitable[None]]) -> Disk:
    disk = Disk()
    commits = GroupCommit(disk.flush)
    try:
        asyncio.run(scenario(disk, commits))  # type: ignore[arg-type]  # a coroutine
    finally:
        disk.may_end.set()
        commits.close()
    return disk


async def begun(disk: Disk, flushes: int) -> None:
    while disk.flushes < flushes:
        await asyncio.sleep(0.001)


def test_all_of_one_turn_share_a_flush() -> None:
    async def scenario(disk: Disk, commits: GroupCommit) -> None:
        disk.may_end.set()
        await asyncio.gather(*(commits.kept() for _ in range(50)))

    assert with_disk(scenario).flushes == 1


def test_who_comes_during_a_flush_waits_for_the_next_which_all_share() -> None:
    async def scenario(disk: Disk, commits: GroupCommit) -> None:
        first = asyncio.create_task(commits.kept())
        await begun(disk, 1)
        later = [asyncio.create_task(commits.kept()) for _ in range(20)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in (first, *later))
        disk.may_end.set()
        await asyncio.gather(first, *later)

    assert with_disk(scenario).flushes == 2


def test_the_loop_goes_on_while_the_disk_takes_its_time() -> None:
    async def scenario(disk: Disk, commits: GroupCommit) -> None:
        waiting = asyncio.create_task(commits.kept())
        await begun(disk, 1)
        for _ in range(100):
            await asyncio.sleep(0)
        disk.may_end.set()
        await waiting

    with_disk(scenario)


def test_a_flush_that_fails_is_told_to_all_who_waited_for_it_and_the_next_is_tried() -> None:
    async def scenario(disk: Disk, commits: GroupCommit) -> None:
        disk.error = Unavailable("the disk failed")
        disk.may_end.set()
        told = await asyncio.gather(*(commits.kept() for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in told] == ["the disk failed"] * 3
        disk.error = None
        await commits.kept()

    assert with_disk(scenario).flushes == 2


def test_one_who_leaves_takes_nobody_along() -> None:
    async def scenario(disk: Disk, commits: GroupCommit) -> None:
        leaving, staying = (asyncio.create_task(commits.kept()) for _ in range(2))
        await begun(disk, 1)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        disk.may_end.set()
        await staying

    assert with_disk(scenario).flushes == 1


def test_with_a_log_what_is_kept_was_flushed(tmp_path: Path) -> None:
    log = LocalLog(tmp_path, sync=True, exclusive=True)
    commits = GroupCommit(lambda: log.flush("predictions", log.append("predictions", [b"mark"])))

    async def answer(number: int) -> None:
        log.append("predictions", [b"%d" % number])
        await commits.kept()

    async def scenario() -> None:
        await asyncio.gather(*(answer(number) for number in range(30)))

    asyncio.run(scenario())
    commits.close()
    assert len(log.read("predictions", start=0)) == 31
    log.close()
