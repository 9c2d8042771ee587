"""Experiments by MLflow's client."""

from datetime import UTC, datetime

from octavo.api.mlflow.calls import Answer, Call, Method, Pair, Sent, pairs
from octavo.api.mlflow.forms import (
    ARTIFACTS,
    DEFAULT_ID,
    READ,
    SHOWN,
    WRITE,
    experiment_document,
    experiment_of,
    fits,
    millis,
    name_of,
    paged,
)
from octavo.errors import InvalidRequest
from octavo.training.tracking.experiment_operations import (
    CreateExperiment,
    DeleteExperiment,
    ListExperiments,
    RestoreExperiment,
    ShowExperiment,
    UpdateExperiment,
)
from octavo.training.tracking.experiments import DEFAULT, Experiment


class _NewExperiment(Sent):
    name: str
    artifact_location: str = ""
    tags: tuple[Pair, ...] = ()


class _Search(Sent):
    filter: str = ""
    view_type: str = "ACTIVE_ONLY"
    max_results: int = 1_000
    order_by: tuple[str, ...] = ()
    page_token: str = ""


class _OfExperiment(Sent):
    experiment_id: str = ""
    experiment_name: str = ""
    new_name: str | None = None
    key: str = ""
    value: str = ""


def _create_experiment(sent: _NewExperiment, call: Call) -> Answer:
    if sent.artifact_location and not sent.artifact_location.startswith(ARTIFACTS):
        raise InvalidRequest(
            "artifact_location cannot be chosen here: artifacts are kept where [stores] artifacts says",
            field="artifact_location",
            fix="leave it out",
        )
    made: Experiment = call(CreateExperiment(name=sent.name, tags=pairs(sent.tags)))
    return {"experiment_id": made.id}


def _search_experiments(sent: _Search, call: Call) -> Answer:
    shown = SHOWN.get(sent.view_type, "active")
    found = [one for one in call(ListExperiments(show=shown)) if fits(sent.filter, name=one.name, tags=one.tags)]
    if not any(one.id == DEFAULT_ID for one in found) and shown != "deleted" and not sent.filter.strip():
        found.append(_default(call))
    if sent.order_by:
        by, _, turned = sent.order_by[0].partition(" ")
        key = {"name": lambda one: one.name, "experiment_id": lambda one: int(one.id)}.get(
            by, lambda one: millis(one.created_at)
        )
        found.sort(key=key, reverse=turned.strip().lower() == "desc")
    page, more = paged(found, token=sent.page_token, most=sent.max_results)
    return {"experiments": [experiment_document(one) for one in page], **more}


def _default(call: Call) -> Experiment:
    found: list[Experiment] = [one for one in call(ListExperiments(show="all")) if one.id == DEFAULT_ID]
    return found[0] if found else Experiment(id=DEFAULT_ID, name=DEFAULT, created_at=datetime.fromtimestamp(0, UTC))


def _get_experiment(sent: _OfExperiment, call: Call) -> Answer:
    found = _default(call) if sent.experiment_id == DEFAULT_ID else experiment_of(call, sent.experiment_id)
    return {"experiment": experiment_document(found)}


def _experiment_by_name(sent: _OfExperiment, call: Call) -> Answer:
    if sent.experiment_name == DEFAULT:
        return {"experiment": experiment_document(_default(call))}
    found = [one for one in call(ListExperiments(show="all")) if one.name == sent.experiment_name]
    return {
        "experiment": experiment_document(found[0] if found else call(ShowExperiment(experiment=sent.experiment_name)))
    }


def _delete_experiment(sent: _OfExperiment, call: Call) -> Answer:
    call(DeleteExperiment(experiment=name_of(call, sent.experiment_id)))
    return {}


def _restore_experiment(sent: _OfExperiment, call: Call) -> Answer:
    call(RestoreExperiment(experiment=name_of(call, sent.experiment_id)))
    return {}


def _update_experiment(sent: _OfExperiment, call: Call) -> Answer:
    call(UpdateExperiment(experiment=name_of(call, sent.experiment_id), name=sent.new_name))
    return {}


def _tag_experiment(sent: _OfExperiment, call: Call) -> Answer:
    call(UpdateExperiment(experiment=name_of(call, sent.experiment_id), tags={sent.key: sent.value}))
    return {}


def _untag_experiment(sent: _OfExperiment, call: Call) -> Answer:
    call(UpdateExperiment(experiment=name_of(call, sent.experiment_id), untag=(sent.key,)))
    return {}


METHODS = (
    Method("POST", "experiments/create", WRITE, _NewExperiment, _create_experiment),
    Method("POST", "experiments/search", READ, _Search, _search_experiments),
    Method("GET", "experiments/search", READ, _Search, _search_experiments),
    Method("GET", "experiments/get", READ, _OfExperiment, _get_experiment),
    Method("GET", "experiments/get-by-name", READ, _OfExperiment, _experiment_by_name),
    Method("POST", "experiments/delete", WRITE, _OfExperiment, _delete_experiment),
    Method("POST", "experiments/restore", WRITE, _OfExperiment, _restore_experiment),
    Method("POST", "experiments/update", WRITE, _OfExperiment, _update_experiment),
    Method("POST", "experiments/set-experiment-tag", WRITE, _OfExperiment, _tag_experiment),
    Method("POST", "experiments/delete-experiment-tag", WRITE, _OfExperiment, _untag_experiment),
)
