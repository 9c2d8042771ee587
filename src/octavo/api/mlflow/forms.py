"""Experiments, runs, files and times in MLflow's form."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from octavo.api.mlflow.calls import Answer, Call, listed
from octavo.api.mlflow.links import inputs_document, outputs_document
from octavo.errors import InvalidRequest, LimitExceeded
from octavo.stores.searches import is_like
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.artifacts import ArtifactEntry
from octavo.training.tracking.experiment_operations import ListExperiments, ShowExperiment
from octavo.training.tracking.experiments import DEFAULT, Experiment
from octavo.training.tracking.links import RunLinks

T = TypeVar("T")

READ, WRITE = "models:read", "runs:write"
DEFAULT_ID = "0"
ARTIFACTS = "mlflow-artifacts:/"

STATUSES = {
    "RUNNING": RunStatus.RUNNING,
    "SCHEDULED": RunStatus.REQUESTED,
    "FINISHED": RunStatus.SUCCEEDED,
    "FAILED": RunStatus.FAILED,
    "KILLED": RunStatus.KILLED,
}
_TOLD = {status: told for told, status in STATUSES.items()} | {RunStatus.LOST: "KILLED"}
SHOWN = {"ACTIVE_ONLY": "active", "DELETED_ONLY": "deleted", "ALL": "all"}
_ATTRIBUTES = {
    "start_time": "started_at",
    "end_time": "finished_at",
    "created": "started_at",
    "Created": "started_at",
    "run_id": "id",
    "run_name": "name",
    "Run name": "name",
    "user_id": "by",
}
PARENT_TAG, SOURCE_TAG, NAME_TAG = "mlflow.parentRunId", "mlflow.source.name", "mlflow.runName"
_MOST_FILTER, _LONGEST_PLACE = 4_000, 9
_CONDITION = re.compile(
    r"\s*(?:attributes?\.)?(name|run_id|source_path|tags?\.(?:`[^`]+`|[\w.\-]+))\s*(=|!=|LIKE|ILIKE|IN)\s*"
    r"(?:['\"]([^'\"]*)['\"]|\(([^)]*)\))\s*\Z",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"('(?:[^']|'')*')")
_TOKEN = re.compile(
    r"\b(?:attributes?|attr|run)\.(`[^`]+`|\w+)|(?<![\w.`\"])(start_time|end_time|run_id|run_name|user_id)\b"
)
_NUMBER_AS_TEXT = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}


def experiment_document(experiment: Experiment) -> Answer:
    """An experiment in MLflow's form."""
    at = millis(experiment.created_at)
    return {
        "experiment_id": experiment.id,
        "name": experiment.name,
        "artifact_location": f"{ARTIFACTS}{experiment.id}",
        "lifecycle_stage": "deleted" if experiment.deleted_at else "active",
        "creation_time": at,
        "last_update_time": millis(experiment.deleted_at) if experiment.deleted_at else at,
        "tags": listed(experiment.tags),
    }


def run_document(run: Run, experiment_id: str, *, links: RunLinks | None = None) -> Answer:
    """A run in MLflow's form."""
    links = links or RunLinks(run=run.id)
    ended = {} if run.finished_at is None else {"end_time": millis(run.finished_at)}
    tags = {NAME_TAG: run.name, **run.tags} if run.name else dict(run.tags)
    at = run.finished_at or run.started_at
    return {
        "info": {
            "run_id": run.id,
            "run_uuid": run.id,
            "run_name": run.name or run.id,
            "experiment_id": experiment_id,
            "user_id": run.by,
            "status": _TOLD[run.status],
            "start_time": millis(run.started_at),
            **ended,
            "artifact_uri": f"{ARTIFACTS}{experiment_id}/{run.id}/artifacts",
            "lifecycle_stage": "deleted" if run.deleted_at else "active",
        },
        "data": {
            "metrics": [metric_document(name, value, at) for name, value in run.metrics.items()],
            "params": listed(run.params),
            "tags": listed(tags),
        },
        "inputs": inputs_document(links),
        "outputs": outputs_document(links),
    }


def millis(at: datetime) -> int:
    """Milliseconds since 1970."""
    return round(at.timestamp() * 1_000)


