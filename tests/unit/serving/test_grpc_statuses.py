"""How calls end: every problem as a status and trailers that any client can read."""

from http import HTTPStatus
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo import problems
from octavo.errors import InvalidRequest
from octavo.serving.grpc.statuses import Status, escaped, status_of, trailers_of

LIMIT = 2_000


@pytest.mark.parametrize("status", [one for one in HTTPStatus if one >= 400])
def test_every_refusal_of_http_has_a_status(status: HTTPStatus) -> None:
    assert status_of(problems.refusal(status, "no", request_id="r")) is not Status.OK


def test_a_problem_is_told_whole() -> None:
    error = InvalidRequest("1 > 0, 50 %, Ä", field="rows[0].x", fix="send 0")
    trailers = dict(trailers_of(problems.problem_of(error, request_id="r1")))
    assert trailers == {
        b"grpc-status": b"3",
        b"grpc-message": b"1 > 0, 50 %25, %C3%84; send 0",
        b"octavo-code": b"invalid_request",
        b"octavo-field": b"rows[0].x",
        b"octavo-fix": b"send 0",
        b"x-request-id": b"r1",
    }


def test_who_is_turned_away_learns_when_to_come_back() -> None:
    trailers = dict(trailers_of(problems.refusal(HTTPStatus.TOO_MANY_REQUESTS, "full", request_id="r")))
    assert (trailers[b"grpc-status"], trailers[b"grpc-retry-pushback-ms"]) == (b"8", b"1000")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_is_printable_ascii_and_comes_back(text: str) -> None:
    sent = escaped(text).decode("ascii")
    assert all(" " <= character <= "~" for character in sent)
    assert unquote(sent) == text


def test_a_long_text_is_cut_between_characters() -> None:
    sent = escaped("Ä" * LIMIT)
    assert len(sent) <= LIMIT
    assert set(unquote(sent.decode())) == {"Ä"}


def test_a_lone_surrogate_is_no_trouble() -> None:
    assert escaped("a\ud800b") == b"a?b".replace(b"?", b"%3F")
