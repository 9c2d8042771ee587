"""Who served what at a moment, as it is told later, against what was told to predictors at that moment."""

from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import octavo as oc
from octavo.errors import OctavoError
from octavo.release import experiment_lifecycle as experiments
from octavo.release import interventions, lifecycle
from octavo.release.aliases import point, remove
from octavo.release.arms import arms_of
from octavo.release.experiments import StartedExperiment
from octavo.release.history import NamedFrom, ServedTraffic, namings, services, traffic_at, traffic_of
from octavo.release.publish import publish_current
from octavo.release.releases import Release
from octavo.release.rollout import Evidence
from octavo.release.shares import chances
from tests.stages import DEPLOYMENT, HOUR, MODEL, START, Stage, set_stage

SOME = oc.Experiment("cheaper", arms={"control": 20, "challenger": 20})
ROLLOUT = oc.Rollout(shadow="1h", steps=[10, 50, 100], bake="1h")
STEPS = ["release 1", "release 2", "release 3", *["advance"] * 4, "roll back", "try", "end", "stop", "start", "wait"]

Said = tuple[tuple[str, int, float, str], ...]


def in_force(stage: Stage) -> tuple[Said, bool]:
    """Which version has which part, straight from the records of now."""
    with stage.context.transaction() as tx:
        state = lifecycle.deployment_state(tx, DEPLOYMENT)
        release = tx.get(Release, state.release) if state.release else None
        experiment = tx.get(StartedExperiment, state.experiment) if state.experiment else None
    arms = arms_of(state, release, experiment)
    shares = [0.0] * len(arms) if state.stopped else chances(arms) if arms else ()
    said = sorted((a.role, a.version, round(s, 9), a.group) for a, s in zip(arms, shares, strict=True))
    return tuple(said), state.stopped is not None


def do(stage: Stage, step: str) -> None:
    context = stage.context
    match step.split():
        case ["release", version]:
            lifecycle.request(context, DEPLOYMENT, version=int(version), cause="user")
        case ["advance"]:
            if stage.state().release:
                evidence = Evidence(has_live=stage.state().live is not None)
                after = lifecycle.advance(context, str(stage.state().release), evidence=evidence)
                lifecycle.note_served(context, after)
        case ["roll", _]:
            lifecycle.roll_back(context, DEPLOYMENT, reason="worse")
        case ["try"]:
            experiments.start(context, DEPLOYMENT, "cheaper", versions={}, refusal=lambda context, version: "")
        case ["end"]:
            experiments.stop(context, DEPLOYMENT, reason="enough")
        case ["stop"]:
            interventions.stop(context, DEPLOYMENT, reason="harm")
        case ["start"]:
            interventions.start(context, DEPLOYMENT, reason="over")


def told(stage: Stage) -> list[ServedTraffic]:
    with stage.context.transaction() as tx:
        return traffic_of(tx, DEPLOYMENT)


def said_of(found: ServedTraffic | None) -> tuple[Said, bool]:
    if found is None:
        return (), False
    shares = [0.0] * len(found.arms) if found.stopped else chances(found.arms)
    said = sorted((a.role, a.version, round(s, 9), a.group) for a, s in zip(found.arms, shares, strict=True))
    return tuple(said), bool(found.stopped)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), min_size=5, max_size=25))
def test_the_history_is_what_was_in_force_at_each_moment(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    stage = set_stage(tmp_path_factory.mktemp("history"), rollout=ROLLOUT, experiments=[SOME], unit="origin")
    for version in (1, 2, 3):
        stage.add_version(version)
    simulated: dict[datetime, tuple[Said, bool]] = {}
    for step, hours in [("release 1", 0), *[("advance", 1)] * 3, *steps]:
        stage.wait(HOUR * hours)
        with suppress(OctavoError):
            do(stage, step)
        publish_current(stage.context, DEPLOYMENT)
        now = in_force(stage)
        if now[0] or simulated:  # while nothing is live predictors go on as they are
            simulated[stage.clock.now()] = now if now[0] else simulated[max(simulated)]
    history = told(stage)
    for moment, expected in simulated.items():
        assert said_of(traffic_at(history, moment)) == expected
    for before, after in zip(sorted(simulated), sorted(simulated)[1:], strict=False):
        assert said_of(traffic_at(history, after - timedelta(microseconds=1))) == simulated[before]
    parts = services(history)
    for moment, expected in simulated.items():
        found = sorted((p.role, p.version, p.share, p.group) for p in parts if p.covers(moment))
        assert tuple(found) == expected[0]
    assert traffic_at(history, START - timedelta(microseconds=1)) is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["release 1", "release 2", *["advance"] * 6, "roll back"]), st.integers(1, 3)))
)
def test_releases_of_before_there_were_records_tell_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    stage = set_stage(tmp_path_factory.mktemp("history"), rollout=ROLLOUT)
    for version in (1, 2):
        stage.add_version(version)
    simulated = {}
    for step, hours in [("release 1", 0), *[("advance", 1)] * 3, *steps]:
        stage.wait(HOUR * hours)
        with suppress(OctavoError):
            do(stage, step)
        simulated[stage.clock.now()] = in_force(stage)[0]
    history = told(stage)
    assert all(one.sequence == 0 for one in history)
    for moment, expected in simulated.items():
        found = traffic_at(history, moment)
        assert said_of(found if found and found.arms else None)[0] == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 2))))
def test_aliases_are_told_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    stage = set_stage(tmp_path_factory.mktemp("history"))
    for version in (1, 2):
        stage.add_version(version)
    simulated: dict[datetime, dict[str, int]] = {}
    named: dict[str, int] = {}
    for alias, version, hours in steps:
        stage.wait(HOUR * hours)
        if version:
            point(stage.context, MODEL, alias, version=version)
            named[alias] = version
        elif alias in named:
            remove(stage.context, MODEL, alias)
            del named[alias]
        simulated[stage.clock.now()] = dict(named)
    with stage.context.transaction() as tx:
        found = namings(tx.find(NamedFrom, model=MODEL))
    for moment, expected in simulated.items():
        assert {one.alias: one.version for one in found if one.covers(moment)} == expected
