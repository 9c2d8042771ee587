"""What happens to releases and deployments in the metadata: asked for, moved on, approved, rolled back.

The records are the truth and change together in one transaction; manifests follow from them (`octavo.release.publish`).
"""

from dataclasses import replace
from datetime import datetime

from octavo.errors import Conflict, GateFailed, NotFound
from octavo.identifiers import new_id
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.releases import DeploymentState, Release, ReleaseState
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


def request(context: Context, deployment: str, *, version: int, cause: str) -> Release:
    """Ask for a version to be released; the worker does the rest.

    Raises
    ------
    NotFound
        If there is no such deployment or version.
    GateFailed
        If the version did not pass a gate.
    Conflict
        If it is live already, or another release of the deployment is in progress.
    """
    declared = context.project.deployment(deployment)
    with context.transaction() as tx:
        stored = tx.get(DeploymentState, deployment)
        state = stored or DeploymentState(deployment=deployment, model=declared.model.name)
        _check_request(tx, state, model=declared.model.name, version=version)
        release = Release(
            id=new_id(context.clock),
            deployment=deployment,
            model=declared.model.name,
            version=version,
            state=ReleaseState.REQUESTED,
            cause=cause,
            requested_at=context.clock.now(),
        )
        tx.add(release)
        claimed = replace(state, release=release.id)
        if stored is None:
            tx.add(claimed)
        else:
            tx.replace(stored, claimed)
    return release


def _check_request(tx: Transaction, state: DeploymentState, *, model: str, version: int) -> None:
    found = tx.get(ModelVersion, f"{model}/{version}")
    if found is None:
        known = [str(v.version) for v in tx.find(ModelVersion, model=model)]
        raise NotFound(f"version of model {model!r}", str(version), known)
    failed = [result for result in found.gates if not result.passed]
    if failed:
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


def advance(context: Context, release_id: str, *, evidence: Evidence) -> Release:
    """Take the release's next step if one is due, and with it the deployment's."""
    now = context.clock.now()
    with context.transaction() as tx:
        before = _release(tx, release_id)
        rollout = context.project.deployment(before.deployment).rollout
        after = step(before, rollout, now=now, evidence=evidence)
        if after is not before:
            _record(tx, before, after, now=now)
            _audit(context, tx, after)
    return after


def approve(context: Context, release_id: str) -> Release:
    """Approve a release that waits for a person.

    Raises
    ------
    Conflict
        If it does not wait for approval.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        before = _release(tx, release_id)
        if before.state is not ReleaseState.WAITING_FOR_APPROVAL:
            raise Conflict(f"release {release_id} is {before.state.replace('_', ' ')}; it does not wait for approval")
        after = moved(before, ReleaseState.APPROVED, at=now, reason=f"approved by {context.principal.name}")
        tx.replace(before, after)
    return after


def note_served(context: Context, release: Release) -> Release:
    """Note that predictors have taken up a release's state, unless it has left that state meanwhile."""
    with context.transaction() as tx:
        before = _release(tx, release.id)
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
        before = _release(tx, release_id)
        if before.state.in_progress:
            _record(tx, before, _ended(before, at=now, reason=reason), now=now)
        elif before.state is ReleaseState.LIVE and before.served_at is None:
            _withdraw(context, tx, before, reason=reason, now=now)
        after = _release(tx, release_id)
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
        before = _release(tx, state.release)
        return _record(tx, before, _ended(before, at=now, reason=reason), now=now)


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
    tx.replace(state, replace(state, live=None, sequence=state.sequence + 1))


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
    tx.replace(state, returned)
    return returned


def _release(tx: Transaction, release_id: str) -> Release:
    release = tx.get(Release, release_id)
    if release is None:
        raise NotFound("release", release_id)
    return release


def _audit(context: Context, tx: Transaction, release: Release) -> None:
    """Record a step that no operation took."""
    share = f" percent={release.percent}" if release.state is ReleaseState.CANARY else ""
    target = f"deployment={release.deployment} version={release.version} state={release.state}{share}"
    context.audit(tx, "releases.advance", target=target)


def _record(tx: Transaction, before: Release, after: Release, *, now: datetime) -> DeploymentState:
    """Write a transition and what follows from it for the deployment, at most one version staying live."""
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
    elif after.state.is_final:
        settled = replace(settled, release=None)
    tx.replace(before, after)
    if settled is not state:
        tx.replace(state, settled)
    return settled
