"""Runs, their metrics, parameters and tags by MLflow's client."""

from octavo.api.mlflow.calls import Answer, Call, Method, Pair, Sent, pairs
from octavo.api.mlflow.forms import (
    ARTIFACTS,
    DEFAULT_ID,
    NAME_TAG,
    PARENT_TAG,
    READ,
    SHOWN,
    SOURCE_TAG,
    STATUSES,
    WRITE,
    files_document,
    id_of,
    metric_document,
    moment,
    name_of,
    run_document,
    translated,
)
from octavo.errors import InvalidRequest
from octavo.training.runs import Run
from octavo.training.tracking.artifacts import ListRunArtifacts
from octavo.training.tracking.links import ShowLinks
from octavo.training.tracking.operations import (
    CreateRun,
    DeleteRun,
    EndRun,
    LoggedPoint,
    LogToRun,
    RestoreRun,
    SearchRuns,
    ShowHistory,
    ShowRun,
    UntagRun,
    UpdateRun,
)

_PAGE = 50_000
_NUMBER_AS_TEXT = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}


class _Search(Sent):
    experiment_ids: tuple[str, ...] = ()
    filter: str = ""
    run_view_type: str = "ACTIVE_ONLY"
    max_results: int = 1_000
    order_by: tuple[str, ...] = ()
    page_token: str = ""


class _NewRun(Sent):
    experiment_id: str = DEFAULT_ID
    user_id: str = ""
    run_name: str = ""
    start_time: int | None = None
    tags: tuple[Pair, ...] = ()


class _OfRun(Sent):
    run_id: str = ""
    run_uuid: str = ""
    status: str | None = None
    end_time: int | None = None
    run_name: str | None = None
    key: str = ""
    value: str = ""
    path: str = ""

    @property
    def run(self) -> str:
        return self.run_id or self.run_uuid


class _Metric(Sent):
    key: str
    value: float | str
    timestamp: int = 0
    step: int = 0


class _LoggedMetric(_Metric, kw_only=True):
    run_id: str = ""
    run_uuid: str = ""


class _Batch(Sent):
    run_id: str
    metrics: tuple[_Metric, ...] = ()
    params: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class _History(Sent):
    metric_key: str
    run_id: str = ""
    run_uuid: str = ""
    max_results: int = _PAGE


def _create_run(sent: _NewRun, call: Call) -> Answer:
    tags = pairs(sent.tags)
    asked = CreateRun(
        name=sent.run_name or tags.get(NAME_TAG, ""),
        experiment=name_of(call, sent.experiment_id),
        parent=tags.get(PARENT_TAG) or None,
        tags=tags,
        source=tags.get(SOURCE_TAG, ""),
        started_at=None if sent.start_time is None else moment(sent.start_time),
    )
    return {"run": run_document(call(asked), sent.experiment_id)}


def _update_run(sent: _OfRun, call: Call) -> Answer:
    run: Run | None = None
    if sent.run_name:
        call(UpdateRun(run=sent.run, name=sent.run_name))
        call(LogToRun(run=sent.run, tags={NAME_TAG: sent.run_name}))
    if sent.status is not None:
        status = STATUSES.get(sent.status)
        if status is None:
            raise InvalidRequest(f"{sent.status[:40]!r} is no status", field="status", fix=", ".join(STATUSES))
        ended_at = None if sent.end_time is None else moment(sent.end_time)
        run = call(
            EndRun(run=sent.run, status=status, finished_at=ended_at)
            if status.ended
            else UpdateRun(run=sent.run, status=status)
        )
    run = run or call(ShowRun(run=sent.run))
    assert run is not None
    return {"run_info": run_document(run, id_of(call, run.belongs_to))["info"]}


def _get_run(sent: _OfRun, call: Call) -> Answer:
    run: Run = call(ShowRun(run=sent.run))
    return {"run": run_document(run, id_of(call, run.belongs_to), links=call(ShowLinks(run=run.id)))}


def _delete_run(sent: _OfRun, call: Call) -> Answer:
    call(DeleteRun(run=sent.run))
    return {}


def _restore_run(sent: _OfRun, call: Call) -> Answer:
    call(RestoreRun(run=sent.run))
    return {}


