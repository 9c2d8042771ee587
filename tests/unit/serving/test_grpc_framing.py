"""One message in a call: whole, not compressed, not too large; and how long its caller waits."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.errors import InvalidRequest, LimitExceeded, OctavoError
from octavo.serving.grpc.deadlines import timeout_s, within
from octavo.serving.grpc.framing import frame, read_message
from octavo.serving.limits import BodyIncomplete, ClientGone
from octavo.serving.problems import HttpError

MOST = 100


def read(parts: Sequence[bytes], *, is_whole: bool = True) -> bytes:
    """What is read of a body that comes in parts."""
    left = list(parts)

    async def receive() -> dict[str, object]:
        if not left:
            return {"type": "http.disconnect"}
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left) or not is_whole}

    return asyncio.run(read_message(receive, max_bytes=MOST))


@given(message=st.binary(max_size=MOST), cuts=st.lists(st.integers(0, MOST + 5), max_size=6))
def test_a_message_is_read_however_it_is_cut(message: bytes, cuts: list[int]) -> None:
    body, places = frame(message), sorted({0, *cuts})
    assert read([body[a:b] for a, b in zip(places, [*places[1:], len(body) + 1], strict=True)]) == message


@given(body=st.binary(max_size=MOST))
def test_whatever_else_comes_is_refused_or_is_one_message(body: bytes) -> None:
    with suppress(OctavoError, HttpError):
        assert frame(read([body])) == body


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "holds no message"),
        (b"\x00\x00\x00\x00", "holds no message"),
        (b"\x00\x00\x00\x00\x02a", "ends before the length"),
        (frame(b"a") + b"\x00", "holds more than one message"),
        (frame(b"a") * 2, "holds more than one message"),
    ],
)
def test_a_call_without_exactly_one_whole_message_is_refused(body: bytes, detail: str) -> None:
    with pytest.raises(InvalidRequest, match=detail):
        read([body])


def test_a_compressed_message_is_refused_before_it_has_arrived() -> None:
    with pytest.raises(HttpError, match="compressed"):
        read([b"\x01\x00"], is_whole=False)


def test_a_message_that_will_be_too_long_is_refused_by_its_prefix() -> None:
    with pytest.raises(LimitExceeded, match="larger than 100 bytes"):
        read([b"\x00\xff", b"\xff\xff\xff"], is_whole=False)


def test_a_caller_who_goes_before_the_end_is_gone() -> None:
    with pytest.raises(ClientGone):
        read([b"\x00\x00"], is_whole=False)


def test_a_message_that_is_waited_for_no_longer_says_so() -> None:
    async def never() -> dict[str, object]:
        raise asyncio.CancelledError

    with pytest.raises(BodyIncomplete):
        asyncio.run(read_message(never, max_bytes=MOST))


@pytest.mark.parametrize(
    ("sent", "seconds"), [(b"3S", 3), (b"250m", 0.25), (b"1H", 3600), (b"2M", 120), (b"99999999H", 86_400)]
)
def test_a_deadline_is_read_with_its_unit(sent: bytes, seconds: float) -> None:
    assert timeout_s(sent) == pytest.approx(seconds)


@pytest.mark.parametrize("sent", [b"", b"3", b"S", b"-1S", b"3s", b"123456789S", b"1.5S", b"3S "])
def test_a_deadline_that_is_none_is_refused(sent: bytes) -> None:
    with pytest.raises(InvalidRequest, match="grpc-timeout is no time"):
        timeout_s(sent)


def test_what_does_not_come_within_its_time_is_refused() -> None:
    async def wait(read_too: bool) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise (BodyIncomplete if read_too else asyncio.CancelledError) from error

    for read_too in (False, True):
        with pytest.raises(HttpError, match="too late"):
            asyncio.run(within(0.001, wait(read_too), refusal=lambda: HttpError(504, "too late", fix="")))  # type: ignore[arg-type]
