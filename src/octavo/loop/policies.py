"""Retraining policies: what each trigger of each model has brought about, and whether it has failed too often.

A policy fails when the training fails, when its version does not pass a gate, or when its release is rejected or rolled
back. That a version is no better than the live one is no failure: a daily training is not expected to win every day.
One that keeps failing is suspended, which is told by an incident, until a person resumes it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from octavo.definitions.models import Model
from octavo.definitions.triggers import Trigger
from octavo.errors import Conflict, NotFound
from octavo.identifiers import new_id
from octavo.loop.trainings import deployments_of
from octavo.monitoring.incidents import Incident, IncidentKind, TimelineEntry, add_to_timeline, open_incidents, resolve
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.stores.ports import Notice, Transaction
from octavo.training.runs import Run, RunStatus

_NO_BETTER = ("better_than_champion(", "no_worse_on(")
"""How the gates are called that compare with the live version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainPolicy:
    """One trigger of one model, and how it has done.

    Attributes
    ----------
    trigger : str
        Its name, such as ``cron(0 3 * * * UTC)``.
    runs : tuple of str
        The trainings that it started of which it is not known yet what came.
    failures : int
        How many have failed since the last that did not.
    reason : str
        Why the last one failed, or why it was suspended.
    suspended_at : datetime or None
    suspended_by : str
        A person; empty if it was suspended because it kept failing.
    """

    kind: ClassVar[str] = "retrain_policy"

    model: str
    trigger: str
    runs: tuple[str, ...] = ()
    failures: int = 0
    reason: str = ""
    suspended_at: datetime | None = None
    suspended_by: str = ""

    @property
    def key(self) -> str:
        return f"{self.model}/{self.trigger}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of a training; pending as long as neither is known."""

    is_good: bool = False
    is_over: bool = False
    failure: str = ""


_PENDING, _NEUTRAL, _GOOD = _Outcome(), _Outcome(is_over=True), _Outcome(is_over=True, is_good=True)


def policy_of(tx: Transaction, model: str, trigger: str) -> RetrainPolicy:
    """A policy as it stands."""
    return tx.get(RetrainPolicy, f"{model}/{trigger}") or RetrainPolicy(model=model, trigger=trigger)


def is_suspended(tx: Transaction, model: str, trigger: Trigger) -> bool:
    """Whether a trigger starts nothing."""
    return policy_of(tx, model, trigger.name).suspended_at is not None


def note_started(tx: Transaction, model: str, trigger: Trigger, *, run: str) -> None:
    """Note that a trigger has started a training."""
    policy = policy_of(tx, model, trigger.name)
    if run not in policy.runs:
        tx.put(replace(policy, runs=(*policy.runs, run)))


def settle(context: Context, model: Model, *, at: datetime) -> None:
    """See what came of the trainings that triggers started, and suspend those triggers that keep failing."""
    notices = []
    with context.transaction() as tx:
        for trigger in model.retrain:
            before = policy_of(tx, model.name, trigger.name)
            after = _settled(tx, before, at=at)
            if after.failures >= trigger.give_up_after and after.suspended_at is None:
                after = replace(after, suspended_at=at, suspended_by="")
                notices.append(_suspended(context, tx, after, at=at))
            if after != before:
                tx.put(after)
    for notice in notices:
        context.stores.notifier.send(notice)


def resume(context: Context, model: Model, trigger: str, *, reason: str) -> RetrainPolicy:
    """Have a suspended trigger start trainings again, as if it had never failed.

    Raises
    ------
    NotFound
        If the model has no such trigger.
    Conflict
        If it is not suspended.
    """
    declared, now = _trigger(model, trigger), context.clock.now()
    with context.transaction() as tx:
        before = policy_of(tx, model.name, declared.name)
        if before.suspended_at is None:
            raise Conflict(f"{declared.name} of model {model.name!r} is not suspended")
        after = RetrainPolicy(model=model.name, trigger=declared.name)
        tx.replace(before, after)
        left = [one for one in model.retrain if one.name != declared.name and is_suspended(tx, model.name, one)]
        text = f"{declared.name} resumed by {context.principal.subject}" + (f": {reason}" if reason else "")
        for incident in _incidents(context, tx, model.name):
            if left:
                add_to_timeline(tx, incident.id, at=now, text=text)
            else:
                resolve(tx, incident.id, at=now, text=text)
    return after


