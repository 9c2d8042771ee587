"""What happens to releases and deployments in the metadata: asked for, moved on, rolled back.

The records are the truth and change together in one transaction; manifests follow from them (`octavo.release.publish`).
"""

from dataclasses import replace
from datetime import datetime

from octavo.definitions.deployments import Deployment
from octavo.errors import Conflict, GateFailed, NotFound
from octavo.identifiers import new_id
from octavo.operations import Context
from octavo.registry.readiness import check_said
from octavo.registry.versions import ModelVersion
from octavo.release.approvals import ApprovalPolicy, author_of, counted, lacking, policy_of, words
from octavo.release.experiments import ExperimentState, StartedExperiment, ended
from octavo.release.releases import DeploymentState, HeldVersion, Release, ReleaseState, TrafficRules, is_frozen
from octavo.release.rollout import Evidence, moved, served, step
from octavo.stores.ports import Transaction


def deployment_state(tx: Transaction, deployment: str) -> DeploymentState:
    """What a deployment serves.

    Raises
    ------
    NotFound
        If no such deployment has been applied.
    """
    state = tx.get(DeploymentState, deployment)
    if state is None:
        raise NotFound("deployment", deployment, [d.deployment for d in tx.find(DeploymentState)])
    return state


def rules_of(declared: Deployment) -> TrafficRules:
    """What a deployment declares of its traffic."""
    return TrafficRules(
        unit=declared.unit,
        on_unread=declared.on_unread,
        holdout=declared.holdout,
        explore=declared.explore,
        on_stop=declared.on_stop,
    )


def declare(context: Context, declared: Deployment) -> DeploymentState:
    """Put into force what a deployment declares of its traffic; predictors learn of what has changed.

    A holdout begins here, with the version that is live, or else with the first one that will be. To begin it anew,
    apply the project once without it.

    Raises
    ------
    ConfigurationError
        If the settings say of approvals what cannot be read.
    """
    policy_of(context.config, declared)
    tx, rules = context.transacted, rules_of(declared)
    before = tx.get(DeploymentState, declared.name)
    if before is None:
        state = DeploymentState(deployment=declared.name, model=declared.model.name, rules=rules)
        tx.add(state)
        return state
    if before.rules == rules:
        return before
    held = before.held if rules.holdout else None
    if rules.holdout and held is None and before.live is not None:
        held = HeldVersion(model=before.model, version=before.live, since=context.clock.now())
    after = replace(before, rules=rules, held=held, sequence=before.sequence + (before.live is not None))
    tx.replace(before, after)
    return after


def running_experiment(tx: Transaction, state: DeploymentState) -> StartedExperiment | None:
    """The experiment that runs in a deployment, if one does."""
    return tx.get(StartedExperiment, state.experiment) if state.experiment else None


def request(context: Context, deployment: str, *, version: int, cause: str, author: str | None = None) -> Release:
    """Ask for a version to be released; the worker does the rest.

    Parameters
    ----------
    author : str or None
        Who cannot approve it; whoever calls unless given.

    Raises
    ------
    NotFound
        If there is no such deployment or version.
    GateFailed
        If the version did not pass a gate, or its model has no owner, purpose or risk tier.
    Conflict
        If it is live already, another release of the deployment is in progress, or an experiment takes all units.
    """
    declared = context.project.deployment(deployment)
    check_said(declared.model)
    with context.transaction() as tx:
        stored = tx.get(DeploymentState, deployment)
        state = stored or DeploymentState(deployment=deployment, model=declared.model.name, rules=rules_of(declared))
        _check_request(tx, state, model=declared.model.name, version=version, at=context.clock.now())
        release = Release(
            id=new_id(context.clock),
            deployment=deployment,
            model=declared.model.name,
            version=version,
            state=ReleaseState.REQUESTED,
            cause=cause,
            requested_at=context.clock.now(),
            author=author_of(context.principal) if author is None else author,
        )
        tx.add(release)
        claimed = replace(state, release=release.id)
        if stored is None:
            tx.add(claimed)
        else:
            tx.replace(stored, claimed)
    return release


