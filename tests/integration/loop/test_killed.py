"""`kill -9` in the middle of a release, of each process in turn: the release goes on, nothing is lost or doubled."""

from datetime import timedelta

import pytest

from octavo.config import Config
from octavo.processes import CONTROL, PREDICTOR, WORKER
from octavo.stores.delta import DeltaTables
from tests.integration.projects import START, Replay, Running, deliveries, until, up

HOUR = timedelta(hours=1)
STAGES = ["verified", "approved", "shadow", "canary", "live"]


def first_live(running: Running) -> None:
    release = running.release(1)
    until(lambda: running.is_at(release, "live", 100), what="version 1 is live")


def history(running: Running, release: str) -> list[str]:
    return [step["state"] for step in running.client.call("releases.show", release=release)["history"]]


def check_kept(config: Config, replay: Replay) -> None:
    """Assert that what was accepted stands in the tables once."""
    tables = DeltaTables(config.path(config.stores.tables))
    before = [parcel["parcel"] for parcel in deliveries(START - 8 * 24 * HOUR, START - 24 * HOUR)]
    assert column(tables, "SELECT parcel FROM t", "events/deliveries") == sorted([*before, *replay.told])
    outcomes = column(
        tables, "SELECT prediction FROM t WHERE true QUALIFY row_number() OVER (PARTITION BY id) = 1", "outcomes"
    )
    parcels = sorted(replay.answered[prediction] for prediction in outcomes)
    assert parcels == sorted(replay.told)
    answers = column(tables, "SELECT id FROM t WHERE arm <> 'shadow'", "predictions")
    assert len(set(answers)) == len(answers), "no record stands twice"
    assert set(replay.answered) <= set(answers), "each answer is kept"
    shadows = column(tables, "SELECT id FROM t WHERE arm = 'shadow'", "predictions")
    assert len(set(shadows)) == len(shadows)
    assert set(shadows) <= set(answers)


def column(tables: DeltaTables, sql: str, table: str) -> list[str]:
    [values] = tables.query(sql, tables={"t": table}).to_pydict().values()
    return sorted(values)


@pytest.mark.slow
def test_a_release_survives_the_death_of_the_worker_in_every_stage(config: Config) -> None:
    with up(config) as running:
        first_live(running)
        replay = Replay(running.client)
        replay.run(START, START + HOUR)
        release = running.release(2)
        running.kill(WORKER)
        until(lambda: running.is_at(release, "shadow", 100), what="it is in shadow")
        running.kill(WORKER)
        replay.run(START + HOUR, START + 3 * HOUR + HOUR / 6)
        running.kill(WORKER)
        until(lambda: running.is_at(release, "canary", 50), what="it is a canary")
        replay.run(START + 3 * HOUR + HOUR / 3, START + 4 * HOUR)
        running.kill(WORKER)
        replay.run(START + 4 * HOUR, START + 16 * HOUR)
        until(lambda: running.is_at(release, "live", 100), what="it is live")
        assert history(running, release) == STAGES
    check_kept(config, replay)


@pytest.mark.parametrize("process", [PREDICTOR, CONTROL])
def test_a_release_survives_the_death_of_the_others(config: Config, process: str) -> None:
    with up(config) as running:
        first_live(running)
        replay = Replay(running.client)
        release = running.release(2)
        running.kill(process)
        until(lambda: running.is_at(release, "shadow", 100), what="it is in shadow")
        replay.run(START, START + HOUR)
        running.kill(process)
        replay.run(START + HOUR, START + 3 * HOUR)
        running.kill(process)
        replay.run(START + 3 * HOUR, START + 16 * HOUR)
        until(lambda: running.is_at(release, "live", 100), what="it is live")
        assert history(running, release) == STAGES
    check_kept(config, replay)