def suspend(context: Context, model: Model, trigger: str, *, reason: str) -> RetrainPolicy:
    """Have a trigger start nothing, until it is resumed.

    Raises
    ------
    NotFound
        If the model has no such trigger.
    Conflict
        If it is suspended already.
    """
    declared = _trigger(model, trigger)
    with context.transaction() as tx:
        before = policy_of(tx, model.name, declared.name)
        if before.suspended_at is not None:
            raise Conflict(f"{declared.name} of model {model.name!r} is suspended already: {before.reason}")
        after = replace(before, suspended_at=context.clock.now(), suspended_by=context.principal.subject, reason=reason)
        tx.put(after)
    return after


def _trigger(model: Model, name: str) -> Trigger:
    """A trigger by its name, or by its kind if the model has one of that kind."""
    named = [one for one in model.retrain if one.name == name]
    of_kind = [one for one in model.retrain if one.kind == name]
    if named or len(of_kind) == 1:
        return (named or of_kind)[0]
    raise NotFound(f"trigger of model {model.name!r}", name, [one.name for one in model.retrain])


def _settled(tx: Transaction, policy: RetrainPolicy, *, at: datetime) -> RetrainPolicy:
    """The policy once those of its trainings are counted of which it is known what came, in their order."""
    left, failures, reason = [], policy.failures, policy.reason
    for run in policy.runs:
        outcome = _outcome(tx, run, at=at)
        if not outcome.is_over:
            left.append(run)
        elif outcome.failure:
            failures, reason = failures + 1, outcome.failure
        elif outcome.is_good:
            failures, reason = 0, ""
    return replace(policy, runs=tuple(left), failures=failures, reason=reason)


def _outcome(tx: Transaction, run_id: str, *, at: datetime) -> _Outcome:
    run = tx.get(Run, run_id)
    if run is None:
        return _NEUTRAL
    if run.status in (RunStatus.FAILED, RunStatus.KILLED):
        why = run.error.splitlines()[0] if run.error else "nobody knows why"
        return _Outcome(is_over=True, failure=f"the training failed: {why}")
    version = tx.get(ModelVersion, f"{run.model}/{run.version}") if run.version else None
    if version is None:
        return _PENDING
    if failed := version.held_by(at):
        bad = [result for result in failed if not result.gate.startswith(_NO_BETTER)]
        why = f"version {version.version} did not pass {bad[0].gate}" if bad else ""
        return _Outcome(is_over=True, failure=why)
    return _outcome_of_releases(tx, version, asked_by=run, at=at)


def _outcome_of_releases(tx: Transaction, version: ModelVersion, *, asked_by: Run, at: datetime) -> _Outcome:
    releases = tx.find(Release, model=version.model, version=version.version)
    if not releases:
        # They are asked for a moment after the version is there.
        is_over = asked_by.finished_at is not None and at > asked_by.finished_at
        return _NEUTRAL if is_over else _PENDING
    if any(release.state.in_progress for release in releases):
        return _PENDING
    taken_back = [one for one in releases if one.state in (ReleaseState.REJECTED, ReleaseState.ROLLED_BACK)]
    if len(taken_back) < len(releases):
        return _GOOD
    said = taken_back[-1].state.replace("_", " ")
    return _Outcome(is_over=True, failure=f"version {version.version} was {said}: {taken_back[-1].history[-1].reason}")


def _suspended(context: Context, tx: Transaction, policy: RetrainPolicy, *, at: datetime) -> Notice:
    """Open an incident that says so, or add to the one that is open."""
    text = (
        f"{policy.trigger} failed {policy.failures} times in a row and starts no more trainings of "
        f"{policy.model}; the last time {policy.reason}"
    )
    fix = f"octavo retraining resume {policy.model} --trigger '{policy.trigger}'"
    known = _incidents(context, tx, policy.model)
    for incident in known:
        add_to_timeline(tx, incident.id, at=at, text=text)
    for deployment in deployments_of(context, policy.model)[:1] if not known else ():
        state = tx.get(DeploymentState, deployment)
        incident = Incident(
            id=new_id(context.clock),
            deployment=deployment,
            model=policy.model,
            version=(state.live if state else None) or 0,
            incident_kind=IncidentKind.RETRAINING,
            subject=policy.trigger,
            value=float(policy.failures),
            threshold=float(policy.failures),
            opened_at=at,
            cause=f"{policy.reason}; once that is mended: {fix}",
            timeline=(TimelineEntry(at=at, text=f"opened: {text}"),),
        )
        tx.add(incident)
    context.audit(tx, "retraining.suspend", target=f"model={policy.model} trigger={policy.trigger}")
    return Notice(subject=f"retraining of {policy.model} is suspended", text=f"{text}. Resume it: {fix}", at=at)


def _incidents(context: Context, tx: Transaction, model: str) -> list[Incident]:
    return [
        incident
        for deployment in deployments_of(context, model)
        for incident in open_incidents(tx, deployment)
        if incident.incident_kind is IncidentKind.RETRAINING
    ]