def moment(at_ms: int) -> datetime:
    """The moment of milliseconds since 1970.

    Raises
    ------
    InvalidRequest
        If no year between 1 and 9999 holds it.
    """
    try:
        return datetime.fromtimestamp(at_ms / 1_000, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidRequest(f"{at_ms} is no time in milliseconds since 1970") from error


def files_document(entries: tuple[ArtifactEntry, ...], *, below: str = "") -> list[Answer]:
    """Files and folders in MLflow's form, by names relative to `below`."""
    return [{"path": one.name.removeprefix(below), "is_dir": one.is_folder} for one in entries]


def translated(text: str) -> str:
    """A filter of MLflow's client as `octavo.training.tracking.filters` reads it."""

    def renamed(match: re.Match[str]) -> str:
        name = (match[1] or match[2]).strip("`")
        return _ATTRIBUTES.get(name, name)

    parts = _QUOTED.split(text)
    told = [part if number % 2 else _TOKEN.sub(renamed, part) for number, part in enumerate(parts)]
    return "".join(_with_status(told))


def _with_status(parts: list[str]) -> list[str]:
    """Values that stand behind `status` in the words of ours."""
    for number in range(1, len(parts), 2):
        if re.search(r"\bstatus\s*(=|==|!=)\s*\Z", parts[number - 1]):
            word = parts[number][1:-1].upper()
            parts[number] = f"'{STATUSES[word]}'" if word in STATUSES else parts[number]
    return parts


def id_of(call: Call, experiment: str) -> str:
    """The id of an experiment by its name."""
    if experiment == DEFAULT:
        return DEFAULT_ID
    found: Experiment = call(ShowExperiment(experiment=experiment))
    return found.id


def name_of(call: Call, experiment_id: str) -> str:
    """The name of an experiment by its id."""
    if experiment_id == DEFAULT_ID:
        return DEFAULT
    return experiment_of(call, experiment_id).name


def experiment_of(call: Call, experiment_id: str) -> Experiment:
    """An experiment by its id, whether it is deleted or not."""
    found: list[Experiment] = [one for one in call(ListExperiments(show="all")) if one.id == experiment_id]
    return found[0] if found else call(ShowExperiment(experiment=f"id {experiment_id}"))


def metric_document(name: str, value: float | str, at: datetime, *, step: int = 0) -> Answer:
    """A value of a metric in MLflow's form."""
    number = float(value)
    told: Any = number if math.isfinite(number) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)]
    return {"key": name, "value": told, "timestamp": millis(at), "step": step}


def paged(found: Sequence[T], *, token: str, most: int) -> tuple[Sequence[T], Answer]:
    """A page of what was found, and where the next one begins if more follow; the first page for what is no place."""
    start = int(token) if token.isdecimal() and len(token) <= _LONGEST_PLACE else 0
    end = start + max(1, most)
    return found[start:end], {"next_page_token": str(end)} if end < len(found) else {}


def fits(text: str, *, tags: Any, **known: str) -> bool:
    """Whether something fulfils a filter of names, runs and tags."""
    if len(text) > _MOST_FILTER:
        raise LimitExceeded(f"the filter has {len(text):,} characters, and may have {_MOST_FILTER:,}", field="filter")
    for part in re.split(r"\sand\s", text, flags=re.IGNORECASE) if text.strip() else []:
        match = _CONDITION.match(part)
        what = match[1].lower() if match else ""
        if match is None or (what not in known and not what.startswith("tag")):
            raise InvalidRequest(
                f"the filter {part[:80]!r} cannot be read",
                field="filter",
                fix=f"compare {', '.join(known)} or tags.NAME with a text, by = != LIKE ILIKE or IN",
            )
        found = known.get(what) if what in known else tags.get(match[1].partition(".")[2].strip("`"))
        operator = match[2].upper()
        if found is None and operator == "!=":  # so the client asks for what is no prompt
            continue
        if found is None or not _compares(found, operator, match[3], match[4]):
            return False
    return True


def _compares(found: str, operator: str, wanted: str | None, several: str | None) -> bool:
    if operator == "IN":
        return found in {one.strip().strip("'\"") for one in (several or "").split(",")}
    if operator in ("=", "!="):
        return (found == wanted) == (operator == "=")
    return is_like(found, wanted or "", any_case=operator == "ILIKE")
