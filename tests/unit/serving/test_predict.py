"""From a request to its answer and its records, with everything in memory."""

import asyncio
import struct
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import NOW, PATH, Bench
from tests.serving.projects import arm

from octavo.clock import to_micros
from octavo.features.values import FeatureStatus
from octavo.serving.attempts import Call
from octavo.serving.lineup import Lineup

NAN = float("nan")
WEIGHTS = [1.0, 10.0, 100.0, 0.0, 0.0]
INPUTS = ("origin_delays__dep_delay_mean_1h", "origin_delays__events_count_1h", "hour", "distance", "seats")
OVERFLOWING = [0.0, 0.0, 0.0, 3e38, 0.0]
BROKEN = "from octavo import on_demand\n\n\n@on_demand\ndef hour(sched_dep):\n    raise OSError\n"
PRESENT, MISSING, UNREAD = FeatureStatus.PRESENT, FeatureStatus.MISSING, FeatureStatus.UNREAD


def serve(bench: Bench, *, live: dict[str, Any] | None = None, **others: dict[str, Any]) -> None:
    """Serve a live version, and others by their role."""
    digests = {role: publish_bundle(bench.project.artifacts, **changes) for role, changes in others.items()}
    arms = [
        arm(digest, role=role, version=2, percent=50 if role == "canary" else 0) for role, digest in digests.items()
    ]
    bench.publish(arm(publish_bundle(bench.project.artifacts, **(live or {})), percent=100), *arms)


def test_a_prediction_rests_on_looked_up_computed_and_sent_values(bench: Bench) -> None:
    bench.delays(3.0, 5.0)
    serve(bench, live={"weights": WEIGHTS})
    answer = bench.predict(ROW)
    [prediction] = answer["predictions"]
    assert prediction["value"] == 4 + 10 * 2 + 100 * 12
    assert prediction["version"] == 1
    assert "features" not in prediction, "all are present"
    assert (answer["deployment"], answer["model"], answer.get("degraded")) == ("eta", "arrival_delay", None)


def test_what_is_not_known_or_not_sent_is_missing(bench: Bench) -> None:
    bench.delays(3.0)
    serve(bench)
    [prediction] = bench.predict({**ROW, "origin": "EWR", "seats": None})["predictions"]
    assert prediction["features"] == {INPUTS[0]: "missing", "seats": "missing"}


def test_the_inputs_are_told_on_request(bench: Bench) -> None:
    bench.delays(3.0)
    serve(bench)
    reply = bench.caller.post(f"{PATH}?values=1", {"rows": [{**ROW, "seats": None}]})
    [prediction] = reply.json["predictions"]
    assert prediction["values"] == dict(zip(INPUTS, [3.0, 1.0, 12.0, 500.0, None], strict=True))


def test_what_was_predicted_is_kept_as_it_was_served(bench: Bench) -> None:
    bench.delays(3.0, 5.0)
    serve(bench)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    [prediction] = bench.predict({**ROW, "seats": None}, traceparent=f"00-{trace}-00f067aa0ba902b7-01")["predictions"]
    [record] = bench.records
    assert (record.id, record.output, record.arm, record.version) == (prediction["id"], prediction["value"], "live", 1)
    assert struct.unpack("<5f", record.inputs)[:4] == (4.0, 2.0, 12.0, 500.0)
    assert list(record.status) == [PRESENT, PRESENT, PRESENT, PRESENT, MISSING]
    np.testing.assert_array_equal(np.frombuffer(record.ages_s, "<f4"), [1, 1, NAN, NAN, NAN])
    assert record.entities == {"origin": "JFK"}
    assert record.request == {"distance": 500.0, "sched_dep": "2013-07-01T12:30:00+00:00", "seats": None}
    assert (record.caller.split("/")[0], record.trace, record.deployment) == ("admin", trace, "eta")
    assert record.digest.startswith("sha256:")
    assert 0 < record.latency_us < 5_000_000


