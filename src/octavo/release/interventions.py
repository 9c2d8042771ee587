"""What people do to a release in progress, and to a deployment as a whole, besides asking for a release or a rollback.

Approve and reject; hold, resume and advance; stop and start. A stop outlasts everything but a start: releases of before
it stay where they are, and what predictors follow says that no model is asked.
"""

from dataclasses import replace

from octavo.errors import Conflict, InvalidRequest
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.approvals import ApprovalPolicy, counted, is_given, lacking, policy_of, word_of, words
from octavo.release.lifecycle import deployment_state, digest_of, record, release_of
from octavo.release.releases import DeploymentState, Release, ReleaseState, Stop, is_frozen
from octavo.release.rollout import later, moved, noted, onward
from octavo.stores.ports import Transaction

LONGEST_REASON = 1_000


def approve(context: Context, release_id: str, *, note: str = "") -> Release:
    """Add a person's approval to a release that waits for some; it goes on once it has all that it needs.

    Raises
    ------
    Conflict
        If it does not wait for approval, has waited too long, or has this person's approval already.
    NotAllowed
        If the caller is no person, asked for the release or its training, or is none of those that are asked.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        before = release_of(tx, release_id)
        _check_waits(context, tx, before)
        policy = policy_of(context.config, context.project.deployment(before.deployment))
        if tx.get(ApprovalPolicy, policy.digest) is None:
            tx.add(policy)
        version, digest = tx.get(ModelVersion, f"{before.model}/{before.version}"), digest_of(tx, before)
        authors = {before.author, version.author if version else ""} - {""}
        word = word_of(context, policy, before, authors=authors, digest=digest, note=checked(note, "note"))
        valid = counted(before, digest=digest, now=now)
        if is_given(valid, word):
            still = lacking(policy, before, digest=digest, now=now)
            raise Conflict(f"{word.by} has approved release {release_id} already; it still needs {still}")
        others = tuple(one for one in before.approvals if not is_given([one], word))
        after = replace(before, approvals=(*others, word), policy=policy.digest)
        if still := lacking(policy, after, digest=digest, now=now):
            reason = f"{note or 'no note'}; it still needs {still}"
            after = noted(after, f"approved by {word.by}", at=now, reason=reason)
        else:
            reason = f"approved by {words(counted(after, digest=digest, now=now))}"
            after = moved(after, ReleaseState.APPROVED, at=now, reason=reason)
        tx.replace(before, after)
    return after


def reject(context: Context, release_id: str, *, reason: str) -> Release:
    """End a release that waits for approval.

    Raises
    ------
    Conflict
        If it does not wait for approval.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        before = release_of(tx, release_id)
        if before.state is not ReleaseState.WAITING_FOR_APPROVAL:
            raise _does_not_wait(before)
        why = f"rejected by {context.principal.subject}: {checked(reason, 'reason', is_needed=True)}"
        after = moved(before, ReleaseState.REJECTED, at=now, reason=why)
        record(tx, before, after, now=now)
    return after


def hold(context: Context, deployment: str, *, reason: str) -> Release:
    """Have the release in progress stay at its step, with the traffic that it has. Guards and people may end it.

    Raises
    ------
    Conflict
        If none is in progress, or it is held already.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        before = _in_progress(tx, deployment_state(tx, deployment))
        if before.held:
            raise Conflict(f"the release of version {before.version} in {deployment!r} is held already")
        why = f"by {context.principal.subject}" + (f": {reason}" if checked(reason, "reason") else "")
        after = replace(noted(before, "held", at=now, reason=why), held=True, held_since=now)
        tx.replace(before, after)
    return after


def resume(context: Context, deployment: str, *, reason: str = "") -> Release:
    """Have a held release go on; the time that it was held does not count as watched.

    Raises
    ------
    Conflict
        If none is in progress, or it is not held.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        before = _in_progress(tx, deployment_state(tx, deployment))
        if not before.held:
            raise Conflict(f"the release of version {before.version} in {deployment!r} is not held")
        why = f"by {context.principal.subject}" + (f": {reason}" if checked(reason, "reason") else "")
        after = later(before, since=before.held_since or now, now=now)
        after = replace(noted(after, "resumed", at=now, reason=why), held=False, held_since=None)
        tx.replace(before, after)
    return after