def _check_request(tx: Transaction, state: DeploymentState, *, model: str, version: int, at: datetime) -> None:
    found = tx.get(ModelVersion, f"{model}/{version}")
    if found is None:
        known = [str(v.version) for v in tx.find(ModelVersion, model=model)]
        raise NotFound(f"version of model {model!r}", str(version), known)
    if failed := found.held_by(at):
        raise GateFailed(
            f"{model} {version} did not pass {failed[0].gate} ({failed[0].evidence}); train a better one",
            gate=failed[0].gate,
        )
    if (state.model, state.live) == (model, version):
        raise Conflict(f"{model} {version} is live in {state.deployment!r} already")
    if state.release is not None:
        current = tx.get(Release, state.release)
        what = f"{current.version}, now {current.state.replace('_', ' ')}," if current else "another version"
        raise Conflict(
            f"the release of version {what} is in progress in {state.deployment!r}; wait for its end or roll it back",
            release=state.release,
        )
    experiment = running_experiment(tx, state)
    if experiment is not None and (experiment.takes_all or experiment.uses(model, version)):
        why = (
            "compares this version" if experiment.uses(model, version) else "leaves no unit that a canary could answer"
        )
        raise Conflict(
            f"the experiment {experiment.name!r}, which runs in {state.deployment!r}, {why}; stop or promote it first",
            experiment=experiment.id,
        )


def advance(context: Context, release_id: str, *, evidence: Evidence) -> Release:
    """Take the release's next step if one is due, and with it the deployment's."""
    now = context.clock.now()
    with context.transaction() as tx:
        before = release_of(tx, release_id)
        rollout = context.project.deployment(before.deployment).rollout
        after = step(before, rollout, now=now, evidence=_completed(context, tx, before, evidence, now=now))
        if after is not before:
            record(tx, before, after, now=now)
            _audit(context, tx, after)
    return after


def note_served(context: Context, release: Release) -> Release:
    """Note that predictors have taken up a release's state, unless it has left that state meanwhile."""
    with context.transaction() as tx:
        before = release_of(tx, release.id)
        if (before.state, before.percent) != (release.state, release.percent):
            return before
        after = served(before, at=context.clock.now())
        if after is not before:
            tx.replace(before, after)
    return after


def refuse(context: Context, release_id: str, *, reason: str) -> Release:
    """End a release that predictors cannot take up: rejected if it had no traffic yet, rolled back if it had.

    One that is live, but was never served, gives way to the version that it replaced, if there was one. A release that
    has ended or is served stays as it is.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        before = release_of(tx, release_id)
        if before.state.in_progress:
            record(tx, before, _ended(before, at=now, reason=reason), now=now)
        elif before.state is ReleaseState.LIVE and before.served_at is None:
            _withdraw(context, tx, before, reason=reason, now=now)
        after = release_of(tx, release_id)
        if after.state is not before.state:
            _audit(context, tx, after)
    return after


def roll_back(context: Context, deployment: str, *, reason: str) -> DeploymentState:
    """End the release in progress; without one, return to the version that the live one replaced.

    Raises
    ------
    Conflict
        If nothing is in progress and there is no earlier version to return to.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        state = deployment_state(tx, deployment)
        if state.release is None:
            return _return_to_previous(context, tx, state, reason=reason, now=now)
        before = release_of(tx, state.release)
        return record(tx, before, _ended(before, at=now, reason=reason), now=now)


def _ended(release: Release, *, at: datetime, reason: str) -> Release:
    state = ReleaseState.ROLLED_BACK if release.state.has_traffic else ReleaseState.REJECTED
    return moved(release, state, at=at, reason=reason)


def _withdraw(context: Context, tx: Transaction, live: Release, *, reason: str, now: datetime) -> None:
    state = deployment_state(tx, live.deployment)
    if state.live != live.version:
        return
    if state.previous is not None:
        _return_to_previous(context, tx, state, reason=reason, now=now)
        return
    tx.replace(live, _ended(live, at=now, reason=reason))
    withdrawn = replace(state, live=None, held=None, sequence=state.sequence + 1)
    tx.replace(state, _without_withdrawn(tx, withdrawn, model=live.model, version=live.version, reason=reason, now=now))


