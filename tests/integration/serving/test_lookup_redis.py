"""A predictor whose features are in a real Redis, which hangs, dies and comes back under load."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from octavo.features.online.keys import generation_of, pointer_key
from octavo.stores.redis import RedisAddress, RedisOnlineStore
from tests.servers import RedisServer, running_redis
from tests.serving.bundles import PROJECT, ROW, publish_bundle
from tests.serving.predictors import origins
from tests.serving.processes import Load, Running, predictor, until
from tests.serving.projects import SETTINGS, ServingProject, arm, make_project, manifest

COUNT = "origin_delays__events_count_1h"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, redis: RedisServer) -> ServingProject:
    """A project with one version to serve, whose features are in Redis."""
    settings = f'{SETTINGS}\n[stores]\nonline = "{redis.url()}"\n'
    made = make_project(tmp_path / "project", settings=settings)
    made.publish(manifest(arm(publish_bundle(made.artifacts))))
    materialize(redis)
    return made


def materialize(redis: RedisServer) -> None:
    """Begin the online states of the one view."""
    store = RedisOnlineStore(RedisAddress(port=redis.port), project=PROJECT)
    generation = generation_of(origins)
    store.write({pointer_key("origin_delays"): generation.encode()}, marks={generation.applied_mark: 0})
    store.close()


def is_degraded(running: Running) -> bool:
    return "degraded" in running.call([ROW])[1]


def metric(running: Running, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", running.get("/metrics")[1].decode(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def statuses(load: Load) -> set[tuple[int, Any]]:
    """HTTP status of the answers, and what they say of a looked-up value."""
    told = [(status, answer["predictions"][0].get("features", {})) for status, answer in load.answers]
    return {(status, features.get(COUNT, "present")) for status, features in told}


def test_while_it_hangs_predictions_go_on_and_say_so_and_it_is_found_again_by_itself(
    project: ServingProject, redis: RedisServer
) -> None:
    with predictor(project) as running:
        until(lambda: not is_degraded(running), what="features")
        with Load(running, [ROW], callers=4) as load:
            load.wait_for(20)
            with redis.paused():
                load.wait_for(50)
                until(lambda: metric(running, "octavo_feature_store_breaker_state") > 0, what="the breaker to open")
            until(lambda: not is_degraded(running), what="features again")
        assert load.broken == []
        assert statuses(load) == {(200, "present"), (200, "unread")}
        assert metric(running, 'octavo_feature_lookups_total{result="timed_out"}') >= 5
        assert metric(running, "octavo_feature_store_breaker_opened_total") >= 1


def test_killed_and_started_anew_it_costs_no_prediction(project: ServingProject, redis: RedisServer) -> None:
    with predictor(project) as running, Load(running, [ROW], callers=4) as load:
        load.wait_for(20)
        redis.kill()
        load.wait_for(50)
        assert is_degraded(running)
        until(lambda: metric(running, 'octavo_feature_lookups_total{result="not_tried"}') > 0, what="it left alone")
        redis.start()
        materialize(redis)
        until(lambda: not is_degraded(running), what="features again")
    assert load.broken == []
    assert {status for status, _ in load.answers} == {200}


def test_it_starts_without_a_server_and_uses_the_one_that_comes(project: ServingProject, redis: RedisServer) -> None:
    redis.kill()
    with predictor(project) as running:
        assert is_degraded(running)
        redis.start()
        materialize(redis)
        until(lambda: not is_degraded(running), what="features")
