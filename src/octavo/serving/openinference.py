"""The Open Inference Protocol v2 over REST: a deployment is a model, its loaded versions are the model's versions.

A composite is one too, of one version, whose prediction is what its last node says.
"""

from http import HTTPStatus
from importlib.metadata import version as version_of
from typing import Any, NamedTuple

import msgspec

from octavo.errors import InvalidRequest, NotFound
from octavo.serving.asking import Asking
from octavo.serving.composed import AnyLineup, Composed
from octavo.serving.inference import MATRIX, OUTPUTS, Inference
from octavo.serving.limits import read_body
from octavo.serving.problems import Answer, HttpError
from octavo.serving.routes import JSON, PUBLIC, Handled, Request, Route, check_encoding
from octavo.serving.tensors import DATATYPES

MODELS = "/v2/models/"
_OCTETS = b"application/octet-stream"
HEADER_LENGTH = b"inference-header-content-length"
_INFER, _READY = "infer", "ready"
_MOST_INDEX_BYTES = 1_000


class _Named(NamedTuple):
    """What the path of a model says."""

    model: str
    version: str
    action: str


class _IndexRequest(msgspec.Struct, frozen=True):
    """Which models are asked for."""

    ready: bool = False


class OpenInferenceRoutes:
    """Everything below ``/v2``.

    Parameters
    ----------
    asking : Asking
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def routes(self) -> tuple[Route, ...]:
        """All of them."""
        return (
            Route(method="GET", path="/v2", permission="predictions:write", handle=self._server),
            Route(method="GET", path="/v2/health/live", permission=PUBLIC, handle=self._live),
            Route(method="GET", path="/v2/health/ready", permission=PUBLIC, handle=self._ready),
            Route(method="POST", path="/v2/repository/index", permission="predictions:write", handle=self._index),
            Route(method="GET", path=MODELS, permission="predictions:write", handle=self._model),
            Route(method="POST", path=MODELS, permission="predictions:write", handle=self._infer),
        )

    async def _server(self, request: Request) -> Handled:
        about = {
            "name": "octavo",
            "version": version_of("octavo"),
            "extensions": ["binary_tensor_data", "model_repository"],
        }
        return _json(about)

    async def _live(self, request: Request) -> Handled:
        return _json({"live": True})

    async def _ready(self, request: Request) -> Handled:
        ready = self._asking.is_ready
        return _json({"ready": ready}, status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _index(self, request: Request) -> Handled:
        body = await read_body(request.receive, request.headers, max_bytes=_MOST_INDEX_BYTES, visit=request.visit)
        try:
            wanted = msgspec.json.decode(body, type=_IndexRequest) if body.strip() else _IndexRequest()
        except msgspec.MsgspecError as error:
            raise InvalidRequest(f"the body cannot be read: {error}", fix='send nothing, or {"ready": true}') from error
        return Answer(status=200, body=msgspec.json.encode(self._asking.finder.index(ready=wanted.ready))), None

    async def _model(self, request: Request) -> Handled:
        named = _parse(request.path)
        if named.action == _INFER:
            raise _not_by(request.path, "GET", allowed="POST")
        if named.action == _READY:
            self._asking.finder.loaded(named.model, named.version)
            return _json({"name": named.model, "ready": True})
        lineup = await self._asking.finder.lineup(named.model, named.version)
        return _json(model_metadata(named.model, lineup))

    async def _infer(self, request: Request) -> Handled:
        named = _parse(request.path)
        if named.action != _INFER:
            raise _not_by(request.path, "POST", allowed="GET")
        lineup = await self._asking.finder.lineup(named.model, named.version)
        check_encoding(
            request.headers,
            kinds=(JSON, _OCTETS),
            fix="send JSON with Content-Type: application/json, or with binary tensors application/octet-stream",
        )
        inference = Inference(header_bytes=_header_bytes(request))
        answered = await self._asking.answered(request, lineup, read=inference.read)
        version = answered.answer.version or lineup.version
        body, head = inference.encode(answered.answer, version=version)
        if head is None:
            return Answer(status=200, body=body), answered.follow_up
        headers = ((HEADER_LENGTH, b"%d" % head),)
        return Answer(status=200, body=body, content_type=_OCTETS, headers=headers), answered.follow_up


def _parse(path: str) -> _Named:
    match path.removeprefix(MODELS).split("/"):
        case [model]:
            return _Named(model, "", "")
        case [model, ("ready" | "infer") as action]:
            return _Named(model, "", action)
        case [model, "versions", version] if version:
            return _Named(model, version, "")
        case [model, "versions", version, ("ready" | "infer") as action] if version:
            return _Named(model, version, action)
    raise NotFound("path", path)


def model_metadata(model: str, lineup: AnyLineup) -> dict[str, Any]:
    """What a deployment, or a composite, takes and gives, as the protocol describes a model."""
    required = lineup.decoder.required
    inputs: list[dict[str, Any]] = [
        {"name": name, "datatype": DATATYPES[dtype][0], "shape": [-1], "parameters": {"required": name in required}}
        for name, dtype in lineup.decoder.dtypes.items()
    ]
    columns = None if isinstance(lineup, Composed) else lineup.common_inputs
    if columns is not None and MATRIX not in lineup.decoder.dtypes:
        about = {"required": False, "instead_of_all_others": True, "columns": ",".join(columns)}
        inputs.append({"name": MATRIX, "datatype": "FP32", "shape": [-1, len(columns)], "parameters": about})
    return {
        "name": model,
        "versions": [str(version) for version in lineup.versions],
        "platform": "octavo",
        "inputs": inputs,
        "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS.items()],
    }


def _header_bytes(request: Request) -> int | None:
    sent = request.headers.get(HEADER_LENGTH)
    if sent is None:
        return None
    if not sent.isdigit() or len(sent) > len(str(2**63)):
        raise InvalidRequest(
            "Inference-Header-Content-Length is no number of bytes",
            fix="send the length of the JSON at the body's beginning",
        )
    return int(sent)


def _not_by(path: str, method: str, *, allowed: str) -> HttpError:
    return HttpError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"{path} does not take {method}",
        fix=f"send it by {allowed}",
        headers=((b"allow", allowed.encode()),),
    )


def _json(document: dict[str, Any], *, status: HTTPStatus = HTTPStatus.OK) -> Handled:
    return Answer(status=status.value, body=msgspec.json.encode(document)), None
