"""Experiments, holdouts, exploration and sampled shadows, from the manifest to the records."""

from typing import Any

import msgspec
import pytest
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import PATH, Bench
from tests.serving.projects import arm

from octavo.monitoring.prediction_log import rows_of
from octavo.release.manifests import DeploymentManifest
from octavo.serving.recorder import TOPIC

OVERFLOWING = [0.0, 0.0, 0.0, 3e38, 0.0]


def serve(bench: Bench, *others: tuple[str, float, str], challenger: dict[str, Any] | None = None) -> None:
    """Serve version 1, and version 2 by other roles; which origin a row is about decides."""
    control = publish_bundle(bench.project.artifacts)
    tried = publish_bundle(bench.project.artifacts, **(challenger or {"bias": 1000.0}))
    arms = [
        arm(control, role=role, percent=percent, group=group)
        if group.endswith("control")
        else arm(tried, role=role, version=2, percent=percent, group=group)
        for role, percent, group in others
    ]
    bench.publish(arm(control), *arms, unit="origin")


def experiment(share: float = 50.0) -> list[tuple[str, float, str]]:
    return [("experiment", share, "faster/control"), ("experiment", share, "faster/challenger")]


def kept(bench: Bench) -> list[dict[str, Any]]:
    """The rows of the table of predictions."""
    rows: list[dict[str, Any]] = rows_of(bench.log.read(TOPIC, start=0)).to_pylist()
    return rows


def origins(n: int) -> list[dict[str, Any]]:
    return [{**ROW, "origin": f"airport {number}"} for number in range(n)]


def test_each_prediction_of_an_experiment_is_kept_with_its_group_and_probability(bench: Bench) -> None:
    serve(bench, *experiment(25))
    bench.predict(*origins(400))
    groups = {row["group"] for row in kept(bench)}
    assert groups == {"", "faster/control", "faster/challenger"}
    found = {(row["digest"] == kept(bench)[0]["digest"], row["propensity"]) for row in kept(bench)}
    assert len(found) == 2, "each version has one probability"
    assert sum(probability for _, probability in found) == pytest.approx(1)


def test_a_unit_keeps_its_arm_from_request_to_request(bench: Bench) -> None:
    serve(bench, *experiment())
    first, second = ([one["value"] for one in bench.predict(*origins(50))["predictions"]] for _ in range(2))
    assert first == second
    assert len(set(first)) == 2


def test_where_a_challenger_fails_the_live_version_answers_for_its_group(bench: Bench) -> None:
    serve(bench, *experiment(), challenger={"weights": OVERFLOWING})
    assert len(bench.predict(*origins(40))["predictions"]) == 40
    tried = [row for row in kept(bench) if row["group"] == "faster/challenger"]
    assert {row["arm"] for row in tried} == {"experiment", "live"}
    assert sum(row["arm"] == "live" for row in tried) == len(tried) / 2


def test_a_predictor_explores_some_predictions_of_any_unit(bench: Bench) -> None:
    serve(bench, ("explore", 30, "explore"))
    predictions = bench.predict(*[ROW] * 300)["predictions"]
    assert 50 < sum(one.get("arm") == "explore" for one in predictions) < 130
    assert {(row["group"], row["propensity"]) for row in kept(bench)} == {("", 0.7), ("explore", 0.3)}


def test_a_shadow_sees_the_share_that_the_manifest_says(bench: Bench) -> None:
    digest = publish_bundle(bench.project.artifacts)
    bench.publish(arm(digest), arm(digest, role="shadow", version=2, percent=0, sample=20.0))
    bench.predict(*[ROW] * 400)
    seen = [row for row in kept(bench) if row["arm"] == "shadow"]
    assert 40 < len(seen) < 130
    assert {row["propensity"] for row in seen} == {0.2}


def test_a_busy_predictor_lets_its_shadow_go_and_counts_it(bench: Bench) -> None:
    digest = publish_bundle(bench.project.artifacts)
    bench.publish(arm(digest), arm(digest, role="shadow", version=2, percent=0))
    bench.app.admission.queue_s = 1.0
    assert len(bench.predict(*[ROW] * 3)["predictions"]) == 3
    assert {row["arm"] for row in kept(bench)} == {"live"}
    assert "octavo_shadow_predictions_dropped_total 3\n" in bench.metrics.render()


def test_a_shadow_with_a_mistake_in_it_is_kept_as_failed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    digest = publish_bundle(bench.project.artifacts)
    bench.publish(
        arm(digest), arm(publish_bundle(bench.project.artifacts, bias=1.0), role="shadow", version=2, percent=0)
    )
    [shadow] = bench.watcher.lineups["eta"].shadows
    object.__setattr__(shadow.model, "run", lambda matrix: 1 / 0)
    bench.predict(ROW)
    assert [(row["arm"], row["output"] == row["output"]) for row in kept(bench)] == [("live", True), ("shadow", False)]
    assert "a shadow version failed" in caplog.text


def test_a_manifest_whose_shares_cannot_be_is_refused_and_the_last_one_goes_on(bench: Bench) -> None:
    serve(bench)
    digest = publish_bundle(bench.project.artifacts)
    arms = [arm(digest, role="canary", version=version, percent=70) for version in (2, 3)]
    bench.publish(arm(digest), *arms, sequence=2)
    assert "no division of the traffic" in (bench.watcher.status.deployments["eta"].error or "")
    assert bench.caller.post(PATH, {"rows": [ROW]}).status == 200


def test_a_manifest_of_before_there_were_groups_is_read_as_it_was_meant() -> None:
    old = {
        "project": "p", "deployment": "eta", "sequence": 3, "unit": None, "published_at_us": 0,
        "arms": [{"role": "shadow", "model": "m", "version": 2, "digest": "d", "percent": 0}],
    }  # fmt: skip
    [read] = msgspec.json.decode(msgspec.json.encode(old), type=DeploymentManifest).arms
    assert (read.percent, read.group, read.sample) == (0, "", 100)