def advance(context: Context, deployment: str, *, reason: str = "") -> Release:
    """Have a release leave the stage that it is in now, whether its time is over or not.

    Raises
    ------
    Conflict
        If none is in progress, it is in no stage with traffic, predictors do not serve by it yet, or it is held.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        state = deployment_state(tx, deployment)
        before = _in_progress(tx, state)
        if before.state not in (ReleaseState.SHADOW, ReleaseState.CANARY):
            raise Conflict(
                f"the release of version {before.version} in {deployment!r} is {_said(before.state)}, which is no "
                "stage that a person ends"
            )
        if is_frozen(before, state):
            fix = "resume it" if before.held else "start the deployment"
            raise Conflict(f"the release of version {before.version} in {deployment!r} stands still; {fix} first")
        if before.served_at is None:
            raise Conflict(
                f"predictors have not taken up version {before.version} in {deployment!r} yet; try again then"
            )
        why = f"advanced by {context.principal.subject}" + (f": {reason}" if checked(reason, "reason") else "")
        after = onward(before, context.project.deployment(deployment).rollout, now=now, reason=why)
        record(tx, before, after, now=now)
    return after


def stop(context: Context, deployment: str, *, reason: str) -> DeploymentState:
    """Have no model of a deployment asked any more: its fallback answers, or callers are told that it is stopped.

    Raises
    ------
    Conflict
        If it is stopped already.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        before = deployment_state(tx, deployment)
        if before.stopped is not None:
            raise Conflict(
                f"{deployment!r} is stopped since {before.stopped.at:%Y-%m-%d %H:%M} by {before.stopped.by}: "
                f"{before.stopped.reason}"
            )
        why = checked(reason, "reason", is_needed=True)
        stopped = Stop(reason=why, by=context.principal.subject, at=now, release=before.release)
        after = replace(before, stopped=stopped, sequence=before.sequence + 1)
        tx.replace(before, after)
    return after


def start(context: Context, deployment: str, *, reason: str = "") -> DeploymentState:
    """End a stop: versions answer as they did, or as was decided since. A release of before goes on.

    Raises
    ------
    Conflict
        If it is not stopped.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        before = deployment_state(tx, deployment)
        if before.stopped is None:
            raise Conflict(f"{deployment!r} is not stopped")
        if before.release is not None and before.release == before.stopped.release:
            release = release_of(tx, before.release)
            why = f"by {context.principal.subject}" + (f": {reason}" if checked(reason, "reason") else "")
            going_on = noted(later(release, since=before.stopped.at, now=now), "started again", at=now, reason=why)
            tx.replace(release, going_on)
        after = replace(before, stopped=None, sequence=before.sequence + 1)
        tx.replace(before, after)
    return after


def checked(text: str, field: str, *, is_needed: bool = False) -> str:
    """What a person wrote, without white space around it.

    Raises
    ------
    InvalidRequest
        If it is needed and empty, or too long.
    """
    text = text.strip()
    if is_needed and not text:
        raise InvalidRequest(f"a {field} is needed; it is kept with what is done", field=field, fix="say why")
    if len(text) > LONGEST_REASON:
        raise InvalidRequest(
            f"a {field} of {len(text)} characters is too long", field=field, fix=f"say it in {LONGEST_REASON}"
        )
    return text


def _check_waits(context: Context, tx: Transaction, release: Release) -> None:
    if release.state is not ReleaseState.WAITING_FOR_APPROVAL:
        raise _does_not_wait(release)
    if release.waits_until is not None and context.clock.now() >= release.waits_until:
        raise Conflict(
            f"release {release.id} waited for approval until {release.waits_until:%Y-%m-%d %H:%M}; release version "
            f"{release.version} anew"
        )


def _does_not_wait(release: Release) -> Conflict:
    return Conflict(f"release {release.id} is {_said(release.state)}; it does not wait for approval")


def _in_progress(tx: Transaction, state: DeploymentState) -> Release:
    if state.release is None:
        raise Conflict(f"no release is in progress in {state.deployment!r}")
    return release_of(tx, state.release)


def _said(state: ReleaseState) -> str:
    return state.replace("_", " ")
