"""What can be done with experiments."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from octavo.errors import Conflict, InvalidRequest
from octavo.operations import Context, Operations
from octavo.training.runs import Run
from octavo.training.tracking import names
from octavo.training.tracking.experiments import DEFAULT, Experiment, add, named, refuse_taken
from octavo.training.tracking.finding import SHOWN

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateExperiment:
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListExperiments:
    """Those that are ``active``, ``deleted``, or ``all``."""

    show: str = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowExperiment:
    """By its name or id."""

    experiment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateExperiment:
    """Call an experiment otherwise, or tag it; its runs go along.

    Attributes
    ----------
    tags : mapping of str to str
        Set beside those that it has.
    untag : tuple of str
        Taken from it.
    """

    experiment: str
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    untag: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteExperiment:
    """Put an experiment away with its runs."""

    experiment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreExperiment:
    """Have an experiment back, with the runs that went away with it."""

    experiment: str


@operations.operation("runs.experiments.create", request=CreateExperiment, permission="runs:write", changes=True)
def create_experiment(request: CreateExperiment, context: Context) -> Experiment:
    """Make an experiment, which runs can belong to."""
    tags = dict(names.check_texts(request.tags, field="tags", most=names.MOST_TAG))
    return add(context.transacted, request.name, tags=tags, now=context.clock.now())


@operations.operation("runs.experiments.list", request=ListExperiments, permission="models:read")
def list_experiments(request: ListExperiments, context: Context) -> tuple[Experiment, ...]:
    """List experiments, the newest first."""
    if request.show not in SHOWN:
        raise InvalidRequest(f"show is {request.show!r}", field="show", fix=f"send one of: {', '.join(SHOWN)}")
    with context.transaction() as tx:
        found = tx.find(Experiment, newest_first=True)
    wanted = {"active": (False,), "deleted": (True,), "all": (False, True)}[request.show]
    return tuple(one for one in found if (one.deleted_at is not None) in wanted)


@operations.operation("runs.experiments.show", request=ShowExperiment, permission="models:read")
def show_experiment(request: ShowExperiment, context: Context) -> Experiment:
    """Show an experiment."""
    with context.transaction() as tx:
        return named(tx, request.experiment)


@operations.operation("runs.experiments.update", request=UpdateExperiment, permission="runs:write", changes=True)
def update_experiment(request: UpdateExperiment, context: Context) -> Experiment:
    """Call an experiment otherwise, or tag it."""
    tx = context.transacted
    old = named(tx, request.experiment)
    _refuse_deleted(old)
    tags = {**old.tags, **names.check_texts(request.tags, field="tags", most=names.MOST_TAG)}
    new = replace(old, tags={name: value for name, value in tags.items() if name not in request.untag})
    if request.name is not None and request.name != old.name:
        new = replace(new, name=_renamed(context, old, request.name))
    tx.replace(old, new)
    return new


@operations.operation("runs.experiments.delete", request=DeleteExperiment, permission="runs:write", changes=True)
def delete_experiment(request: DeleteExperiment, context: Context) -> Experiment:
    """Put an experiment away with its runs; it can be restored."""
    tx, now = context.transacted, context.clock.now()
    old = named(tx, request.experiment)
    if old.name == DEFAULT or old.name in context.project.models:
        raise Conflict(f"the experiment {old.name!r} is always there: runs that name none or a model belong to it")
    if old.deleted_at is not None:
        return old
    for run in tx.find(Run, experiment=old.name, deleted_at=None):
        tx.put(replace(run, deleted_at=now))
    new = replace(old, deleted_at=now)
    tx.replace(old, new)
    return new


@operations.operation("runs.experiments.restore", request=RestoreExperiment, permission="runs:write", changes=True)
def restore_experiment(request: RestoreExperiment, context: Context) -> Experiment:
    """Have an experiment back, with its runs."""
    tx = context.transacted
    old = named(tx, request.experiment)
    if old.deleted_at is None:
        return old
    for run in tx.find(Run, experiment=old.name, deleted_at=old.deleted_at):
        tx.put(replace(run, deleted_at=None))
    new = replace(old, deleted_at=None)
    tx.replace(old, new)
    return new


def _renamed(context: Context, old: Experiment, name: str) -> str:
    if old.name == DEFAULT or old.name in context.project.models:
        raise Conflict(f"the experiment {old.name!r} keeps its name: runs that name none or a model belong to it")
    names.check_title(name, field="name")
    refuse_taken(context.transacted, name)
    for run in context.transacted.find(Run, experiment=old.name):
        context.transacted.put(replace(run, experiment=name))
    return name


def _refuse_deleted(experiment: Experiment) -> None:
    if experiment.deleted_at is not None:
        raise Conflict(f"the experiment {experiment.name!r} is deleted; restore it first", experiment=experiment.name)
