"""What people and programs can do with retraining policies: see them, suspend and resume them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from octavo.loop import policies
from octavo.loop.policies import RetrainPolicy, policy_of
from octavo.operations import Context, Operations
from octavo.release.interventions import checked
from octavo.stores.ports import Transaction
from octavo.training.runs import Run

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRetraining:
    """The policies of one model, or of all."""

    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendRetraining:
    """Have a trigger of a model start nothing."""

    model: str
    trigger: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRetraining:
    """Have a suspended trigger of a model start trainings again; all of them unless one is named."""

    model: str
    trigger: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """A policy, and the training that it started last.

    Attributes
    ----------
    give_up_after : int
        After how many failures in a row it is suspended.
    last_run : str or None
    last_at : datetime or None
    """

    policy: RetrainPolicy
    give_up_after: int
    last_run: str | None
    last_at: datetime | None


@operations.operation("retraining.list", request=ListRetraining, permission="models:read")
def list_retraining(request: ListRetraining, context: Context) -> tuple[PolicyView, ...]:
    """List what starts retrainings, and how each has done."""
    names = list(context.project.models) if request.model is None else [context.project.model(request.model).name]
    return tuple(view for name in names for view in _views(context, context.transacted, name))


@operations.operation("retraining.suspend", request=SuspendRetraining, permission="models:write", changes=True)
def suspend(request: SuspendRetraining, context: Context) -> RetrainPolicy:
    """Suspend a trigger: it starts no training until it is resumed."""
    model = context.project.model(request.model)
    reason = checked(request.reason, "reason", is_needed=True)
    return policies.suspend(context, model, request.trigger, reason=reason)


@operations.operation("retraining.resume", request=ResumeRetraining, permission="models:write", changes=True)
def resume(request: ResumeRetraining, context: Context) -> tuple[RetrainPolicy, ...]:
    """Resume a suspended trigger, or all of a model."""
    model, reason = context.project.model(request.model), checked(request.reason, "reason")
    if request.trigger is not None:
        return (policies.resume(context, model, request.trigger, reason=reason),)
    suspended = [one for one in model.retrain if policies.is_suspended(context.transacted, model.name, one)]
    return tuple(policies.resume(context, model, one.name, reason=reason) for one in suspended)


def _views(context: Context, tx: Transaction, name: str) -> Iterator[PolicyView]:
    model = context.project.model(name)
    runs = tx.find(Run, newest_first=True, model=name) if model.retrain else []
    for trigger in model.retrain:
        last = next((run for run in runs if run.trigger.startswith(trigger.name)), None)
        yield PolicyView(
            policy=policy_of(tx, name, trigger.name),
            give_up_after=trigger.give_up_after,
            last_run=last.id if last else None,
            last_at=last.started_at if last else None,
        )
