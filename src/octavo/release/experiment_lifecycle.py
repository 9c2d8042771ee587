"""What happens to experiments in the metadata: started, taken up by predictors, stopped, promoted.

Like releases: the records are the truth and change together in one transaction; manifests follow from them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from octavo.definitions.deployments import Deployment
from octavo.definitions.traffic import CONTROL, Experiment, ExperimentArm
from octavo.errors import Conflict, GateFailed, InvalidRequest, NotFound
from octavo.identifiers import new_id
from octavo.operations import Context
from octavo.registry.versions import ModelVersion
from octavo.release.experiments import ExperimentState, StartedArm, StartedExperiment, ended
from octavo.release.lifecycle import deployment_state, record, running_experiment
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.release.rollout import moved
from octavo.stores.ports import Transaction

Refusal = Callable[[Context, ModelVersion], str]
"""Why a version must not answer; empty if it may: `octavo.registry.registration.verify_version`."""


def start(
    context: Context, deployment: str, name: str, *, versions: Mapping[str, int], refusal: Refusal
) -> StartedExperiment:
    """Start a declared experiment. A version that was in shadow goes on in it, and its release ends.

    Parameters
    ----------
    versions : mapping of arm to version
        Of the arms beside the control; the newest version that passed its gates where none is given.
    refusal : callable
        Asked of each of them, outside of any transaction.

    Raises
    ------
    NotFound
        If there is no such deployment, experiment, arm or version.
    GateFailed
        If a version did not pass a gate.
    Conflict
        If nothing is live, another experiment runs, it takes all units while a release is in progress, or a version is
        refused.
    """
    declared = context.project.deployment(deployment)
    experiment = declared.experiment(name)
    _check_arms(experiment, versions)
    with context.transaction() as tx:
        chosen = {
            arm.name: _version(context, tx, declared, arm, number=versions.get(arm.name))
            for arm in _challengers(experiment)
        }
        state = deployment_state(tx, deployment)
        _check_start(tx, state, experiment, shadow=_shadow(tx, state, chosen))
    for version in chosen.values():
        if reason := refusal(context, version):
            raise Conflict(f"{version.model} {version.version} cannot be tried: {reason}")
    now = context.clock.now()
    with context.transaction() as tx:
        state = deployment_state(tx, deployment)
        shadow = _shadow(tx, state, chosen)
        _check_start(tx, state, experiment, shadow=shadow)
        if shadow is not None:
            goes_on = moved(shadow, ReleaseState.RETIRED, at=now, reason=f"it goes on in the experiment {name!r}")
            state = record(tx, shadow, goes_on, now=now)
        arms = tuple(_started(state, arm, chosen.get(arm.name)) for arm in experiment.arms)
        started = StartedExperiment(
            id=new_id(context.clock),
            deployment=deployment,
            name=name,
            unit=state.rules.unit if state.rules else declared.unit,
            arms=arms,
            started_at=now,
            started_by=context.principal.name,
            due_at=now + timedelta(seconds=experiment.length_s),
            sequence=state.sequence + 1,
        )
        _check_difference(started)
        _check_release(tx, state, started)
        tx.add(started)
        tx.replace(state, replace(state, experiment=started.id, sequence=started.sequence))
    return started


def stop(context: Context, deployment: str, *, reason: str) -> StartedExperiment:
    """End the experiment that runs: its units are answered as all others are.

    Raises
    ------
    Conflict
        If none runs.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        state = deployment_state(tx, deployment)
        before = _running(tx, state)
        after = ended(before, ExperimentState.STOPPED, at=now, reason=reason)
        tx.replace(before, after)
        tx.replace(state, replace(state, experiment=None, sequence=state.sequence + 1))
    return after


def promote(context: Context, deployment: str, *, arm: str, reason: str) -> StartedExperiment:
    """End the experiment that runs, and have the version of one of its arms answer everything at once.

    It has answered its share for the length of the experiment, so it goes through no shadow and no canary.

    Raises
    ------
    NotFound
        If the experiment has no such arm.
    Conflict
        If none runs, a release is in progress, the version is live already, or it is another model's.
    """
    now = context.clock.now()
    with context.transaction() as tx:
        state = deployment_state(tx, deployment)
        before = _running(tx, state)
        chosen = next((one for one in before.arms if one.name == arm), None)
        if chosen is None:
            raise NotFound(f"arm of experiment {before.name!r}", arm, [one.name for one in before.arms])
        _check_promotion(state, chosen)
        after = ended(before, ExperimentState.PROMOTED, at=now, reason=reason, promoted=arm)
        tx.replace(before, after)
        freed = replace(state, experiment=None)
        tx.replace(state, freed)
        requested = Release(
            id=new_id(context.clock),
            deployment=deployment,
            model=chosen.model,
            version=chosen.version,
            state=ReleaseState.REQUESTED,
            cause=context.principal.name,
            requested_at=now,
        )
        tx.add(requested)
        why = f"promoted from arm {arm!r} of experiment {before.name!r}: {reason}"
        record(tx, requested, moved(requested, ReleaseState.LIVE, at=now, reason=why, percent=100), now=now)
    return after


def note_served(context: Context, experiment_id: str) -> None:
    """Note that the predictor has taken up an experiment."""
    with context.transaction() as tx:
        before = tx.get(StartedExperiment, experiment_id)
        if before is not None and before.served_at is None and before.state is ExperimentState.RUNNING:
            tx.replace(before, replace(before, served_at=context.clock.now()))


