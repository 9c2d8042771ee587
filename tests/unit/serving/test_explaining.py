"""Reasons beside predictions."""

from typing import Any

import pytest
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import PATH, Bench
from tests.serving.projects import arm

WEIGHTS = [0.0, 0.0, 0.0, 2.0, -1.0]


@pytest.fixture
def weighing(bench: Bench) -> Bench:
    """Serves a model that weighs distance and seats."""
    bench.publish(arm(publish_bundle(bench.project.artifacts, weights=WEIGHTS)))
    return bench


def explained(bench: Bench, *rows: dict[str, Any], how: str = "true") -> Any:
    reply = bench.caller.post(f"{PATH}?explain={how}", {"rows": [{**ROW, **row} for row in rows]})
    assert reply.status == 200, reply.body
    return reply.json["predictions"]


def test_reasons_and_base_add_up_to_the_value_with_the_largest_first(weighing: Bench) -> None:
    [told] = explained(weighing, {"distance": 500.0, "seats": 10})
    contributions = [one["contribution"] for one in told["reasons"]]
    assert told["base"] + sum(contributions) == pytest.approx(told["value"])
    assert contributions == sorted(contributions, key=abs, reverse=True)
    assert (told["reasons"][0]["input"], told["reasons"][0]["value"]) == ("distance", 500.0)


def test_as_many_are_told_as_are_asked_for(weighing: Bench) -> None:
    first, second = explained(weighing, {"seats": 7}, {"distance": 0.0, "seats": 900}, how="1")
    assert [one["input"] for one in first["reasons"]] == ["distance"]
    assert [one["input"] for one in second["reasons"]] == ["seats"]


def test_without_being_asked_none_are_told(weighing: Bench) -> None:
    assert "reasons" not in weighing.predict(ROW)["predictions"][0]
    assert "reasons" not in explained(weighing, {}, how="false")[0]


def test_a_version_that_stands_in_for_a_canary_gives_its_own_reasons(weighing: Bench) -> None:
    artifacts = weighing.project.artifacts
    failing = publish_bundle(artifacts, weights=[0.0, 0.0, 0.0, 3e38, 0.0])
    arms = (
        arm(publish_bundle(artifacts, weights=WEIGHTS), percent=1),
        arm(failing, role="canary", version=2, percent=99),
    )
    weighing.publish(*arms, sequence=2)
    for told in explained(weighing, *[{"distance": 500.0, "seats": 0}] * 8):
        assert told["base"] + sum(one["contribution"] for one in told["reasons"]) == pytest.approx(1000.0)


@pytest.mark.parametrize("how", ["many", "-1", "1e3", "", "99999", "%F0"])
def test_what_is_no_number_of_reasons_is_refused(weighing: Bench, how: str) -> None:
    reply = weighing.caller.post(f"{PATH}?explain={how}", {"rows": [ROW]})
    assert (reply.status, reply.json["field"]) == (422, "explain")


def test_reasons_for_many_rows_are_refused_before_anything_is_predicted(weighing: Bench) -> None:
    reply = weighing.caller.post(f"{PATH}?explain=true", {"rows": [ROW] * 17})
    assert (reply.status, reply.json["fix"]) == (413, "send at most 16 rows with explain, or leave it out")
    assert not weighing.records
