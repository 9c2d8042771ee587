"""How far stretches of a training set lie from the whole of it."""

import numpy as np
import pytest
from tests.unit.monitoring.scenes import IMPORTANCE, INPUTS, MEAN, Floats, Scene, draw, make_report

from octavo.definitions.datasets import Dataset
from octavo.monitoring.findings import Verdict
from octavo.monitoring.variation import Variation, measure
from octavo.training.profiling import profile
from octavo.training.reports import Profile

DAY_S, DAYS, PER_DAY = 86_400, 60, 500
ROWS = DAYS * PER_DAY


def dataset(column: Floats, *, seconds: int = DAYS * DAY_S) -> Dataset:
    times = np.datetime64("2013-01-01", "us") + (np.arange(len(column)) * seconds // len(column)).astype(
        "timedelta64[s]"
    )
    return Dataset(columns=("x",), X=column[:, None], y=np.zeros(len(column)), times=times)


def profiles(data: Dataset) -> dict[str, Profile]:
    return {"x": profile(data.X[:, 0])}


def measured(data: Dataset) -> Variation:
    return measure(data, profiles(data), run="r", model="m")


def weathered() -> Floats:
    """A value that is alike within a day, and differs from day to day."""
    random = np.random.default_rng(0)
    return np.repeat(random.normal(0, 10, DAYS), PER_DAY) + random.normal(0, 1, ROWS)


def test_stretches_of_rows_in_no_order_usually_lie_near_the_whole() -> None:
    variation = measured(dataset(np.random.default_rng(0).normal(size=ROWS)))
    assert DAY_S in variation.lengths_s
    assert variation.usual_drift("x", length_s=DAY_S) < 0.03


def test_days_with_their_own_weather_usually_lie_far_from_the_whole_and_weeks_nearer() -> None:
    variation = measured(dataset(weathered()))
    day, week = (variation.usual_drift("x", length_s=days * DAY_S) for days in (1, 7))
    assert day > 2 * week > 0.5


def test_between_two_lengths_it_lies_in_between_and_beyond_them_at_the_nearest() -> None:
    variation = Variation(run="r", model="m", lengths_s=(3_600, 86_400), drift={"x": (2.0, 1.0)}, absent={})
    assert 1 < variation.usual_drift("x", length_s=20_000) < 2
    assert (variation.usual_drift("x", length_s=60), variation.usual_drift("x", length_s=10**7)) == (2.0, 1.0)


def test_an_input_that_was_not_measured_has_none() -> None:
    assert measured(dataset(weathered())).usual_drift("y", length_s=DAY_S) == 0


def test_a_training_set_too_short_for_stretches_has_none() -> None:
    variation = measured(dataset(np.random.default_rng(0).normal(size=700), seconds=3_600))
    assert variation.lengths_s == ()
    assert variation.usual_drift("x", length_s=DAY_S) == 0


def test_an_empty_training_set_has_none() -> None:
    variation = measure(dataset(np.empty(0)), {"x": profile([1.0])}, run="r", model="m")
    assert variation.lengths_s == ()


def test_values_that_the_training_function_changed_are_left_out() -> None:
    data = dataset(weathered())
    before = profiles(data)
    data.X[:, 0] = 0.0
    assert measure(data, before, run="r", model="m").drift == {}


@pytest.mark.parametrize(("usual", "verdict"), [(0.0, Verdict.UNHEALTHY), (4.0, Verdict.HEALTHY)])
def test_only_what_lies_beyond_the_usual_is_drift(usual: float, verdict: Verdict) -> None:
    scene = Scene()
    version = scene.live(report=make_report())
    variation = Variation(run=version.run, model=version.model, lengths_s=(DAY_S,), drift={MEAN: (usual,)}, absent={})
    with scene.stores.metadata.transaction() as tx:
        tx.put(variation)
    scene.predict(version, draw(scene.random, 500, mean=18))
    look = scene.look()
    assert {f.kind: f.verdict for f in look.findings}["drift"] is verdict
    assert {i.name: i.usual for i in look.inputs} == dict.fromkeys(INPUTS, 0.0) | {MEAN: usual}
    assert sum(IMPORTANCE[i.name] * i.drift for i in look.inputs) == look.drift


def test_an_input_that_is_absent_at_night_is_usually_absent_for_hours_on_end() -> None:
    hours = np.arange(ROWS) * 24 * DAYS // ROWS % 24
    variation = measured(dataset(np.where(hours < 6, np.nan, np.random.default_rng(0).normal(size=ROWS))))
    assert variation.usual_absent("x", length_s=6 * 3_600) == pytest.approx(1, abs=0.02)
    assert variation.usual_absent("x", length_s=DAY_S) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(("usual", "verdict"), [(0.3, Verdict.UNHEALTHY), (0.9, Verdict.HEALTHY)])
def test_only_absence_beyond_the_usual_is_wanting_quality(usual: float, verdict: Verdict) -> None:
    scene = Scene()
    version = scene.live()
    variation = Variation(run=version.run, model=version.model, lengths_s=(DAY_S,), drift={}, absent={MEAN: (usual,)})
    with scene.stores.metadata.transaction() as tx:
        tx.put(variation)
    matrix = draw(scene.random, 600)
    matrix[:480, 0] = np.nan
    scene.predict(version, matrix)
    [quality] = [f for f in scene.look().findings if f.kind == "quality"]
    assert quality.verdict is verdict


def test_while_traffic_is_new_it_is_compared_with_stretches_as_short() -> None:
    scene = Scene()
    version = scene.live()
    variation = Variation(
        run=version.run, model=version.model, lengths_s=(3_600, DAY_S), drift={MEAN: (4.0, 1.0)}, absent={}
    )
    with scene.stores.metadata.transaction() as tx:
        tx.put(variation)
    scene.predict(version, draw(scene.random, 500))
    assert {i.name: i.usual for i in scene.look().inputs}[MEAN] == pytest.approx(4.0, abs=0.01)
