"""What one request, and all at once, may take."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from octavo.errors import LimitExceeded
from octavo.serving.limits import Admission, ClientGone, read_body
from octavo.serving.problems import HttpError


def read(*parts: bytes, gone: bool = False, max_bytes: int = 10, **headers: bytes) -> bytes:
    """Read a body that arrives in parts."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if not gone:
        messages[-1]["more_body"] = False
    messages.append({"type": "http.disconnect"})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    given = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return asyncio.run(read_body(receive, given, max_bytes=max_bytes))


def test_a_body_arrives_whole_in_however_many_parts() -> None:
    assert read(b"0123456789") == b"0123456789"
    assert read(b"012", b"", b"345", b"6789", b"") == b"0123456789"
    assert read(b"") == b""


def test_a_body_that_says_it_is_too_large_is_refused_unread() -> None:
    with pytest.raises(LimitExceeded, match="larger than 10 bytes") as caught:
        read(content_length=b"11", gone=True)
    assert caught.value.fix == "send fewer rows in one request"


@pytest.mark.parametrize("parts", [[b"x" * 11], [b"x" * 10, b"x"], [b"x"] * 11])
def test_a_body_that_turns_out_too_large_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(LimitExceeded, match="larger than 10 bytes"):
        read(*parts)


@pytest.mark.parametrize("length", [b"9" * 400, b"1e3", b"-1", b"", b"x", b"\xb2"])
def test_a_strange_length_harms_nobody(length: bytes) -> None:
    if length.startswith(b"9"):
        with pytest.raises(LimitExceeded):
            read(b"x", content_length=length)
    else:
        assert read(b"x", content_length=length) == b"x"


def test_a_caller_who_leaves_is_not_waited_for() -> None:
    with pytest.raises(ClientGone):
        read(b"012", gone=True)


async def never() -> dict[str, Any]:
    await asyncio.sleep(60)
    raise AssertionError


def within(admission: Admission, *steps: Callable[[], Awaitable[object]]) -> None:
    """Take steps in a request that is watched."""

    async def take() -> None:
        admission.watch()
        for step in steps:
            with admission.admitted():
                await step()

    asyncio.run(take())


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    with pytest.raises(HttpError, match=r"did not arrive within 0\.01 seconds") as caught:
        within(Admission(1, timeout_s=0.01), lambda: read_body(never, {}, max_bytes=10))
    assert caught.value.status == 408
    assert (b"connection", b"close") in caught.value.headers


def test_a_request_that_takes_too_long_is_given_up_and_gives_its_place_back() -> None:
    admission = Admission(1, timeout_s=0.01)
    for _ in range(2):
        with pytest.raises(HttpError, match=r"was not answered within 0\.01 seconds") as caught:
            within(admission, never)
        assert caught.value.status == 504


def test_a_task_whose_request_was_given_up_goes_on() -> None:
    async def scenario() -> int:
        admission = Admission(1, timeout_s=0.01)
        admission.watch()
        with pytest.raises(HttpError), admission.admitted():
            await never()
        await asyncio.sleep(0.02)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(scenario()) == 0


def test_one_who_is_cancelled_from_elsewhere_is_not_said_to_be_late() -> None:
    async def scenario() -> None:
        task = asyncio.create_task(read_within(Admission(1)))
        await asyncio.sleep(0)
        task.cancel()
        await task

    async def read_within(admission: Admission) -> None:
        with admission.admitted():
            await read_body(never, {}, max_bytes=10)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())


def test_no_more_are_admitted_than_may_be_present() -> None:
    admission = Admission(2)

    async def scenario() -> None:
        with admission.admitted(), admission.admitted():
            with pytest.raises(HttpError, match="2 requests are being") as caught, admission.admitted():
                pass
            assert caught.value.status == 429
            assert (b"retry-after", b"1") in caught.value.headers
        with admission.admitted(), admission.admitted():
            pass

    asyncio.run(scenario())


def test_a_place_is_free_again_after_an_error() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    admission = Admission(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            within(admission, fail)


async def pause(*, times: int) -> None:
    """Keep the loop from everything else again and again."""
    for _ in range(times):
        time.sleep(0.12)
        await asyncio.sleep(0)


def long_ago() -> int:
    return time.perf_counter_ns() - 10**9


def test_one_pause_turns_nobody_away() -> None:
    async def scenario() -> None:
        admission = Admission(1, max_wait_s=0.05)
        admission.watch()
        await pause(times=1)
        with admission.admitted(arrived_ns=long_ago()):
            pass

    asyncio.run(scenario())


def test_while_a_queue_stands_those_who_waited_long_are_turned_away_and_nobody_once_it_is_gone() -> None:
    async def scenario() -> None:
        admission = Admission(1, max_wait_s=0.05)
        admission.watch()
        await pause(times=24)
        assert admission.queue_s > 0.05
        with pytest.raises(HttpError, match=r"wait longer than 0\.05 seconds") as caught:
            admission.admitted(arrived_ns=long_ago()).__enter__()
        assert caught.value.status == 429
        with admission.admitted(arrived_ns=time.perf_counter_ns()):
            pass
        while admission.queue_s > 0.025:
            await asyncio.sleep(0.01)
        with admission.admitted(arrived_ns=long_ago()):
            pass

    asyncio.run(scenario())


async def ask(admission: Admission, receive: Callable[[], Any]) -> None:
    with admission.admitted() as visit:
        await read_body(receive, {}, max_bytes=10, visit=visit)


def test_who_sends_his_body_slowly_takes_nobodys_place_and_the_slowest_makes_room() -> None:
    async def scenario() -> None:
        admission = Admission(2)
        slow = [asyncio.create_task(ask(admission, never)) for _ in range(4)]
        await asyncio.sleep(0)
        with admission.admitted(), pytest.raises(HttpError, match="the body did not arrive"):
            await slow[0]
        assert not any(task.done() for task in slow[1:])
        for task in slow[1:]:
            task.cancel()

    asyncio.run(scenario())


def test_a_body_that_is_read_when_all_places_are_taken_is_turned_away() -> None:
    async def scenario() -> None:
        admission, sent = Admission(1), asyncio.Event()

        async def receive() -> dict[str, Any]:
            await sent.wait()
            return {"type": "http.request", "body": b"x"}

        slow = asyncio.create_task(ask(admission, receive))
        await asyncio.sleep(0)
        with admission.admitted():
            sent.set()
            with pytest.raises(HttpError, match="1 requests are being answered already"):
                await slow
        await ask(admission, receive)

    asyncio.run(scenario())
