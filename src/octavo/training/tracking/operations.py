"""What can be done with runs: begun, told more, ended, found, put away."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from octavo.errors import Conflict, InvalidRequest
from octavo.identifiers import new_id
from octavo.operations import Context, Operations
from octavo.stores.metrics import MetricPoint
from octavo.stores.redaction import Redaction
from octavo.training.runs import GitState, Run, RunStatus
from octavo.training.tracking import names, recording
from octavo.training.tracking.experiments import DEFAULT, ensure
from octavo.training.tracking.finding import RunsPage, Wanted, page_of
from octavo.training.tracking.lost import heard, wall_now
from octavo.training.tracking.numbers import number_of, plain
from octavo.training.tracking.surroundings import MOST_DIFF_BYTES, Surroundings

operations = Operations()

ENDS = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.KILLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedPoint:
    """A value of a metric.

    Attributes
    ----------
    value : float or str
        A number; or ``nan``, ``inf`` or ``-inf``, which JSON has no numbers for.
    at : datetime or None
        Now unless given.
    """

    name: str
    value: float | str
    step: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsIn:
    """What a run runs in, as whoever logs it found out.

    Attributes
    ----------
    diff : str
        What differs from the commit; the digest in `git` is made of it.
    environment : str
        A line ``name==version`` for each distribution.
    """

    git: GitState | None = None
    diff: str = ""
    environment: str = ""
    hardware: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRun:
    """Begin a run that trains no declared model.

    Attributes
    ----------
    id : str or None
        A UUID of the caller's, so that a request that is sent again begins no second run.
    experiment : str
        By name; made if there is none.
    alive : bool
        Whether its process will give signs of life (`LogToRun`), at least one a minute; when they stay away the run
        counts as lost.
    """

    id: str | None = None
    name: str = ""
    experiment: str = DEFAULT
    parent: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    started_at: datetime | None = None
    runs_in: RunsIn | None = None
    alive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogToRun:
    """One batch of what a run did; sent again it changes nothing.

    Attributes
    ----------
    alive : bool
        Whether it comes from the run's own process, and so is a sign of life; it may say nothing else.
    """

    run: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    points: tuple[LoggedPoint, ...] = ()
    alive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UntagRun:
    run: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRun:
    """Record how a run ended.

    Attributes
    ----------
    status : str
        ``succeeded``, ``failed`` or ``killed``.
    """

    run: str
    status: RunStatus = RunStatus.SUCCEEDED
    error: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRun:
    """Call a run otherwise, or go on with one that had ended.

    Attributes
    ----------
    status : str or None
        ``running`` or ``requested``; `EndRun` takes the others.
    """

    run: str
    name: str | None = None
    status: RunStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRun:
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRun:
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRuns:
    """The newest first unless sorted.

    Attributes
    ----------
    model : str or None
        A declared model; all runs unless given.
    where, sort : str
        Such as ``metrics.auc > 0.9 and params.depth = 6`` and ``-metrics.auc``.
    show : str
        ``active``, ``deleted`` or ``all``.
    """

    model: str | None = None
    experiments: tuple[str, ...] = ()
    where: str = ""
    sort: str = ""
    limit: int = 50
    show: str = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRuns:
    """As `ListRuns`, page by page; `after` is what the page before told as ``next``."""

    experiments: tuple[str, ...] = ()
    where: str = ""
    sort: str = ""
    limit: int = 1_000
    show: str = "active"
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowRun:
    """A run by its id, or by the end of it."""

    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowHistory:
    """All values of a metric, or of all metrics."""

    run: str
    metric: str | None = None
    limit: int = names.MOST_HISTORY


@operations.operation("runs.create", request=CreateRun, permission="runs:write", changes=True)
def create_run(request: CreateRun, context: Context) -> Run:
    """Begin a run of an experiment."""
    tx, now = context.transacted, context.clock.now()
    run_id = names.check_run_id(request.id) if request.id else new_id(context.clock)
    if known := tx.get(Run, run_id):
        if known.model or known.name != request.name or known.belongs_to != request.experiment:
            raise Conflict(f"there is another run {run_id} already", run=run_id)
        return known
    hide = Redaction.of(context.config)
    run = Run(
        id=run_id,
        model="",
        status=RunStatus.RUNNING,
        trigger="user",
        as_of=now,
        started_at=request.started_at or now,
        name=hide.text(names.check_title(request.name, field="name")),
        experiment=ensure(tx, request.experiment, now=now).name,
        parent=recording.find_run(tx, request.parent).id if request.parent else None,
        by=context.principal.name,
        source=names.check_title(request.source, field="source"),
        heard_at=wall_now() if request.alive else None,
    )
    run = recording.with_tags(recording.with_params(run, hide.texts(request.params)), hide.texts(request.tags))
    if request.runs_in is not None:
        run = recording.surrounded(run, _surroundings(request.runs_in, hide), context.stores.artifacts)
    tx.add(run)
    return run


@operations.operation("runs.log", request=LogToRun, permission="runs:write")
def log_to_run(request: LogToRun, context: Context) -> None:
    """Add parameters, tags and values of metrics to a run."""
    tx, hide = context.transacted, Redaction.of(context.config)
    old = recording.loggable(tx, request.run)
    run = recording.with_tags(recording.with_params(old, hide.texts(request.params)), hide.texts(request.tags))
    if request.points:
        run = recording.with_points(tx, run, _points(request, old.id, now=context.clock.now()))
    tx.put(heard(run, now=wall_now()) if request.alive else run)


@operations.operation("runs.untag", request=UntagRun, permission="runs:write")
def untag_run(request: UntagRun, context: Context) -> None:
    """Take tags from a run."""
    run = recording.loggable(context.transacted, request.run)
    kept = {name: value for name, value in run.tags.items() if name not in request.tags}
    context.transacted.put(replace(run, tags=kept))


@operations.operation("runs.end", request=EndRun, permission="runs:write", changes=True)
def end_run(request: EndRun, context: Context) -> Run:
    """Record how a run ended."""
    if request.status not in ENDS:
        raise InvalidRequest(f"{request.status} is no end", field="status", fix=f"send one of: {', '.join(ENDS)}")
    run = _logged(context, request.run)
    finished_at = request.finished_at or context.clock.now()
    ended = replace(
        run,
        status=request.status,
        finished_at=finished_at,
        seconds=max(0.0, (finished_at - run.started_at).total_seconds()),
        error=Redaction.of(context.config).text(request.error)[: names.MOST_ERROR],
    )
    context.transacted.put(ended)
    return ended


@operations.operation("runs.update", request=UpdateRun, permission="runs:write", changes=True)
def update_run(request: UpdateRun, context: Context) -> Run:
    """Call a run otherwise, or go on with one that had ended."""
    run = (
        _logged(context, request.run)
        if request.status is not None
        else recording.loggable(context.transacted, request.run)
    )
    if request.name is not None:
        run = replace(run, name=Redaction.of(context.config).text(names.check_title(request.name, field="name")))
    if request.status is not None:
        if request.status.ended:
            raise InvalidRequest(f"{request.status} is an end", field="status", fix="end a run with runs.end")
        # Whoever goes on with it has promised no signs of life.
        run = replace(run, status=request.status, finished_at=None, seconds=0.0, error="", heard_at=None)
    context.transacted.put(run)
    return run


@operations.operation("runs.delete", request=DeleteRun, permission="runs:write", changes=True)
def delete_run(request: DeleteRun, context: Context) -> Run:
    """Put a run away; it can be restored."""
    run = recording.find_run(context.transacted, request.run)
    if run.version is not None:
        raise Conflict(
            f"run {run.id} made version {run.version} of {run.model!r}, whose record it is; it stays", run=run.id
        )
    if not run.status.ended and run.model:
        raise Conflict(f"run {run.id} is {run.status}; wait for its end", run=run.id)
    deleted = run if run.deleted_at else replace(run, deleted_at=context.clock.now())
    context.transacted.put(deleted)
    return deleted


@operations.operation("runs.restore", request=RestoreRun, permission="runs:write", changes=True)
def restore_run(request: RestoreRun, context: Context) -> Run:
    """Have a run back that was put away."""
    run = replace(recording.find_run(context.transacted, request.run), deleted_at=None)
    context.transacted.put(run)
    return run


@operations.operation("runs.list", request=ListRuns, permission="models:read")
def list_runs(request: ListRuns, context: Context) -> tuple[Run, ...]:
    """List runs, newest first unless sorted."""
    model = context.project.model(request.model).name if request.model else None
    wanted = Wanted(
        model=model,
        experiments=request.experiments,
        where=request.where,
        sort=request.sort,
        limit=request.limit,
        show=request.show,
    )
    with context.transaction() as tx:
        return page_of(tx, wanted).runs


@operations.operation("runs.search", request=SearchRuns, permission="models:read")
def search_runs(request: SearchRuns, context: Context) -> RunsPage:
    """Find runs page by page."""
    wanted = Wanted(
        experiments=request.experiments,
        where=request.where,
        sort=request.sort,
        limit=request.limit,
        show=request.show,
        after=request.after,
    )
    with context.transaction() as tx:
        return page_of(tx, wanted)


@operations.operation("runs.show", request=ShowRun, permission="models:read")
def show_run(request: ShowRun, context: Context) -> Run:
    """Show one run: what it used, and what came of it."""
    with context.transaction() as tx:
        return recording.find_run(tx, request.run)


@operations.operation("runs.history", request=ShowHistory, permission="models:read")
def show_history(request: ShowHistory, context: Context) -> tuple[LoggedPoint, ...]:
    """Show all values that a run measured of a metric, in order."""
    with context.transaction() as tx:
        run = recording.find_run(tx, request.run)
        points = tx.points(run.id, request.metric, limit=names.check_limit(request.limit))
    return tuple(LoggedPoint(name=p.name, value=plain(p.value), step=p.step, at=p.at) for p in points)


def _points(request: LogToRun, run: str, *, now: datetime) -> list[MetricPoint]:
    made = []
    for point in request.points:
        at = point.at or now
        if at.tzinfo is None:
            raise InvalidRequest(
                f"{point.name} was measured at a time without an offset", field="points", fix="send RFC 3339"
            )
        if not -(2**63) <= point.step < 2**63:
            raise InvalidRequest(f"{point.name} has the step {point.step}", field="points", fix="send one below 2^63")
        made.append(
            MetricPoint(run=run, name=point.name, step=point.step, at=at.astimezone(UTC), value=number_of(point.value))
        )
    return made


def _logged(context: Context, run: str) -> Run:
    """A run that people log; that of a declared model is ended by whoever trains it."""
    found = recording.loggable(context.transacted, run)
    if found.model:
        raise Conflict(f"run {found.id} trains {found.model!r}, and ends with its training", run=found.id)
    return found


def _surroundings(given: RunsIn, hide: Redaction) -> Surroundings:
    names.check_texts(given.hardware, field="hardware", most=names.MOST_TAG)
    for what, text in (("diff", given.diff), ("environment", given.environment)):
        if len(text.encode()) > MOST_DIFF_BYTES:
            raise InvalidRequest(f"{what} has more than {MOST_DIFF_BYTES:,} bytes", field=what, fix="leave it out")
    return Surroundings(
        git=replace(given.git, diff="") if given.git else None,
        diff=hide.data(given.diff.encode()),
        environment=given.environment,
        hardware=given.hardware,
    )