def _search_runs(sent: _Search, call: Call) -> Answer:
    names = {number: name_of(call, number) for number in sent.experiment_ids}
    if not names:
        return {"runs": []}
    page = call(
        SearchRuns(
            experiments=tuple(names.values()),
            where=translated(sent.filter),
            sort=", ".join(translated(one) for one in sent.order_by),
            limit=min(max(1, sent.max_results), _PAGE),
            show=SHOWN.get(sent.run_view_type, "active"),
            after=sent.page_token,
        )
    )
    numbers = {name: number for number, name in names.items()}
    more = {"next_page_token": page.next} if page.next else {}
    return {"runs": [run_document(run, numbers[run.belongs_to]) for run in page.runs], **more}


def _log_metric(sent: _LoggedMetric, call: Call) -> Answer:
    call(LogToRun(run=sent.run_id or sent.run_uuid, points=(_point(sent),)))
    return {}


def _log_param(sent: _OfRun, call: Call) -> Answer:
    call(LogToRun(run=sent.run, params={sent.key: sent.value}))
    return {}


def _set_tag(sent: _OfRun, call: Call) -> Answer:
    call(LogToRun(run=sent.run, tags={sent.key: sent.value}))
    if sent.key == NAME_TAG:
        call(UpdateRun(run=sent.run, name=sent.value))
    return {}


def _delete_tag(sent: _OfRun, call: Call) -> Answer:
    run: Run = call(ShowRun(run=sent.run))
    if sent.key not in run.tags:
        raise InvalidRequest(f"run {run.id} has no tag {sent.key!r}", field="key")
    call(UntagRun(run=sent.run, tags=(sent.key,)))
    return {}


def _log_batch(sent: _Batch, call: Call) -> Answer:
    points = tuple(_point(metric) for metric in sent.metrics)
    call(
        LogToRun(
            run=sent.run_id,
            params=pairs(sent.params),
            tags={one.key: one.value for one in sent.tags},
            points=points,
        )
    )
    return {}


def _history(sent: _History, call: Call) -> Answer:
    points = call(
        ShowHistory(run=sent.run_id or sent.run_uuid, metric=sent.metric_key, limit=min(sent.max_results, _PAGE))
    )
    return {"metrics": [metric_document(one.name, one.value, one.at, step=one.step) for one in points]}


def _list_artifacts(sent: _OfRun, call: Call) -> Answer:
    run: Run = call(ShowRun(run=sent.run))
    entries = call(ListRunArtifacts(run=run.id, folder=sent.path.strip("/")))
    uri = f"{ARTIFACTS}{id_of(call, run.belongs_to)}/{run.id}/artifacts"
    return {"root_uri": uri, "files": files_document(entries)}


def _point(metric: _Metric) -> LoggedPoint:
    value = _NUMBER_AS_TEXT.get(metric.value, metric.value) if isinstance(metric.value, str) else metric.value
    return LoggedPoint(
        name=metric.key, value=value, step=metric.step, at=moment(metric.timestamp) if metric.timestamp else None
    )


METHODS = (
    Method("POST", "runs/create", WRITE, _NewRun, _create_run),
    Method("POST", "runs/update", WRITE, _OfRun, _update_run),
    Method("GET", "runs/get", READ, _OfRun, _get_run),
    Method("POST", "runs/delete", WRITE, _OfRun, _delete_run),
    Method("POST", "runs/restore", WRITE, _OfRun, _restore_run),
    Method("POST", "runs/search", READ, _Search, _search_runs),
    Method("POST", "runs/log-metric", WRITE, _LoggedMetric, _log_metric),
    Method("POST", "runs/log-parameter", WRITE, _OfRun, _log_param),
    Method("POST", "runs/set-tag", WRITE, _OfRun, _set_tag),
    Method("POST", "runs/delete-tag", WRITE, _OfRun, _delete_tag),
    Method("POST", "runs/log-batch", WRITE, _Batch, _log_batch),
    Method("GET", "metrics/get-history", READ, _History, _history),
    Method("GET", "artifacts/list", READ, _OfRun, _list_artifacts),
)
