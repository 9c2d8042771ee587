"""How runs are written down: found, begun, told more, ended. All within a transaction of the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from octavo.errors import Conflict, InvalidRequest, LimitExceeded, NotFound
from octavo.stores.metrics import MetricPoint
from octavo.stores.ports import Artifacts, Transaction
from octavo.stores.searches import Comparing, Condition, Search
from octavo.training.runs import Run
from octavo.training.tracking import names
from octavo.training.tracking.surroundings import Surroundings

ENVIRONMENT, DIFF, LOG, CODE = (
    f"{names.RESERVED}{name}" for name in ("environment.txt", "changes.diff", "log.txt", "code.json")
)
"""The artifacts that Octavo itself keeps of a run."""

_SHORTEST = 4


def find_run(tx: Transaction, run: str) -> Run:
    """A run by its id, or by the end of it, if that is of one run only.

    Raises
    ------
    NotFound
        If there is none.
    InvalidRequest
        If there are several.
    """
    if found := tx.get(Run, run):
        return found
    ending = run.removeprefix("…")
    if len(ending) < _SHORTEST or not set(ending) <= set("0123456789abcdef-"):
        raise NotFound("run", run)
    where = Condition(path=("id",), comparing=Comparing.LIKE, values=(f"%{ending}",))
    some = tx.search(Run, Search(where=[where], limit=2)).records
    if len(some) > 1:
        raise InvalidRequest(f"several runs end with {ending!r}", field="run", fix="give more of the id")
    if not some:
        raise NotFound("run", run)
    return some[0]


def loggable(tx: Transaction, run: str) -> Run:
    """A run that may be told more.

    Raises
    ------
    Conflict
        If it is deleted.
    """
    found = find_run(tx, run)
    if found.deleted_at is not None:
        raise Conflict(f"run {found.id} is deleted; restore it first: octavo runs restore {found.id}", run=found.id)
    return found


def with_params(run: Run, params: Mapping[str, str]) -> Run:
    """A run with more parameters.

    Raises
    ------
    Conflict
        If it has one of them with another value.
    """
    names.check_texts(params, field="params", most=names.MOST_PARAM)
    for name, value in params.items():
        known = run.params.get(name)
        if known is not None and known != value:
            raise Conflict(
                f"run {run.id} has the parameter {name!r} = {known[:60]!r} already, and a parameter does not change; "
                f"{value[:60]!r} was not logged. Begin another run, or log what changes as a metric or a tag",
                run=run.id,
                param=name,
            )
    merged = {**run.params, **params}
    _limited(run, merged, most=names.MOST_PARAMS, what="parameters")
    return replace(run, params=merged)


def with_tags(run: Run, tags: Mapping[str, str]) -> Run:
    """A run with tags set."""
    names.check_texts(tags, field="tags", most=names.MOST_TAG)
    merged = {**run.tags, **tags}
    _limited(run, merged, most=names.MOST_TAGS, what="tags")
    return replace(run, tags=merged)


def with_points(tx: Transaction, run: Run, points: Sequence[MetricPoint]) -> Run:
    """A run with points added to the histories of its metrics; the latest of each is its value."""
    if len(points) > names.MOST_POINTS:
        raise LimitExceeded(f"{len(points):,} metrics at once; {names.MOST_POINTS:,} may be sent", field="points")
    logged = sorted({names.check_name(point.name, field="points") for point in points})
    _limited(run, {**run.metrics, **dict.fromkeys(logged)}, most=names.MOST_METRICS, what="metrics")
    tx.append_points(points)
    latest = {point.name: point.value for point in tx.newest_points(run.id, logged)}
    return replace(run, metrics={**run.metrics, **latest})


def with_artifact(run: Run, name: str, digest: str) -> Run:
    """A run with an artifact, or with another under the same name.

    Raises
    ------
    Conflict
        If a folder has its name, or a file that of its folder.
    """
    names.check_artifact(name)
    for known in run.artifacts:
        if known.startswith(f"{name}/") or name.startswith(f"{known}/"):
            raise Conflict(f"run {run.id} has the artifact {known!r}; {name!r} would be a file and a folder at once")
    merged = {**run.artifacts, name: digest}
    _limited(run, merged, most=names.MOST_ARTIFACTS, what="artifacts")
    return replace(run, artifacts=dict(sorted(merged.items())))


def without_artifact(run: Run, name: str) -> Run:
    """A run without one of its artifacts."""
    return replace(run, artifacts={known: digest for known, digest in run.artifacts.items() if known != name})


def surrounded(run: Run, found: Surroundings, artifacts: Artifacts) -> Run:
    """A run with what it runs in, whose texts are kept among the artifacts."""
    kept = dict(run.artifacts)
    git = found.git
    if found.environment:
        kept[ENVIRONMENT] = artifacts.put(found.environment.encode())
    if found.diff and git is not None:
        kept[DIFF] = artifacts.put(found.diff)
        git = replace(git, diff=kept[DIFF])
    return replace(
        run,
        git=git,
        environment=kept.get(ENVIRONMENT, ""),
        hardware=dict(found.hardware),
        artifacts=dict(sorted(kept.items())),
    )


def with_log(run: Run, text: bytes, artifacts: Artifacts) -> Run:
    """A run with what its process wrote."""
    digest = artifacts.put(text)
    return replace(run, log=digest, artifacts=dict(sorted({**run.artifacts, LOG: digest}.items())))


def merged(stored: Run | None, run: Run) -> Run:
    """What a training records of its run, with what was logged to the run meanwhile."""
    if stored is None:
        return run
    return replace(
        run,
        name=run.name or stored.name,
        experiment=run.experiment or stored.experiment,
        parent=run.parent or stored.parent,
        params={**stored.params, **run.params},
        tags={**stored.tags, **run.tags},
        metrics={**stored.metrics, **run.metrics},
        git=run.git or stored.git,
        environment=run.environment or stored.environment,
        hardware=run.hardware or stored.hardware,
        artifacts=dict(sorted({**stored.artifacts, **run.artifacts}.items())),
        log=run.log or stored.log,
        by=run.by or stored.by,
        source=run.source or stored.source,
        deleted_at=stored.deleted_at,
    )


def points_of(run: Run, *, at: datetime, step: int = 0) -> list[MetricPoint]:
    """A run's metrics as points of one step."""
    return [MetricPoint(run=run.id, name=name, step=step, at=at, value=value) for name, value in run.metrics.items()]


def _limited(run: Run, mapping: Mapping[str, object], *, most: int, what: str) -> None:
    if len(mapping) > most:
        raise LimitExceeded(
            f"run {run.id} would have {len(mapping):,} {what}; a run may have {most:,}",
            field=what,
            fix="log many values as steps of one metric, or as a file: run.log_artifact(path)",
        )
