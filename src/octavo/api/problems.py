"""Problem details as answers of the control process."""

import msgspec
from starlette.responses import Response

from octavo.problems import MEDIA_TYPE, Problem


def problem_response(problem: Problem) -> Response:
    """A problem as an answer."""
    return Response(msgspec.json.encode(problem), problem.status, problem.headers, MEDIA_TYPE)
