"""What people and programs can have the loop do: put definitions into force, train."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from octavo.definitions.models import Model
from octavo.definitions.warnings import model_warnings
from octavo.errors import InvalidRequest
from octavo.loop.audits import operations as audit_operations
from octavo.loop.carrier import bring_events_into_tables
from octavo.loop.definitions import operations as definition_operations
from octavo.loop.refreshes import operations as refresh_operations
from octavo.loop.training_logs import overheard
from octavo.loop.trainings import held, new_run, request_releases, request_training, train_version
from octavo.operations import Context, Operations
from octavo.registry.provenance import provenance_in
from octavo.registry.versions import ModelVersion
from octavo.training.origins import ImportedModel
from octavo.training.parameters import parameters_for, written
from octavo.training.reports import decode_report
from octavo.training.runs import Run

operations = Operations()
operations.include(definition_operations)
operations.include(refresh_operations)
operations.include(audit_operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainModel:
    """Train a model here and now.

    Attributes
    ----------
    release : bool
        Whether to ask for the version's release to every deployment of the model, if it passes its gates.
    params : mapping of str to str
        Hyperparameters that are not as their defaults are.
    as_of : datetime or None
        Only what was known before is used; now unless given.
    once : str
        What it is done for, such as a task of a scheduler: what an earlier training for the same has made is answered
        instead of training again. Empty for nothing of the kind.
    """

    model: str
    release: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    as_of: datetime | None = None
    once: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTraining:
    """Have the worker train a model and, if it passes its gates, release it to every deployment of the model.

    Attributes
    ----------
    trigger : str
        What started it, for the record.
    """

    model: str
    trigger: str = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedVersion:
    """What a training made.

    Attributes
    ----------
    release : str or None
        Id of the release that was asked for, the first of several; None if there is none.
    warnings : tuple of str
        What the model takes that is deprecated, and what is expected of values that its training rows do not meet.
    """

    version: ModelVersion
    run: Run
    release: str | None
    warnings: tuple[str, ...] = ()


@operations.operation("models.train", request=TrainModel, permission="models:write", changes=True, long=True)
def train(request: TrainModel, context: Context) -> TrainedVersion:
    """Train a model on what is known now, and register what comes of it."""
    if request.as_of is not None and request.as_of > context.clock.now():
        raise InvalidRequest(
            "what will be known later is not known yet", field="as_of", fix="give a moment that has passed"
        )
    return train_here(
        context,
        context.project.model(request.model),
        trigger=request.once or "user",
        release=request.release,
        params=request.params,
        as_of=request.as_of,
        once=bool(request.once),
    )


def train_here(
    context: Context,
    model: Model,
    *,
    trigger: str,
    release: bool,
    made: ImportedModel | None = None,
    params: Mapping[str, str] | None = None,
    as_of: datetime | None = None,
    once: bool = False,
    parent: str | None = None,
) -> TrainedVersion:
    """Train a model, or take over what was made elsewhere, and register it.

    Parameters
    ----------
    trigger : str
        What started it, for the record.
    release, params, as_of
        As in `TrainModel`.
    once : bool
        Whether what an earlier training by the same trigger has made is taken.
    parent : str or None
        The run that it follows.
    """
    given = written(parameters_for(model, params or {}))
    bring_events_into_tables(context)
    run = _done_before(context, model, trigger=trigger) if once else None
    if run is None:
        new = new_run(context, model.name, trigger=trigger)
        run = replace(new, params=given, as_of=as_of or new.as_of, parent=parent)
    with held(context.config.home, run.id), overheard(context, run.id):
        version = train_version(context, run, imported=made)
    releases = request_releases(context, version, cause=trigger) if release else ()
    with context.transaction() as tx:
        done = tx.get(Run, run.id)
    assert done is not None
    return TrainedVersion(
        version=version,
        run=done,
        release=releases[0].id if releases else None,
        warnings=_warnings(context, model, version),
    )


def _done_before(context: Context, model: Model, *, trigger: str) -> Run | None:
    """The last run by a trigger that has made a version."""
    with context.transaction() as tx:
        found = [run for run in tx.find(Run, model=model.name, trigger=trigger) if run.version is not None]
    return found[-1] if found else None


def _warnings(context: Context, model: Model, version: ModelVersion) -> tuple[str, ...]:
    artifacts = context.stores.artifacts
    report = decode_report(artifacts.get(version.report))
    seen = provenance_in(artifacts, version.digest).seen
    return (
        *model_warnings(model),
        *(f"not as expected: {breach}" for breach in report.breaches),
        *([f"it may have learned from {seen:,} of the {report.holdout.rows:,} held-out rows"] if seen else []),
    )


@operations.operation("runs.request", request=RequestTraining, permission="models:write", changes=True)
def request_run(request: RequestTraining, context: Context) -> Run:
    """Ask the worker to train a model and to release what passes its gates."""
    return request_training(context, context.project.model(request.model).name, trigger=request.trigger)