def test_an_id_tells_when_and_is_never_given_twice(bench: Bench) -> None:
    serve(bench)
    ids = [UUID(one["id"]) for one in bench.predict(*[ROW] * 600)["predictions"]]
    assert len(set(ids)) == 600
    assert {one.version for one in ids} == {7}
    assert {one.int >> 80 for one in ids} == {to_micros(NOW) // 1000}


def test_rows_are_answered_in_their_order_however_many_there_are(bench: Bench) -> None:
    serve(bench, live={"weights": [0, 0, 0, 1, 0]}, canary={"weights": [0, 0, 0, 1, 0]})
    distances = [float(number) for number in range(519)]
    predictions = bench.predict(*[{**ROW, "distance": distance} for distance in distances])["predictions"]
    assert [one["value"] for one in predictions] == distances
    assert {one.get("arm", "live") for one in predictions} == {"live", "canary"}
    assert [record.id for record in sorted(bench.records, key=lambda one: one.output)] == [
        one["id"] for one in predictions
    ]


def test_a_large_request_pauses_for_its_neighbours(bench: Bench) -> None:
    serve(bench)
    call = Call(body=rows(3 * 256), caller="ann", arrived_ns=0)
    assert asyncio.run(turns(bench.app._predictor.answer(served(bench), call))) == 3


def test_a_canary_answers_its_share_and_says_so(bench: Bench) -> None:
    serve(bench, live={"bias": 0.0}, canary={"bias": 1000.0})
    predictions = bench.predict(*[ROW] * 200)["predictions"]
    by_arm = {one.get("arm", "live"): one["value"] for one in predictions}
    assert by_arm["canary"] == by_arm["live"] + 1000
    assert 60 < sum(one.get("arm") == "canary" for one in predictions) < 140
    assert {one["version"] for one in predictions if one.get("arm") == "canary"} == {2}


def test_where_a_canary_fails_the_live_version_answers_and_both_are_kept(bench: Bench) -> None:
    serve(bench, canary={"weights": OVERFLOWING})
    predictions = bench.predict(*[ROW] * 40)["predictions"]
    assert {(one.get("arm", "live"), one["version"]) for one in predictions} == {("live", 1)}
    failed = [record for record in bench.records if record.arm == "canary"]
    assert 5 < len(failed) < 35
    assert all(np.isinf(record.output) for record in failed)
    assert {record.id for record in failed} < {one["id"] for one in predictions}
    counted = 'octavo_prediction_failures_total{deployment="eta",model="arrival_delay",version="2",arm="canary"}'
    assert f"{counted} {len(failed)}\n" in bench.metrics.render()


def test_a_live_version_that_fails_costs_the_answer_and_is_kept(bench: Bench) -> None:
    serve(bench, live={"weights": OVERFLOWING})
    reply = bench.caller.post(PATH, {"rows": [ROW, ROW]})
    assert (reply.status, reply.json["code"]) == (500, "prediction_failed")
    assert reply.json["detail"].startswith("rows[0]: no version of the model gave a finite number")
    assert [(record.arm, record.output) for record in bench.records] == [("live", np.inf)] * 2


def test_an_on_demand_function_that_fails_is_told_apart_from_the_request(bench: Bench) -> None:
    serve(bench, live={"code": BROKEN})
    reply = bench.caller.post(PATH, {"rows": [ROW]})
    assert (reply.status, reply.json["code"]) == (500, "prediction_failed")
    [record] = bench.records
    assert (record.inputs, record.status, np.isnan(record.output)) == (b"", b"", True)


def test_a_shadow_sees_every_row_answers_none_and_is_kept_by_the_same_ids(bench: Bench) -> None:
    serve(bench, shadow={"bias": 7.0})
    predictions = bench.predict(*[ROW] * 3)["predictions"]
    assert {one["version"] for one in predictions} == {1}
    shadows = [record for record in bench.records if record.arm == "shadow"]
    assert [record.id for record in shadows] == [one["id"] for one in predictions]
    assert {record.output for record in shadows} == {predictions[0]["value"] + 7}


def test_a_shadow_that_fails_costs_nobody_anything(bench: Bench) -> None:
    serve(bench, shadow={"code": BROKEN})
    assert len(bench.predict(ROW)["predictions"]) == 1
    assert [(record.arm, np.isnan(record.output)) for record in bench.records] == [("live", False), ("shadow", True)]


def test_without_the_online_store_answers_are_degraded_and_flagged(bench: Bench) -> None:
    bench.delays(3.0)
    serve(bench, live={"weights": WEIGHTS})
    bench.online.is_gone = True  # type: ignore[attr-defined]  # an Unplugged
    answer = bench.predict(ROW)
    assert answer["degraded"] is True
    [prediction] = answer["predictions"]
    assert prediction["value"] == 1200, "NaN counts as nothing in this model"
    assert prediction["features"] == dict.fromkeys(INPUTS[:2], "unread")
    assert list(bench.records[0].status)[:2] == [UNREAD, UNREAD]
    assert "octavo_degraded_requests_total 1\n" in bench.metrics.render()


def test_answers_are_whole_again_when_the_online_store_comes_back(bench: Bench) -> None:
    bench.delays(3.0)
    serve(bench)
    for gone in (True, False):
        bench.online.is_gone = gone  # type: ignore[attr-defined]
        answer = bench.predict(ROW)
        assert answer.get("degraded", False) is gone
    assert "features" not in answer["predictions"][0]


def test_a_view_that_the_store_lacks_is_missing_and_flagged(bench: Bench) -> None:
    serve(bench)
    answer = bench.predict(ROW)
    assert answer["degraded"] is True
    assert [answer["predictions"][0]["features"][name] for name in INPUTS[:2]] == ["missing", "missing"]


def test_with_a_full_disk_predictions_go_on_flagged_and_counted(bench: Bench) -> None:
    bench.delays(3.0)
    serve(bench)
    for is_full, lost in ((True, 2), (False, 2)):
        bench.log.is_full = is_full
        assert bench.predict(ROW, ROW).get("degraded", False) is is_full
        assert f"octavo_prediction_records_lost_total {lost}\n" in bench.metrics.render()
    assert len(bench.records) == 2


def served(bench: Bench) -> Lineup:
    return bench.watcher.lineups["eta"]


async def turns(answer: Awaitable[object]) -> int:
    """In how many turns of the loop something is answered."""
    task, count = asyncio.ensure_future(answer), 0
    while not task.done():
        await asyncio.sleep(0)
        count += 1
    await task
    return count


def rows(n: int) -> bytes:
    return msgspec.json.encode({"rows": [ROW] * n})
