"""Which versions answer for a deployment, and which part of its traffic each, by what the records say."""

from dataclasses import dataclass

from octavo.definitions.traffic import Explore
from octavo.release.experiments import StartedExperiment
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.release.shares import CANARY, EXPERIMENT, EXPLORE, HOLDOUT, LIVE, SHADOW


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmShare:
    """A version and its part of the traffic; see `octavo.release.manifests.Arm`."""

    role: str
    model: str
    version: int
    percent: float
    group: str = ""
    sample: float = 100.0


def arms_of(
    state: DeploymentState, release: Release | None, experiment: StartedExperiment | None
) -> tuple[ArmShare, ...]:
    """The live version, and beside it the release in progress, the experiment, what is held out and explored."""
    beside = _released(release)
    if state.live is None:
        return beside
    grown = sum(arm.percent for arm in beside)
    live = ArmShare(role=LIVE, model=state.model, version=state.live, percent=100 - grown)
    return (live, *beside, *_tested(experiment), *_held(state), *_explored(state, release))


def _released(release: Release | None) -> tuple[ArmShare, ...]:
    if release is None:
        return ()
    model, version, percent = release.model, release.version, release.percent
    if release.state is ReleaseState.SHADOW:
        # Releases of before shadows were sampled stand at 0 %.
        return (ArmShare(role=SHADOW, model=model, version=version, percent=0, sample=percent or 100),)
    if release.state is ReleaseState.CANARY:
        return (ArmShare(role=CANARY, model=model, version=version, percent=percent),)
    return ()


def _tested(experiment: StartedExperiment | None) -> tuple[ArmShare, ...]:
    if experiment is None:
        return ()
    return tuple(
        ArmShare(
            role=EXPERIMENT,
            model=arm.model,
            version=arm.version,
            percent=arm.percent,
            group=experiment.group(arm.name),
        )
        for arm in experiment.arms
    )


def _held(state: DeploymentState) -> tuple[ArmShare, ...]:
    rules, held = state.rules, state.held
    if rules is None or rules.holdout is None or held is None:
        return ()
    percent = rules.holdout.percent
    return (ArmShare(role=HOLDOUT, model=held.model, version=held.version, percent=percent, group=HOLDOUT),)


def _explored(state: DeploymentState, release: Release | None) -> tuple[ArmShare, ...]:
    explore = None if state.rules is None else state.rules.explore
    if explore is None or state.live is None:
        return ()
    live = (state.model, state.live)
    versions = {"live": live, "previous": live if state.previous is None else (state.model, state.previous)}
    if release is not None and release.state is ReleaseState.CANARY:
        versions["canary"] = (release.model, release.version)
    shares: dict[tuple[str, int], float] = {}
    for role, percent in _drawn(explore):
        version = versions.get(role, live)
        shares[version] = shares.get(version, 0.0) + percent
    return tuple(
        ArmShare(role=EXPLORE, model=model, version=version, percent=round(percent, 2), group=EXPLORE)
        for (model, version), percent in shares.items()
    )


def _drawn(explore: Explore) -> list[tuple[str, float]]:
    whole = sum(weight for _, weight in explore.among)
    return [(role, explore.percent * weight / whole) for role, weight in explore.among]
