"""What one request, and all at once, may take."""

import asyncio
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


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    with pytest.raises(HttpError, match=r"did not arrive within 0\.01 seconds") as caught:
        asyncio.run(read_body(receive, {}, max_bytes=10, timeout_s=0.01))
    assert caught.value.status == 408
    assert (b"connection", b"close") in caught.value.headers


def test_no_more_are_admitted_than_may_be_present() -> None:
    admission = Admission(2)
    with admission.admitted(), admission.admitted():
        with pytest.raises(HttpError, match="2 requests are being answered already") as caught, admission.admitted():
            pass
        assert caught.value.status == 429
        assert (b"retry-after", b"1") in caught.value.headers
    with admission.admitted(), admission.admitted():
        pass


def test_a_place_is_free_again_after_an_error() -> None:
    admission = Admission(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), admission.admitted():
            raise ZeroDivisionError
