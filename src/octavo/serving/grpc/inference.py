"""The Open Inference Protocol v2 over gRPC: a deployment is a model, its loaded versions are the model's versions."""

from importlib.metadata import version as version_of
from typing import Any

from octavo.errors import LimitExceeded, NotFound
from octavo.serving.asked import Asked
from octavo.serving.asking import Asking
from octavo.serving.grpc.answers import encode_response
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
from octavo.serving.grpc.methods import GrpcCall, Method, Replied
from octavo.serving.grpc.rows import one_row
from octavo.serving.grpc.tensors import check_parameters, tensors_of
from octavo.serving.inference import OUTPUTS, asked_by_tensors
from octavo.serving.lineup import Lineup
from octavo.serving.openinference import model_metadata
from octavo.serving.reading import asked_by_records
from octavo.serving.routes import PUBLIC, Request

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
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def methods(self) -> tuple[Method, ...]:
        """All that are served."""
        write = "predictions:write"
        return (
            Method(path=f"/{SERVICE}/ServerLive", permission=PUBLIC, handle=self._live),
            Method(path=f"/{SERVICE}/ServerReady", permission=PUBLIC, handle=self._ready),
            Method(path=f"/{SERVICE}/ServerMetadata", permission=write, handle=self._server),
            Method(path=f"/{SERVICE}/ModelReady", permission=write, handle=self._model_ready),
            Method(path=f"/{SERVICE}/ModelMetadata", permission=write, handle=self._model),
            Method(path=f"/{SERVICE}/ModelInfer", permission=write, handle=self._infer, predicts=True),
            Method(path=f"/{SERVICE}/RepositoryIndex", permission=write, handle=self._index),
        )

    async def _live(self, call: GrpcCall) -> Replied:
        return Replied(_LIVE)

    async def _ready(self, call: GrpcCall) -> Replied:
        return Replied(ServerReadyResponse(ready=self._asking.is_ready).SerializeToString())

    async def _server(self, call: GrpcCall) -> Replied:
        return Replied(ServerMetadataResponse(name="octavo", version=version_of("octavo")).SerializeToString())

    async def _model_ready(self, call: GrpcCall) -> Replied:
        asked = parse(ModelReadyRequest, call.message)
        self._lineup(asked.name, asked.version)
        return Replied(ModelReadyResponse(ready=True).SerializeToString())

    async def _model(self, call: GrpcCall) -> Replied:
        asked = parse(ModelMetadataRequest, call.message)
        about = model_metadata(asked.name, self._lineup(asked.name, asked.version))
        known = ModelMetadataResponse.TensorMetadata.DESCRIPTOR.fields_by_name
        for side in ("inputs", "outputs"):
            about[side] = [{key: one[key] for key in known} for one in about[side]]
        return Replied(ModelMetadataResponse(**about).SerializeToString())

    async def _index(self, call: GrpcCall) -> Replied:
        repository = parse(RepositoryIndexRequest, call.message).repository_name
        if repository:
            raise NotFound("repository", repository[:80])
        models = [
            {"name": name, "version": str(version), "state": "READY"}
            for name, lineup in sorted(self._asking.watcher.lineups.items())
            for version in sorted({served.arm.version for served in lineup.arms})
        ]
        return Replied(RepositoryIndexResponse(models=models).SerializeToString())

    async def _infer(self, call: GrpcCall) -> Replied:
        asked = parse(ModelInferRequest, call.message)
        lineup = self._lineup(asked.model_name, asked.model_version)
        wanted = _wanted_outputs(asked)
        answered = await self._asking.answered(_request(call), lineup, read=lambda lineup, _: _asked(lineup, asked))
        answer = answered.answer
        version = answer.version or lineup.fallback.arm.version
        raw = len(asked.raw_input_contents) > 0
        return Replied(encode_response(answer, wanted, id=asked.id, version=version, raw=raw), answered.follow_up)

    def _lineup(self, model: str, version: str) -> Lineup:
        lineup = self._asking.lineup(model)
        return lineup.of_version(version) if version else lineup


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


def _request(call: GrpcCall) -> Request:
    """A call as the handler behind all doors takes it, its message for a body that has arrived."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": call.message}

    return Request(
        path="",
        query=b"",
        headers=call.headers,
        receive=receive,
        caller=call.caller,
        arrived_ns=call.arrived_ns,
        trace=call.trace,
    )


def _asked(lineup: Lineup, asked: Any) -> Asked:
    row = one_row(asked, lineup.decoder.dtypes)
    if row is not None:
        return asked_by_records(lineup, [row])
    return asked_by_tensors(lineup, tensors_of(asked))
