"""Logged models by MLflow's client."""

from typing import Any

from octavo.api.mlflow.calls import Answer, Call, Method, Pair, Sent, listed, pairs
from octavo.api.mlflow.forms import ARTIFACTS, READ, WRITE, files_document, fits, id_of, millis, name_of
from octavo.errors import InvalidRequest
from octavo.training.tracking.logged_models import (
    CreateLoggedModel,
    DeleteLoggedModel,
    ListLoggedModelFiles,
    ListLoggedModels,
    LoggedModel,
    ShowLoggedModel,
    UpdateLoggedModel,
)

_STATES = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}
_NUMBERED_STATES = {"1": "pending", "2": "ready", "3": "failed"}


class _NewLogged(Sent):
    experiment_id: str
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class _OfLogged(Sent):
    model_id: str = ""
    status: Any = None
    params: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()
    tag_key: str = ""
    allow_deleted: bool = False
    artifact_directory_path: str = ""


class _SearchLogged(Sent):
    experiment_ids: tuple[str, ...] = ()
    filter: str = ""
    max_results: int = 100


def _logged(model: LoggedModel, call: Call) -> Answer:
    experiment_id = id_of(call, model.experiment)
    return {
        "model": {
            "info": {
                "model_id": model.id,
                "experiment_id": experiment_id,
                "name": model.name,
                "creation_timestamp_ms": millis(model.created_at),
                "last_updated_timestamp_ms": millis(model.updated_at),
                "artifact_uri": f"{ARTIFACTS}{experiment_id}/models/{model.id}/artifacts",
                "status": next(told for told, state in _STATES.items() if state == model.state),
                "model_type": model.type,
                "source_run_id": model.run,
                "tags": listed(model.tags),
            },
            "data": {"params": listed(model.params), "metrics": []},
        }
    }


def _create_logged(sent: _NewLogged, call: Call) -> Answer:
    made = call(
        CreateLoggedModel(
            experiment=name_of(call, sent.experiment_id),
            name=sent.name,
            run=sent.source_run_id,
            type=sent.model_type,
            params=pairs(sent.params),
            tags=pairs(sent.tags),
        )
    )
    return _logged(made, call)


def _finalize_logged(sent: _OfLogged, call: Call) -> Answer:
    state = _STATES.get(str(sent.status)) or _NUMBERED_STATES.get(str(sent.status))
    if state is None:
        raise InvalidRequest(f"{str(sent.status)[:40]!r} is no status", field="status", fix=", ".join(_STATES))
    return _logged(call(UpdateLoggedModel(model_id=sent.model_id, state=state)), call)


def _get_logged(sent: _OfLogged, call: Call) -> Answer:
    return _logged(call(ShowLoggedModel(model_id=sent.model_id, with_deleted=sent.allow_deleted)), call)


def _delete_logged(sent: _OfLogged, call: Call) -> Answer:
    call(DeleteLoggedModel(model_id=sent.model_id))
    return {}


def _add_to_logged(sent: _OfLogged, call: Call) -> Answer:
    changed = UpdateLoggedModel(model_id=sent.model_id, params=pairs(sent.params), tags=pairs(sent.tags))
    return _logged(call(changed), call)


def _untag_logged(sent: _OfLogged, call: Call) -> Answer:
    call(UpdateLoggedModel(model_id=sent.model_id, untag=(sent.tag_key,)))
    return {}


def _search_logged(sent: _SearchLogged, call: Call) -> Answer:
    names = tuple(name_of(call, number) for number in sent.experiment_ids)
    found = call(ListLoggedModels(experiments=names, limit=min(max(1, sent.max_results), 10_000)))
    chosen = [one for one in found if fits(sent.filter, name=one.name, run_id=one.run, tags=one.tags)]
    return {"models": [_logged(one, call)["model"] for one in chosen]}


def _logged_folder(sent: _OfLogged, call: Call) -> Answer:
    model: LoggedModel = call(ShowLoggedModel(model_id=sent.model_id))
    entries = call(ListLoggedModelFiles(model_id=model.id, folder=sent.artifact_directory_path.strip("/")))
    uri = f"{ARTIFACTS}{id_of(call, model.experiment)}/models/{model.id}/artifacts"
    return {"root_uri": uri, "files": files_document(entries)}


METHODS = (
    Method("POST", "logged-models", WRITE, _NewLogged, _create_logged),
    Method("POST", "logged-models/search", READ, _SearchLogged, _search_logged),
    Method("GET", "logged-models/{model_id}", READ, _OfLogged, _get_logged),
    Method("PATCH", "logged-models/{model_id}", WRITE, _OfLogged, _finalize_logged),
    Method("DELETE", "logged-models/{model_id}", WRITE, _OfLogged, _delete_logged),
    Method("POST", "logged-models/{model_id}/params", WRITE, _OfLogged, _add_to_logged),
    Method("PATCH", "logged-models/{model_id}/tags", WRITE, _OfLogged, _add_to_logged),
    Method("DELETE", "logged-models/{model_id}/tags/{tag_key}", WRITE, _OfLogged, _untag_logged),
    Method("GET", "logged-models/{model_id}/artifacts/directories", READ, _OfLogged, _logged_folder),
)