def refuse(context: Context, experiment_id: str, *, reason: str) -> bool:
    """End an experiment that predictors cannot take up; False if it was served or has ended meanwhile."""
    with context.transaction() as tx:
        before = tx.get(StartedExperiment, experiment_id)
        if before is None or before.served_at is not None or before.state is not ExperimentState.RUNNING:
            return False
        state = deployment_state(tx, before.deployment)
        tx.replace(before, ended(before, ExperimentState.STOPPED, at=context.clock.now(), reason=reason))
        tx.replace(state, replace(state, experiment=None, sequence=state.sequence + 1))
        context.audit(tx, "experiments.refuse", target=f"deployment={before.deployment} experiment={before.name}")
    return True


def _running(tx: Transaction, state: DeploymentState) -> StartedExperiment:
    experiment = running_experiment(tx, state)
    if experiment is None:
        raise Conflict(
            f"no experiment runs in {state.deployment!r}; start one with: "
            f"octavo experiments start {state.deployment} NAME"
        )
    return experiment


def _check_arms(experiment: Experiment, versions: Mapping[str, int]) -> None:
    known = [arm.name for arm in _challengers(experiment)]
    for arm in versions:
        if arm not in known:
            raise NotFound(f"arm of experiment {experiment.name!r} that a version can be given to", arm, known)


def _shadow(tx: Transaction, state: DeploymentState, chosen: Mapping[str, ModelVersion]) -> Release | None:
    """The release in progress, if it is in shadow and of a version that the experiment tries."""
    release = tx.get(Release, state.release) if state.release else None
    if release is None or release.state is not ReleaseState.SHADOW:
        return None
    tried = {(version.model, version.version) for version in chosen.values()}
    return release if (release.model, release.version) in tried else None


def _check_start(tx: Transaction, state: DeploymentState, experiment: Experiment, *, shadow: Release | None) -> None:
    if state.live is None:
        raise Conflict(
            f"{state.deployment!r} has no live version that the control could keep; release one first: "
            f"octavo deployments release {state.deployment}"
        )
    running = running_experiment(tx, state)
    if running is not None:
        raise Conflict(
            f"the experiment {running.name!r} runs in {state.deployment!r} since {running.started_at:%Y-%m-%d %H:%M}; "
            "one runs at a time: stop or promote it first",
            experiment=running.id,
        )
    if state.release is not None and shadow is None and sum(arm.percent for arm in experiment.arms) > 100 - 1e-6:
        raise Conflict(
            f"a release is in progress in {state.deployment!r}, and the experiment takes all units, so that the "
            "release could not go on; wait for its end, roll it back, or declare arms that leave some units",
            release=state.release,
        )


def _challengers(experiment: Experiment) -> list[ExperimentArm]:
    return [arm for arm in experiment.arms if arm.name != CONTROL]


def _started(state: DeploymentState, arm: ExperimentArm, version: ModelVersion | None) -> StartedArm:
    """An arm with its version; the control has the live one."""
    if version is None:
        assert state.live is not None, "checked before"
        return StartedArm(name=arm.name, model=state.model, version=state.live, percent=arm.percent)
    return StartedArm(name=arm.name, model=version.model, version=version.version, percent=arm.percent)


def _version(
    context: Context, tx: Transaction, declared: Deployment, arm: ExperimentArm, *, number: int | None
) -> ModelVersion:
    model = (arm.model or declared.model).name
    versions = tx.find(ModelVersion, model=model)
    if number is None:
        passed = [version for version in versions if version.passed]
        if not passed:
            raise NotFound(f"version of model {model!r} that passed its gates", "newest")
        return max(passed, key=lambda version: version.version)
    found = next((version for version in versions if version.version == number), None)
    if found is None:
        raise NotFound(f"version of model {model!r}", str(number), [str(version.version) for version in versions])
    if failed := found.held_by(context.clock.now()):
        raise GateFailed(
            f"{model} {number} did not pass {failed[0].gate} ({failed[0].evidence}); train a better one",
            gate=failed[0].gate,
        )
    return found


def _check_difference(started: StartedExperiment) -> None:
    control = next(arm for arm in started.arms if arm.name == CONTROL)
    for arm in started.arms:
        if arm is not control and (arm.model, arm.version) == (control.model, control.version):
            raise InvalidRequest(
                f"arm {arm.name!r} would answer by {arm.model} {arm.version}, as the control does",
                field="versions",
                fix=f"name another version for it: --arm {arm.name}=VERSION",
            )


def _check_release(tx: Transaction, state: DeploymentState, started: StartedExperiment) -> None:
    release = tx.get(Release, state.release) if state.release else None
    if release is not None and started.uses(release.model, release.version):
        raise Conflict(
            f"{release.model} {release.version} is being released in {state.deployment!r}; wait for the end of that or "
            "roll it back before it is tried",
            release=release.id,
        )


def _check_promotion(state: DeploymentState, arm: StartedArm) -> None:
    if state.release is not None:
        raise Conflict(
            f"a release is in progress in {state.deployment!r}; wait for its end or roll it back", release=state.release
        )
    if arm.model != state.model:
        raise Conflict(
            f"arm {arm.name!r} answers by model {arm.model!r}, and {state.deployment!r} serves {state.model!r}; stop "
            f"the experiment, declare the deployment with that model, apply, and release version {arm.version}"
        )
    if arm.version == state.live:
        raise Conflict(
            f"{arm.model} {arm.version} is live in {state.deployment!r} already; stop the experiment instead"
        )
