"""The Open Inference Protocol v2 over gRPC: a deployment is a model, its loaded versions are the model's versions."""

from importlib.metadata import version as version_of
from typing import Any, NamedTuple

from octavo.errors import LimitExceeded, NotFound
from octavo.serving.asked import Asked
from octavo.serving.asking import Asking
from octavo.serving.attempts import Call
from octavo.serving.callers import LimitedCaller
from octavo.serving.grpc.answers import encode_response
from octavo.serving.grpc.forms import Forms
from octavo.serving.grpc.messages import (
    SERVICE,
    ModelInferRequest,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    RepositoryIndexRequest,
    RepositoryIndexResponse,
    ServerLiveResponse,
    ServerMetadataResponse,
    ServerReadyResponse,
    parse,
)
from octavo.serving.grpc.methods import PREDICTS, GrpcCall, Method, Replied
from octavo.serving.grpc.rows import asked_by_fields
from octavo.serving.grpc.tensors import check_parameters
from octavo.serving.inference import OUTPUTS
from octavo.serving.openinference import model_metadata
from octavo.serving.reading import Addressee, Read
from octavo.serving.routes import PUBLIC

_LONGEST_ID = 1024
_MOST_OUTPUTS = 64
_ALL = tuple(OUTPUTS)
_LIVE = ServerLiveResponse(live=True).SerializeToString()


class InferenceService:
    """``inference.GRPCInferenceService``.

    Parameters
    ----------
    asking : Asking
        The handler behind every door.
    forms : Forms
        Is told the forms of the calls that were understood.
    """

    def __init__(self, asking: Asking, forms: Forms) -> None:
        self._asking = asking
        self._forms = forms

    def methods(self) -> tuple[Method, ...]:
        """All that are served."""
        return (
            Method(path=f"/{SERVICE}/ServerLive", permission=PUBLIC, handle=self._live),
            Method(path=f"/{SERVICE}/ServerReady", permission=PUBLIC, handle=self._ready),
            Method(path=f"/{SERVICE}/ServerMetadata", permission=PREDICTS, handle=self._server),
            Method(path=f"/{SERVICE}/ModelReady", permission=PREDICTS, handle=self._model_ready),
            Method(path=f"/{SERVICE}/ModelMetadata", permission=PREDICTS, handle=self._model),
            Method(path=f"/{SERVICE}/ModelInfer", permission=PREDICTS, handle=self._infer, predicts=True),
            Method(path=f"/{SERVICE}/RepositoryIndex", permission=PREDICTS, handle=self._index),
        )

    async def _live(self, call: GrpcCall) -> Replied:
        return Replied(_LIVE)

    async def _ready(self, call: GrpcCall) -> Replied:
        return Replied(ServerReadyResponse(ready=self._asking.is_ready).SerializeToString())

    async def _server(self, call: GrpcCall) -> Replied:
        return Replied(ServerMetadataResponse(name="octavo", version=version_of("octavo")).SerializeToString())

    async def _model_ready(self, call: GrpcCall) -> Replied:
        asked = parse(ModelReadyRequest, call.message)
        self._check(call, asked.name, asked.version)
        self._asking.finder.loaded(asked.name, asked.version)
        return Replied(ModelReadyResponse(ready=True).SerializeToString())

    async def _model(self, call: GrpcCall) -> Replied:
        asked = parse(ModelMetadataRequest, call.message)
        self._check(call, asked.name, asked.version)
        about = model_metadata(asked.name, await self._asking.finder.lineup(asked.name, asked.version))
        known = ModelMetadataResponse.TensorMetadata.DESCRIPTOR.fields_by_name
        for side in ("inputs", "outputs"):
            about[side] = [{key: one[key] for key in known} for one in about[side]]
        return Replied(ModelMetadataResponse(**about).SerializeToString())

    async def _index(self, call: GrpcCall) -> Replied:
        asked = parse(RepositoryIndexRequest, call.message)
        self._check(call, "")
        if asked.repository_name:
            raise NotFound("repository", asked.repository_name[:80])
        models = self._asking.finder.index(ready=asked.ready)
        return Replied(RepositoryIndexResponse(models=models).SerializeToString())

    async def _infer(self, call: GrpcCall) -> Replied:
        sent = self._known(call.message) or _read(call.message)
        if isinstance(call.caller, LimitedCaller):
            self._check(call, sent.model, sent.version)
        lineup = await self._asking.finder.lineup(sent.model, sent.version)
        wanted = sent.wanted or _wanted_outputs(sent.request)
        answered = await self._asking.answer(lineup, _call(call, read=sent.read))
        if sent.request is not None:
            self._forms.learn(sent.request, call.message, wanted=wanted)
        answer = answered.answer
        version = answer.version or lineup.version
        return Replied(encode_response(answer, wanted, id=sent.id, version=version, raw=sent.raw), answered.follow_up)

    def _check(self, call: GrpcCall, name: str, version: str = "") -> None:
        """See that the caller may ask about this."""
        if isinstance(call.caller, LimitedCaller):
            call.caller.check(self._asking.finder.about(name, version))

    def _known(self, message: bytes) -> "_Sent | None":
        """A request whose form is known."""
        found = self._forms.find(message)
        if found is None:
            return None
        form, values = found
        id_ = values.pop(0) if form.has_id else ""

        def read(lineup: Addressee, body: bytes) -> Asked:
            return form.asked(lineup, values) or asked_by_fields(lineup, parse(ModelInferRequest, body))

        return _Sent(form.model, form.version, id_, form.raw, read, wanted=form.wanted)


class _Sent(NamedTuple):
    """A request as far as it is understood without its lineup.

    Attributes
    ----------
    id : str
        Its own; empty if it has none.
    raw : bool
        Whether its values stand in bytes rather than in lists.
    wanted : tuple of str
        The outputs that it asks for; empty if that is still to be looked at.
    request : ModelInferRequest or None
        None if its form is known.
    """

    model: str
    version: str
    id: str
    raw: bool
    read: Read
    wanted: tuple[str, ...] = ()
    request: Any = None


def _read(message: bytes) -> _Sent:
    """A request of whatever form, to be read field by field."""
    request = parse(ModelInferRequest, message)
    raw = len(request.raw_input_contents) > 0
    return _Sent(
        request.model_name,
        request.model_version,
        request.id,
        raw,
        lambda lineup, _: asked_by_fields(lineup, request),
        request=request,
    )


def _call(call: GrpcCall, *, read: Read) -> Call:
    """A call as the handler behind all doors takes it."""
    return Call(
        body=call.message,
        caller=str(call.caller),
        arrived_ns=call.arrived_ns,
        trace="" if call.trace is None else call.trace.trace_id,
        steps=call.trace,
        read=read,
    )


def _wanted_outputs(asked: Any) -> tuple[str, ...]:
    """The outputs that are asked for, all unless some are named."""
    if len(asked.id) > _LONGEST_ID or len(asked.outputs) > _MOST_OUTPUTS:
        raise LimitExceeded(
            f"the request has an id of more than {_LONGEST_ID:,} characters or more than {_MOST_OUTPUTS} outputs",
            fix="send less",
        )
    wanted: dict[str, None] = {}
    for number, output in enumerate(asked.outputs):
        if output.name not in OUTPUTS:
            raise NotFound("output", output.name[:80], OUTPUTS)
        check_parameters(output.parameters, place=f"outputs[{number}]")
        wanted[output.name] = None
    return tuple(wanted) or _ALL
