"""Single steps of trainings, for schedulers that run each as a task of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from octavo.errors import InvalidRequest
from octavo.identifiers import new_id
from octavo.loop.carrier import bring_events_into_tables
from octavo.operations import Context, Operations
from octavo.training.fit import code_digest, run_step
from octavo.training.parameters import parameters_for, written
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.lines import giving_signs

operations = Operations()

PREPARES = "octavo.prepares"
"""The tag of a run that runs a step for trainings of a model to take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """Run one step of a training here and now, and those that it needs; a training takes its result.

    Attributes
    ----------
    step : int
        From 0, in the order in which the training function calls them.
    params, as_of, once
        As in `TrainModel`; the same as those of the training.
    """

    model: str
    step: int
    params: Mapping[str, str] = field(default_factory=dict)
    as_of: datetime | None = None
    once: str = ""


@operations.operation("models.step", request=RunStep, permission="models:write", changes=True, long=True)
def run_step_here(request: RunStep, context: Context) -> Run:
    """Run one step of a model's training."""
    model, now = context.project.model(request.model), context.clock.now()
    if request.as_of is not None and request.as_of > now:
        raise InvalidRequest("what will be known later is not known yet", field="as_of")
    params = written(parameters_for(model, request.params))
    bring_events_into_tables(context)
    run = Run(
        id=new_id(context.clock),
        model="",
        name=f"step {request.step} of {model.name}",
        experiment=model.name,
        status=RunStatus.RUNNING,
        trigger=request.once or "user",
        as_of=request.as_of or now,
        started_at=now,
        code=code_digest(context.project.code),
        params=params,
        tags={PREPARES: model.name},
        by=context.principal.name,
    )
    _record(context, run)
    try:
        with giving_signs(context, run):
            data = run_step(context, model, run=run, number=request.step)
    except BaseException as error:  # also an interruption: a run never stays open
        failed = RunStatus.FAILED if isinstance(error, Exception) else RunStatus.KILLED
        _record(context, replace(run, status=failed, finished_at=context.clock.now(), error=str(error)))
        raise
    ended = context.clock.now()
    done = replace(run, status=RunStatus.SUCCEEDED, finished_at=ended, dataset=data.digest)
    done = replace(done, seconds=(ended - now).total_seconds(), rows=len(data.train) + len(data.holdout))
    _record(context, done)
    return done


def _record(context: Context, run: Run) -> None:
    with context.transaction() as tx:
        tx.put(run)
