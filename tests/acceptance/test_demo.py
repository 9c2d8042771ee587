"""The demo, shortened, as a person runs it: interrupted, killed, run again to its end; and what it leaves behind."""

import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from octavo.cli.demo.plan import HISTORY_DAYS
from octavo.cli.demo.timeline import load_flights
from octavo.config import load_config
from octavo.processes import PATIENCE_S
from tests.acceptance.demos import (
    DAYS,
    Demo,
    Ended,
    Left,
    inputs_as_served,
    inputs_offline,
    left_by,
    wait_for_death,
)

pytestmark = pytest.mark.slow

KEYS = [
    *("seconds", "events", "requests", "failed_requests", "p50_ms", "p99_ms", "outcomes"),
    *("versions", "incidents", "retrained", "error_live", "error_never_retrained", "console"),
]

A_MORNING = datetime(2013, 7, 9, 12, tzinfo=UTC)
RETRAINING = datetime(2013, 7, 11, 7, tzinfo=UTC)
"""An hour after an incident has opened: the clock waits for the training that it has started."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """A demo that was interrupted by a person, then killed, then run to its end."""

    interrupted: Ended
    killed: Ended
    ended: Ended
    outlived: list[str]
    left: Left


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    here = tmp_path_factory.mktemp("demo")
    demo, outlived, endings = Demo(here / "trips", log=here / "log"), [], []
    try:
        for number, moment in ((signal.SIGINT, A_MORNING), (signal.SIGKILL, RETRAINING)):
            demo.start()
            demo.until(moment)
            pids = demo.pids()
            demo.send(number)
            endings.append(demo.end())
            if not wait_for_death(pids, timeout_s=0.0 if number is signal.SIGINT else PATIENCE_S + 5):
                outlived.append(f"after {number.name}")
        demo.start()
        endings.append(demo.end())
    finally:
        demo.stop()
    interrupted, killed, ended = endings
    return Story(interrupted=interrupted, killed=killed, ended=ended, outlived=outlived, left=left_by(demo))


def test_an_interruption_leaves_nothing_running(story: Story) -> None:
    assert story.interrupted.code == 130
    assert not story.outlived


def test_it_says_how_it_begins(story: Story) -> None:
    said = [line for line in story.ended.stderr.splitlines() if line.startswith("The demo in")]
    assert [line.rpartition("trips ")[2] for line in said] == [
        "starts clean.",
        "continues where it was interrupted.",
        "continues where it was interrupted.",
    ]


def test_it_ends_with_one_json_object(story: Story) -> None:
    assert story.ended.code == 0, story.ended.stderr
    assert list(story.ended.answer) == KEYS


def test_the_weather_has_the_model_retrained_and_replaced_without_a_failed_request(story: Story) -> None:
    answer = story.ended.answer
    assert answer["retrained"] is True
    assert answer["failed_requests"] == 0
    assert {"model": "arrival_delay", "version": 2, "stage": "live"} in answer["versions"]
    assert answer["incidents"][0]["kind"] == "performance"
    assert answer["incidents"][0]["cause"]
    arms = story.left.rows("SELECT DISTINCT arm, version FROM t WHERE deployment = 'eta' ORDER BY ALL", "predictions")
    assert [(arm["arm"], arm["version"]) for arm in arms] == [("canary", 2), ("live", 1), ("live", 2), ("shadow", 2)]


def test_it_says_how_good_the_models_are(story: Story) -> None:
    answer = story.ended.answer
    assert 0 < answer["error_live"] < 100
    assert 0 < answer["error_never_retrained"] < 100
    assert 0 < answer["p50_ms"] <= answer["p99_ms"]


def test_every_event_that_became_known_is_kept_once(story: Story) -> None:
    left, (start, end) = story.left, stretch(story)
    wanted = load_flights(left.config.root).events(start - pd.Timedelta(days=HISTORY_DAYS), end)
    for source, rows in wanted.items():
        identity = ", ".join(left.project.source(source).id)
        [kept] = left.rows(f"SELECT count(*) AS n, count(DISTINCT ({identity})) AS ids FROM t", f"events/{source}")
        assert kept == {"n": len(rows), "ids": len(rows)}, source
    assert story.ended.answer["events"] == sum(map(len, wanted.values()))


def test_every_flight_is_predicted_once_by_each_deployment(story: Story) -> None:
    left, (start, end) = story.left, stretch(story)
    flights = load_flights(left.config.root).flights()
    due = flights[(flights.decided_at >= start) & (flights.decided_at < end)]
    for deployment in left.project.deployments:
        served = left.served(deployment)
        assert served.num_rows == len(set(served.column("id").to_pylist())) == len(due), deployment
        assert sorted(served.column("at").to_pylist()) == [moment.to_pydatetime() for moment in due.decided_at]


def test_every_landing_is_the_outcome_of_its_predictions_once(story: Story) -> None:
    left, (start, end) = story.left, stretch(story)
    flights = load_flights(left.config.root).flights()
    landed = flights[(flights.decided_at >= start) & (flights.landed_at < end) & flights.arr_delay.notna()]
    [kept] = left.rows("SELECT count(DISTINCT id) AS ids, count(DISTINCT prediction) AS known FROM t", "outcomes")
    assert kept == {"ids": 2 * len(landed), "known": 2 * len(landed)}
    assert story.ended.answer["outcomes"] == 2 * len(landed)


def test_features_in_requests_are_those_of_training(story: Story) -> None:
    left = story.left
    for deployment in left.project.deployments.values():
        served = left.served(deployment.name)
        assert served.num_rows > 1_000
        online = inputs_as_served(served, deployment.model)
        offline = inputs_offline(left, served, deployment.model)
        np.testing.assert_array_equal(online, offline)


def stretch(story: Story) -> tuple[pd.Timestamp, pd.Timestamp]:
    """From where to where the short demo replays."""
    start = pd.Timestamp(load_config(story.left.config.root, {}).clock.start)
    return start, start + timedelta(days=DAYS)
