"""Problem details as answers of the predictor."""

from http import HTTPStatus

import msgspec

from octavo import problems
from octavo.errors import OctavoError
from octavo.problems import Problem

Headers = tuple[tuple[bytes, bytes], ...]


class HttpError(Exception):
    """A refusal that is a matter of HTTP alone.

    Parameters
    ----------
    status : HTTPStatus
    detail : str
    fix : str
        What to do instead.
    headers : tuple of (name, value)
    """

    def __init__(self, status: HTTPStatus, detail: str, *, fix: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.fix, self.headers = status, detail, fix, headers


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Headers = ()


class InferenceError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem as the Open Inference Protocol has it: one sentence, and beside it what a program needs."""

    error: str
    code: str
    request_id: str
    field: str | None = None
    fix: str | None = None


def answer_of(error: Exception, *, request_id: str) -> Answer:
    """The answer to an error, as problem details."""
    problem = problem_of(error, request_id=request_id)
    return _answer(error, problem, problem, content_type=problems.MEDIA_TYPE.encode("ascii"))


def inference_answer_of(error: Exception, *, request_id: str) -> Answer:
    """The answer to an error, to a caller who speaks the Open Inference Protocol."""
    problem = problem_of(error, request_id=request_id)
    body = InferenceError(
        error=f"{problem.detail}; {problem.fix}" if problem.fix else problem.detail,
        code=problem.code,
        request_id=problem.request_id,
        field=problem.field,
        fix=problem.fix,
    )
    return _answer(error, problem, body)


def problem_of(error: Exception, *, request_id: str) -> Problem:
    """What every door says of an error; one that nobody foresaw is told without its text, which may hold anything."""
    if isinstance(error, HttpError):
        return problems.refusal(error.status, error.detail, fix=error.fix, request_id=request_id)
    if isinstance(error, OctavoError):
        return problems.problem_of(error, request_id=request_id)
    return problems.unexpected(request_id, process="predictor")


def _answer(
    error: Exception, problem: Problem, body: msgspec.Struct, *, content_type: bytes = b"application/json"
) -> Answer:
    own = tuple((name.encode("ascii"), value.encode("ascii")) for name, value in problem.headers.items())
    more = error.headers if isinstance(error, HttpError) else ()
    return Answer(
        status=problem.status, body=msgspec.json.encode(body), content_type=content_type, headers=(*own, *more)
    )
