"""Files of runs and of logged models, as MLflow's client puts and fetches them through its server."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from octavo.api.attachments import attachment
from octavo.api.bodies import read_body
from octavo.api.endpoints import Endpoint, Identify
from octavo.api.mlflow.calls import answered, caller_of, denial
from octavo.api.mlflow.forms import READ, WRITE, files_document
from octavo.errors import NotFound
from octavo.operations import Dispatcher
from octavo.training.tracking.artifacts import (
    DropRunArtifact,
    GetRunArtifact,
    ListRunArtifacts,
    PutRunArtifact,
)
from octavo.training.tracking.logged_models import (
    GetLoggedModelFile,
    ListLoggedModelFiles,
    PutLoggedModelFile,
)
from octavo.training.tracking.names import MOST_ARTIFACT_BYTES

ROOT = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file is: of a run, or of a logged model.

    Attributes
    ----------
    name : str
        Within it; empty for its top.
    """

    owner: str
    name: str
    is_model: bool


def artifact_endpoints(dispatcher: Dispatcher, *, identify: Identify) -> list[Endpoint]:
    """All that files need: runs have theirs below ``EXPERIMENT/RUN/artifacts``, models ``EXPERIMENT/models/…``."""

    def endpoint(verb: str, permission: str, answer: Callable[[Request], Any], *, path: str = ROOT) -> Endpoint:
        async def handle(request: Request) -> Response:
            return await answered(request, lambda: answer(request), dispatcher)

        return Endpoint(
            method=verb,
            path=path,
            permission=permission,
            handle=handle,
            identify=identify,
            dispatched=True,
            deny=denial("artifacts", permission, dispatcher),
        )

    async def put(request: Request) -> Any:
        place = _place(request.path_params["path"])
        data = await read_body(request, max_bytes=MOST_ARTIFACT_BYTES)
        asked = (
            PutLoggedModelFile(model_id=place.owner, name=place.name, data=data)
            if place.is_model
            else PutRunArtifact(run=place.owner, name=place.name, data=data)
        )
        await run_in_threadpool(caller_of(request, dispatcher), asked)
        return {}

    async def get(request: Request) -> Response:
        place = _place(request.path_params["path"])
        asked = (
            GetLoggedModelFile(model_id=place.owner, name=place.name)
            if place.is_model
            else GetRunArtifact(run=place.owner, name=place.name)
        )
        found = await run_in_threadpool(caller_of(request, dispatcher), asked)
        return attachment(place.name.rpartition("/")[2], found.data)

    async def drop(request: Request) -> Any:
        place = _place(request.path_params["path"])
        if place.is_model:
            raise NotFound("file that can be deleted", place.name)
        await run_in_threadpool(caller_of(request, dispatcher), DropRunArtifact(run=place.owner, name=place.name))
        return {}

    async def list_(request: Request) -> Any:
        place = _place(request.query_params.get("path", ""))
        asked = (
            ListLoggedModelFiles(model_id=place.owner, folder=place.name)
            if place.is_model
            else ListRunArtifacts(run=place.owner, folder=place.name)
        )
        found = await run_in_threadpool(caller_of(request, dispatcher), asked)
        return {"files": files_document(found, below=f"{place.name}/" if place.name else "")}

    below = f"{ROOT}/{{path:path}}"
    return [
        endpoint("GET", READ, list_),
        endpoint("GET", READ, get, path=below),
        endpoint("PUT", WRITE, put, path=below),
        endpoint("DELETE", WRITE, drop, path=below),
    ]


def _place(path: str) -> _Place:
    match path.strip("/").split("/"):
        case [_, "models", model, "artifacts", *rest]:
            return _Place(model, "/".join(rest), True)
        case [_, run, "artifacts", *rest]:
            return _Place(run, "/".join(rest), False)
    raise NotFound("place of artifacts", path[:200])