def _return_to_previous(
    context: Context, tx: Transaction, state: DeploymentState, *, reason: str, now: datetime
) -> DeploymentState:
    if state.previous is None or state.live is None:
        raise Conflict(
            f"deployment {state.deployment!r} has no earlier version to return to; release another version instead"
        )
    for live in tx.find(Release, deployment=state.deployment, state=ReleaseState.LIVE):
        tx.replace(live, moved(live, ReleaseState.ROLLED_BACK, at=now, reason=reason))
    back = Release(
        id=new_id(context.clock),
        deployment=state.deployment,
        model=state.model,
        version=state.previous,
        state=ReleaseState.REQUESTED,
        cause=f"rollback of version {state.live}: {reason}",
        requested_at=now,
    )
    tx.add(moved(back, ReleaseState.LIVE, at=now, reason=back.cause, percent=100))
    returned = replace(state, live=state.previous, previous=None, sequence=state.sequence + 1)
    returned = _without_withdrawn(tx, returned, model=state.model, version=state.live, reason=reason, now=now)
    tx.replace(state, returned)
    return returned


def _without_withdrawn(
    tx: Transaction, state: DeploymentState, *, model: str, version: int, reason: str, now: datetime
) -> DeploymentState:
    """The state once a version that was taken back answers nowhere: an experiment with it ends, a holdout too."""
    held, experiment = state.held, running_experiment(tx, state)
    if held is not None and (held.model, held.version) == (model, version):
        live = state.live
        held = None if live is None else HeldVersion(model=state.model, version=live, since=now)
    if experiment is None or not experiment.uses(model, version):
        return replace(state, held=held)
    why = f"version {version}, which it compares, was taken back: {reason}"
    tx.replace(experiment, ended(experiment, ExperimentState.STOPPED, at=now, reason=why))
    return replace(state, held=held, experiment=None)


def release_of(tx: Transaction, release_id: str) -> Release:
    """A release.

    Raises
    ------
    NotFound
    """
    release = tx.get(Release, release_id)
    if release is None:
        raise NotFound("release", release_id, fix="see those that wait: octavo deployments approvals")
    return release


def digest_of(tx: Transaction, release: Release) -> str:
    """The bundle that a release is about; empty if its version is gone."""
    version = tx.get(ModelVersion, f"{release.model}/{release.version}")
    return "" if version is None else version.digest


def _completed(context: Context, tx: Transaction, release: Release, evidence: Evidence, *, now: datetime) -> Evidence:
    """The evidence with what the records of this transaction say: approvals, holds, stops."""
    policy = policy_of(context.config, context.project.deployment(release.deployment))
    state, digest = deployment_state(tx, release.deployment), digest_of(tx, release)
    if policy.needs and tx.get(ApprovalPolicy, policy.digest) is None:
        tx.add(policy)
    return replace(
        evidence,
        lacking=lacking(policy, release, digest=digest, now=now),
        approvals=words(counted(release, digest=digest, now=now)) if policy.needs else "",
        policy=policy.digest,
        waits_until=None if policy.expires is None else now + policy.expires,
        is_frozen=is_frozen(release, state),
        is_stopped=state.stopped is not None,
    )


def _audit(context: Context, tx: Transaction, release: Release) -> None:
    """Record a step that no operation took."""
    share = f" percent={release.percent}" if release.state is ReleaseState.CANARY else ""
    target = f"deployment={release.deployment} version={release.version} state={release.state}{share}"
    context.audit(tx, "releases.advance", target=target)


def record(tx: Transaction, before: Release, after: Release, *, now: datetime) -> DeploymentState:
    """Write a release's transition and what follows from it for the deployment, at most one version staying live."""
    state = deployment_state(tx, after.deployment)
    settled = state
    if after.state.has_traffic or before.state.has_traffic:
        settled = replace(settled, sequence=state.sequence + 1)
    if after.state is ReleaseState.LIVE:
        for replaced in tx.find(Release, deployment=after.deployment, state=ReleaseState.LIVE):
            reason = f"replaced by version {after.version}"
            tx.replace(replaced, moved(replaced, ReleaseState.RETIRED, at=now, reason=reason))
        previous = state.live if state.model == after.model else None
        settled = replace(settled, model=after.model, live=after.version, previous=previous, release=None)
        if settled.held is None and settled.rules is not None and settled.rules.holdout is not None:
            settled = replace(settled, held=HeldVersion(model=after.model, version=after.version, since=now))
    elif after.state.is_final:
        settled = replace(settled, release=None)
    tx.replace(before, after)
    if settled is not state:
        tx.replace(state, settled)
    return settled
