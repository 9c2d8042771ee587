"""The join of predictions with outcomes that come early, late, twice and corrected, against a slow oracle."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.identifiers import uuid7
from octavo.monitoring.matured import outcomes_of, read_matured
from octavo.monitoring.outcomes import OutcomeRow, record_outcomes, ship_outcomes
from tests.unit.monitoring.scenes import START, Scene, draw

MINUTE = timedelta(minutes=1)
PREDICTIONS, MINUTES = 6, 20


@dataclass(frozen=True)
class Told:
    """An outcome in the order in which it was sent."""

    prediction: int
    value: float
    known: int


@dataclass(frozen=True)
class Made:
    """A prediction: in which minute it was made, by which arm, in which deployment, and whether it failed."""

    minute: int
    arm: str
    deployment: str
    failed: bool


outcomes = st.lists(
    st.builds(
        Told,
        prediction=st.integers(0, PREDICTIONS),
        value=st.sampled_from([0.0, 1.0, 2.5, -7.0]),
        known=st.integers(0, MINUTES),
    ),
    max_size=25,
)
predictions = st.lists(
    st.builds(
        Made,
        minute=st.integers(0, MINUTES),
        arm=st.sampled_from(["live", "live", "canary", "shadow"]),
        deployment=st.sampled_from(["eta", "eta", "late"]),
        failed=st.booleans(),
    ),
    min_size=PREDICTIONS,
    max_size=PREDICTIONS,
)


def latest(told: list[Told], prediction: int, *, since: int, until: int) -> Told | None:
    """The outcome that counts, the slow way; None if the last one known before `until` is not of the window."""
    best = None
    for outcome in told:
        known_in_time = outcome.prediction == prediction and outcome.known < until
        if known_in_time and (best is None or outcome.known >= best.known):
            best = outcome
    return best if best is not None and best.known >= since else None


def moment(minute: int) -> datetime:
    return START + minute * MINUTE


def play(made: list[Made], told: list[Told], *, early: int) -> tuple[Scene, list[str]]:
    """Send it all; `early` outcomes arrive before the predictions do."""
    scene = Scene()
    scene.go(2 * MINUTES * MINUTE)
    ids = [uuid7(scene.clock.now_us() + place * 1_000) for place in range(PREDICTIONS + 1)]
    tell(scene, told[:early], ids)
    version = scene.register()
    for place, (record, one) in enumerate(
        zip(scene.records(version, draw(scene.random, len(made))), made, strict=True)
    ):
        changed = msgspec.structs.replace(
            record,
            id=ids[place],
            at_us=int(moment(one.minute).timestamp() * 1_000_000),
            arm=one.arm,
            deployment=one.deployment,
            output=math.nan if one.failed else float(place),
        )
        scene.publish([changed])
    scene.ship()
    tell(scene, told[early:], ids)
    return scene, ids


def tell(scene: Scene, told: list[Told], ids: list[str]) -> None:
    for outcome in told:
        row = OutcomeRow(prediction=ids[outcome.prediction], value=outcome.value, known_at=moment(outcome.known))
        record_outcomes([row], stream=scene.stores.stream, clock=scene.clock)
    while ship_outcomes(scene.stores.stream, scene.stores.tables, max_bytes=100):
        pass


@settings(max_examples=80, deadline=None)
@given(predictions, outcomes, st.integers(0, 25), st.integers(0, MINUTES), st.integers(0, MINUTES))
def test_each_prediction_is_judged_by_the_outcome_known_last(
    made: list[Made], told: list[Told], early: int, since: int, until: int
) -> None:
    scene, _ = play(made, told, early=early)
    matured = read_matured(scene.stores.tables, "eta", since=moment(since), until=moment(until))
    expected, newest = [], None
    for place, one in sorted(enumerate(made), key=lambda pair: (pair[1].minute, pair[0])):
        counts = latest(told, place, since=since, until=until)
        answered = one.arm == "live" or (one.arm == "canary" and not one.failed)
        if counts is not None and answered and one.deployment == "eta":
            expected.append((math.nan if one.failed else float(place), counts.value))
            newest = max(newest or moment(0), moment(counts.known))
    np.testing.assert_equal(list(zip(matured.outputs.tolist(), matured.values.tolist(), strict=True)), expected)
    assert matured.newest_known_at == newest


@settings(max_examples=40, deadline=None)
@given(predictions, outcomes, st.integers(0, 25))
def test_a_list_shows_the_outcome_known_last_of_all(made: list[Made], told: list[Told], early: int) -> None:
    scene, ids = play(made, told, early=early)
    expected = {
        ids[place]: counts.value
        for place in range(PREDICTIONS + 1)
        if (counts := latest(told, place, since=0, until=MINUTES + 1)) is not None
    }
    assert outcomes_of(scene.stores.tables, ids) == expected
