"""Problem details as answers of the predictor."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Headers = ()


def answer_of(error: Exception, *, request_id: str) -> Answer:
    """The answer to an error. One that nobody foresaw is answered without its text, which may hold anything."""
    if isinstance(error, HttpError):
        problem = problems.refusal(error.status, error.detail, fix=error.fix, request_id=request_id)
        return _answer(problem, error.headers)
    if isinstance(error, OctavoError):
        return _answer(problems.problem_of(error, request_id=request_id))
    return _answer(problems.unexpected(request_id, process="predictor"))


def _answer(problem: Problem, headers: Headers = ()) -> Answer:
    own = tuple((name.encode("ascii"), value.encode("ascii")) for name, value in problem.headers.items())
    return Answer(
        status=problem.status,
        body=msgspec.json.encode(problem),
        content_type=problems.MEDIA_TYPE.encode("ascii"),
        headers=(*own, *headers),
    )
