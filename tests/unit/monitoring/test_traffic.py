"""Traffic by the hour."""

import math
from datetime import timedelta

import numpy as np
import pytest
from tests.unit.monitoring.scenes import HOUR, START, Scene, draw

from octavo.monitoring.traffic import Traffic, measure_traffic


def traffic(scene: Scene) -> Traffic:
    return measure_traffic(scene.stores.tables, "eta", since=START, until=scene.clock.now())


def test_each_hour_and_arm_is_counted_by_itself() -> None:
    scene = Scene()
    first, second = scene.register(1), scene.register(2)
    scene.predict(first, draw(scene.random, 40), over=2 * HOUR)
    scene.predict(second, draw(scene.random, 5), arm="canary")
    scene.predict(first, draw(scene.random, 5), deployment="late")
    found = [((hour.hour - START) / HOUR, hour.version, hour.arm, hour.rows) for hour in traffic(scene).hours]
    assert found == [(0, 1, "live", 20), (1, 1, "live", 20), (2, 2, "canary", 5)]


def test_latencies_are_quantiles_and_failures_are_no_part_of_the_mean() -> None:
    scene = Scene()
    outputs = np.array([1.0, 2.0, 3.0, math.nan, math.inf])
    scene.predict(scene.register(), draw(scene.random, 5), outputs=outputs)
    [hour] = traffic(scene).hours
    assert (hour.rows, hour.failed, hour.mean) == (5, 2, 2.0)
    assert (hour.latency_p50_us, hour.latency_p99_us) == (1_002, pytest.approx(1_003.96))


def test_an_hour_in_which_all_failed_has_no_mean() -> None:
    scene = Scene()
    scene.predict(scene.register(), draw(scene.random, 2), outputs=np.array([math.nan, math.nan]))
    assert traffic(scene).hours[0].mean is None


def test_without_predictions_there_is_no_traffic() -> None:
    assert traffic(Scene()).hours == ()
    scene = Scene()
    scene.predict(scene.register(), draw(scene.random, 2))
    assert (
        measure_traffic(scene.stores.tables, "eta", since=START + timedelta(1), until=START + timedelta(2)).hours == ()
    )
