"""``/predictions/{deployment}``: questions that are answered later, their answers, and what is cancelled."""

import asyncio
import hashlib
from http import HTTPStatus

import msgspec

from octavo.clock import Clock
from octavo.config import PredictorSettings
from octavo.errors import InvalidRequest, NotFound
from octavo.identifiers import new_id
from octavo.serving import arrow
from octavo.serving.asking import Asking
from octavo.serving.explaining import wanted_reasons
from octavo.serving.later.answering import Answering
from octavo.serving.later.callbacks import HEADER, CallbackRules
from octavo.serving.later.jobs import Found, Full, Job, Question
from octavo.serving.later.sending import CallbackSender
from octavo.serving.later.work import LaterWork
from octavo.serving.limits import read_body
from octavo.serving.problems import Answer, HttpError
from octavo.serving.routes import JSON, Handled, Request, Route, check_encoding

LATER = "/predictions/"
PERMISSION = "predictions:write"

_KEPT_HEADERS = (b"content-type", b"accept", b"traceparent")
_LONGEST_KEY = 256


class LaterRoutes:
    """Takes questions to be answered later, and gives their answers.

    Parameters
    ----------
    settings : PredictorSettings
    asking : Asking
        Knows what is served.
    answering : Answering
        Answers what is taken.
    work : LaterWork
        Keeps it.
    clock : Clock
        The machine's.

    Attributes
    ----------
    answering : Answering
        As given.

    Raises
    ------
    ConfigurationError
        If what the settings say of callbacks cannot be kept to.
    """

    def __init__(
        self, settings: PredictorSettings, *, asking: Asking, answering: Answering, work: LaterWork, clock: Clock
    ) -> None:
        self._max_body_bytes = settings.max_later_body_bytes
        self._asking = asking
        self.answering = answering
        self._work = work
        self._clock = clock
        self._rules = CallbackRules(settings)

    def routes(self) -> tuple[Route, ...]:
        """What it answers."""
        return (
            Route(method="POST", path=LATER, permission=PERMISSION, handle=self._accept),
            Route(method="GET", path=LATER, permission=PERMISSION, handle=self._fetch),
            Route(method="DELETE", path=LATER, permission=PERMISSION, handle=self._cancel),
        )

    def watch(self) -> None:
        """From now on, in the running loop, answer what was taken and tell of it."""
        self._work.start(self.answering, CallbackSender(self._rules, clock=self._clock))

    def close(self) -> None:
        """Let go of what is kept; it stays on disk."""
        self._work.close()

    async def _accept(self, request: Request) -> Handled:
        deployment, headers = request.path.removeprefix(LATER), request.headers
        await self._check(deployment, request)
        callback = headers.get(HEADER, b"").decode("latin-1")
        if callback:
            self._rules.check(callback)
        key = _key(headers.get(b"idempotency-key"))
        body = await read_body(request.receive, headers, max_bytes=self._max_body_bytes, visit=request.visit)
        digest = await asyncio.to_thread(_digest, request, callback, body)
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        question = Question(query=request.query, headers=kept, accepted_us=self._clock.now_us())
        job = Job(id=new_id(self._clock), deployment=deployment, caller=request.caller, question=question, body=body)
        try:
            kept_as = await self._work.accept(job, key=key, digest=digest, callback=callback)
        except Full as error:
            raise _full() from error
        return _waiting(deployment, kept_as, state="waiting"), None

    async def _fetch(self, request: Request) -> Handled:
        deployment, job = _place(request.path)
        found = await self._found(deployment, job, caller=request.caller)
        return found.answer or _waiting(deployment, job, state=found.state), None

    async def _cancel(self, request: Request) -> Handled:
        deployment, job = _place(request.path)
        await self._found(deployment, job, caller=request.caller)
        if not await self._work.cancel(job):
            raise HttpError(
                HTTPStatus.CONFLICT,
                "the predictions were made just now, and are being recorded",
                fix="fetch the answer, or cancel again in a second to forget it",
                headers=((b"retry-after", b"1"),),
            )
        gone = msgspec.json.encode({"id": job, "deployment": deployment, "state": "cancelled"})
        return Answer(status=HTTPStatus.OK, body=gone), None

    async def _check(self, deployment: str, request: Request) -> None:
        """Refuse at once what could never be answered."""
        await self._asking.finder.lineup(deployment)
        check_encoding(
            request.headers,
            kinds=(JSON, *arrow.KINDS),
            fix="send JSON with Content-Type: application/json, or Arrow with application/vnd.apache.arrow.stream",
        )
        wanted_reasons(request.query)

    async def _found(self, deployment: str, id: str, *, caller: str) -> Found:
        found = await self._work.find(deployment, id)
        if found is None or _name(found.caller) != _name(caller):
            raise NotFound("asynchronous prediction (any more) that is yours", id[:80])
        return found


def _waiting(deployment: str, id: str, *, state: str) -> Answer:
    headers = ((b"location", f"{LATER}{deployment}/{id}".encode("ascii")), (b"retry-after", b"1"))
    body = msgspec.json.encode({"id": id, "deployment": deployment, "state": state})
    return Answer(status=HTTPStatus.ACCEPTED, body=body, headers=headers)


def _place(path: str) -> tuple[str, str]:
    """The deployment and the id that a path names."""
    deployment, _, job = path.removeprefix(LATER).partition("/")
    if not job:
        raise HttpError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{path} is asked by POST",
            fix="send rows by POST, then ask for the path that Location names",
            headers=((b"allow", b"POST"),),
        )
    return deployment, job


def _key(sent: bytes | None) -> str | None:
    if sent is None:
        return None
    if not 0 < len(sent) <= _LONGEST_KEY:
        raise InvalidRequest(
            f"Idempotency-Key is empty, or longer than {_LONGEST_KEY} characters",
            field="Idempotency-Key",
            fix="send a UUID, for instance",
        )
    return sent.decode("latin-1")


def _digest(request: Request, callback: str, body: bytes) -> bytes:
    """By which a request is known that is sent again."""
    kinds = [request.headers.get(name, b"") for name in (b"content-type", b"accept")]
    told = msgspec.msgpack.encode([request.query, *kinds, callback, hashlib.sha256(body).digest()])
    return hashlib.sha256(told).digest()


def _name(caller: str) -> str:
    """Whose token it was; a new one is as good."""
    return caller.partition("/")[0]


def _full() -> HttpError:
    return HttpError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "as many asynchronous predictions wait, or are kept, as may be",
        fix="try again later; fetch what is answered and cancel what is no longer needed",
        headers=((b"retry-after", b"10"),),
    )
