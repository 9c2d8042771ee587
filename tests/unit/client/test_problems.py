import msgspec
import pytest

from octavo import errors
from octavo.client.problems import error_of
from octavo.errors import (
    GateFailed,
    IntegrityError,
    InvalidRequest,
    LimitExceeded,
    NotAuthenticated,
    NotFound,
    OctavoError,
    Unavailable,
)

KINDS = [
    k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, OctavoError) and k is not OctavoError
]


def problem(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_kind_of_error_comes_back_as_itself(kind: type[OctavoError]) -> None:
    error = error_of(400, problem(code=kind.code, detail="what, where and what to do"))
    assert type(error) is kind
    assert (error.message, str(error)) == ("what, where and what to do", "what, where and what to do")


def test_a_wrong_field_is_named_with_its_fix() -> None:
    error = error_of(422, problem(code="invalid_request", detail="no", field="rows[3].distance", fix="send a number"))
    assert isinstance(error, InvalidRequest)
    assert (error.field, error.fix) == ("rows[3].distance", "send a number")
    assert error.facts["field"] == "rows[3].distance"


def test_the_request_by_which_the_log_is_searched_is_kept() -> None:
    assert error_of(500, problem(code="internal", detail="no", request_id="r1")).facts["request_id"] == "r1"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, NotAuthenticated), (404, NotFound), (418, InvalidRequest), (429, LimitExceeded), (500, OctavoError),
     (502, Unavailable), (503, Unavailable)],
)  # fmt: skip
def test_where_a_proxy_answers_the_status_decides(status: int, kind: type[OctavoError]) -> None:
    error = error_of(status, b"<html>no luck</html>")
    assert type(error) is kind
    assert error.message == "<html>no luck</html>"


def test_an_answer_without_words_tells_its_status() -> None:
    assert error_of(500, b"").message == "the server answered 500"


def test_codes_with_the_same_status_are_told_apart() -> None:
    assert isinstance(error_of(409, problem(code="gate_failed", detail="no")), GateFailed)
    assert isinstance(error_of(500, problem(code="integrity", detail="no")), IntegrityError)
