"""A graph of deployments and functions answers one call, and each node is recorded."""

import gc
from datetime import timedelta
from typing import Any
from weakref import ref

import msgspec
import pytest
from tests.serving import calls
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.composed import CODE, FAR, OFFER, SEATS, deployment, function, publish_composite, publish_nodes
from tests.serving.doors import DOORS, outputs, tensors
from tests.serving.predictors import NOW, Bench
from tests.serving.projects import arm

from octavo.monitoring.prediction_log import rows_of
from octavo.release.composites import PlannedNode
from octavo.serving.grpc.messages import HEALTH, HealthCheckRequest, HealthCheckResponse
from octavo.serving.inference import MATRIX
from octavo.serving.recorder import TOPIC


def publish(bench: Bench, *nodes: PlannedNode, **changes: Any) -> None:
    """Publish a composite and have it applied."""
    publish_composite(bench.project, *nodes, **changes)
    bench.watcher.look()


@pytest.fixture
def deal(bench: Bench) -> Bench:
    """Serves two deployments, and a composite of them."""
    publish_nodes(bench.project)
    publish(bench, *OFFER)
    return bench


def ask(bench: Bench, *rows: dict[str, Any]) -> Any:
    return bench.caller.post("/predict/deal", {"rows": [{**ROW, "amount": 2.0, **row} for row in rows]})


def recorded(bench: Bench) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = rows_of(bench.log.read(TOPIC, start=0)).to_pylist()
    return rows


def test_nodes_are_asked_in_their_order_for_the_rows_that_are_theirs(deal: Bench) -> None:
    answer = ask(deal, {"distance": 500.0, "seats": 200}, {"distance": 300.0, "seats": 100}).json
    assert (answer["composite"], answer["version"]) == ("deal", 1)
    wide, narrow = answer["predictions"]
    assert (wide["value"], narrow["value"]) == (1400.0, 600.0)
    assert wide["nodes"]["wide"]["value"] == 200.0
    assert narrow["nodes"]["wide"] == {"value": None}
    assert [wide["nodes"][name].get("version") for name in ("far", "wide", "offer")] == [1, 1, None]


def test_each_node_is_recorded_with_its_parent_and_the_call_itself_too(deal: Bench) -> None:
    [prediction] = ask(deal, {"distance": 500.0, "seats": 200}).json["predictions"]
    far, wide, whole = recorded(deal)
    assert [one["deployment"] for one in (far, wide, whole)] == ["far", "wide", "deal"]
    assert (far["parent"], wide["parent"], whole["parent"]) == (prediction["id"], prediction["id"], None)
    assert (whole["id"], whole["output"], whole["version"]) == (prediction["id"], 1400.0, 1)
    assert far["id"] == prediction["nodes"]["far"]["id"] != prediction["id"]
    assert msgspec.json.decode(whole["entities"]) == {"origin": "JFK"}
    request = msgspec.json.decode(whole["request"])
    assert (request["amount"], sorted(request)) == (2.0, ["amount", "distance", "sched_dep", "seats"])


def test_an_earlier_node_stands_in_for_a_field_of_a_later_model(deal: Bench) -> None:
    publish(deal, PlannedNode(name="distance", function=function("is_wide", "seats")), deployment("far"), sequence=2)
    sent = {name: value for name, value in ROW.items() if name != "distance"}
    reply = deal.caller.post("/predict/deal", {"rows": [{**sent, "seats": 200, "amount": 1.0}]})
    assert reply.json["predictions"][0]["value"] == 1.0
    refused = deal.caller.post("/predict/deal", {"rows": [{**ROW, "amount": 1.0}]})
    assert (refused.status, refused.json["field"]) == (422, "rows[0].distance")


def test_a_node_that_needs_one_that_failed_is_not_asked_and_the_answer_fails_for_that_row(deal: Bench) -> None:
    distance = PlannedNode(name="distance", function=function("halved", "far"))
    publish(deal, deployment("far"), distance, deployment("wide"), sequence=2)
    assert ask(deal, {"distance": 500.0, "seats": 100}).json["predictions"][0]["value"] == 100.0
    failed = ask(deal, {"distance": 500.0}, {"distance": 5000.0})
    assert (failed.status, failed.json["code"]) == (500, "prediction_failed")
    assert "rows[1]: node 'wide'" in failed.json["detail"]
    outputs = [(one["deployment"], one["output"]) for one in recorded(deal)][-5:]
    assert [name for name, _ in outputs] == ["far", "far", "wide", "deal", "deal"]
    assert outputs[-1][1] != outputs[-1][1], "it is on record that there was no answer"


def test_a_canary_that_fails_in_a_node_is_stood_in_for_by_the_live_version(deal: Bench) -> None:
    live, broken = (
        publish_bundle(deal.project.artifacts, weights=weights) for weights in (FAR, [0.0, 0.0, 0.0, 3e38, 0.0])
    )
    arms = arm(live, percent=1), arm(broken, role="canary", version=2, percent=99)
    deal.publish(*arms, deployment="far", sequence=2)
    answers = ask(deal, *[{"distance": 500.0, "seats": 100}] * 20).json["predictions"]
    assert [one["value"] for one in answers] == [1000.0] * 20
    assert {one["nodes"]["far"]["version"] for one in answers} == {1}


def test_a_version_that_a_composite_was_asked_by_is_let_go_once_another_is_live(deal: Bench) -> None:
    ask(deal, {})
    before = ref(deal.watcher.lineups["far"].fallback.model)
    deal.publish(arm(publish_bundle(deal.project.artifacts, weights=SEATS), version=2), deployment="far", sequence=2)
    deal.clock.advance(NOW + timedelta(days=1))
    deal.watcher.look()
    gc.collect()
    assert before() is None
    assert ask(deal, {"seats": 100}).json["predictions"][0]["value"] == 200.0


def test_a_field_that_only_a_condition_needs_may_be_left_out_where_it_does_not_hold(deal: Bench) -> None:
    gone = publish_bundle(deal.project.artifacts, weights=SEATS)
    deal.publish(arm(gone), deployment="wide", sequence=2)
    sent = {name: value for name, value in ROW.items() if name != "seats"}
    reply = deal.caller.post("/predict/deal", {"rows": [{**sent, "amount": 1.0}]})
    assert reply.json["predictions"][0]["value"] == 500.0


def test_without_a_live_version_of_a_node_the_call_is_refused_with_what_to_do(deal: Bench) -> None:
    publish(deal, deployment("far"), deployment("gone"), sequence=2)
    reply = ask(deal, {})
    assert (reply.status, reply.json["code"]) == (503, "unavailable")
    assert "octavo deployments release gone" in reply.json["detail"]


@pytest.mark.parametrize("door", [name for name, door in DOORS.items() if "eta" in door.path or "gRPC" in name])
def test_it_answers_the_same_by_every_door(deal: Bench, door: str) -> None:
    publish(deal, *OFFER, name="eta")
    rows = [{**ROW, "amount": 2.0, "seats": 200}, {**ROW, "amount": 2.0, "distance": 300.0}]
    body, headers = DOORS[door].body(rows)
    assert DOORS[door].values(deal.caller.post(DOORS[door].path, body, **headers)) == [1400.0, 600.0]
    assert [one["deployment"] for one in recorded(deal)] == ["far", "far", "wide", "eta", "eta"]
    requests = [msgspec.json.decode(one["request"]) for one in recorded(deal)[-2:]]
    assert [(one["amount"], one["distance"], one["seats"]) for one in requests] == [
        (2.0, 500.0, 200),
        (2.0, 300.0, 100),
    ]


@pytest.mark.parametrize("door", ["predict", "arrow", "tensors", "binary tensors", "gRPC, raw"])
def test_of_many_rows_each_is_answered_as_it_would_be_alone(deal: Bench, door: str) -> None:
    publish(deal, *OFFER, name="eta")
    rows = [{**ROW, "amount": 2.0, "distance": 10.0 * number, "seats": number} for number in range(300)]
    body, headers = DOORS[door].body(rows)
    values = DOORS[door].values(deal.caller.post(DOORS[door].path, body, **headers))
    assert values == [2.0 * (10.0 * number + (number if number > 150 else 0)) for number in range(300)]


def test_calls_of_grpc_in_a_form_that_is_known_are_answered_as_the_first_was(deal: Bench) -> None:
    publish(deal, *OFFER, name="eta")
    for number in range(40):
        body, headers = DOORS["gRPC"].body([{**ROW, "amount": 2.0, "distance": 100.0 + number}])
        assert DOORS["gRPC"].values(deal.caller.post(DOORS["gRPC"].path, body, **headers)) == [200.0 + 2 * number]


def test_its_tensors_name_it_and_its_version_and_the_predictions_own_ids(deal: Bench) -> None:
    sent = {"inputs": tensors([{**ROW, "amount": 2.0}]), "id": "7"}
    for path in ("/v2/models/deal/infer", "/v2/models/deal/versions/1/infer"):
        reply = deal.caller.post(path, sent)
        about = [reply.json[name] for name in ("model_name", "model_version", "id")]
        assert about == ["deal", "1", "7"]
        assert (outputs(reply)["version"], outputs(reply)["id"]) == ([1], [recorded(deal)[-1]["id"]])
    assert deal.caller.post("/v2/models/deal/versions/2/infer", sent).status == 404


def test_it_is_described_as_a_model_is(deal: Bench) -> None:
    about = deal.caller.get("/v2/models/deal").json
    assert (about["name"], about["versions"]) == ("deal", ["1"])
    required = {one["name"]: one["parameters"]["required"] for one in about["inputs"]}
    assert required == {"amount": True, "distance": True, "sched_dep": True, "origin": True, "seats": False}
    assert deal.caller.get("/v2/models/deal/ready").json == {"name": "deal", "ready": True}
    index = deal.caller.post("/v2/repository/index").json
    assert {"name": "deal", "version": "1", "state": "READY"} in index


def test_while_it_cannot_be_asked_it_is_not_ready_and_says_why(deal: Bench) -> None:
    publish(deal, deployment("far"), deployment("gone"), sequence=2)
    refused = deal.caller.get("/v2/models/deal/ready")
    assert (refused.status, "octavo deployments release gone" in refused.json["error"]) == (503, True)
    [told] = [one for one in deal.caller.post("/v2/repository/index").json if one["name"] == "deal"]
    assert (told["state"], "'gone'" in told["reason"]) == ("UNAVAILABLE", True)
    assert not [one for one in deal.caller.post("/v2/repository/index", {"ready": True}).json if one["name"] == "deal"]


def test_the_health_service_knows_it(deal: Bench) -> None:
    asked = calls.frame(HealthCheckRequest(service="deal").SerializeToString())

    def told() -> int:
        reply = deal.caller.post(f"/{HEALTH}/Check", asked, **calls.HEADERS)
        status: int = HealthCheckResponse.FromString(reply.body).status
        return status

    assert told() == HealthCheckResponse.SERVING
    publish(deal, deployment("far"), deployment("gone"), sequence=2)
    assert told() == HealthCheckResponse.NOT_SERVING


def test_a_matrix_is_refused_since_its_models_take_different_inputs(deal: Bench) -> None:
    matrix = {"name": MATRIX, "datatype": "FP32", "shape": [1, 5], "data": [1.0, 2.0, 3.0, 4.0, 5.0]}
    replies = [deal.caller.post("/v2/models/deal/infer", {"inputs": [matrix]})]
    replies += [deal.caller.post("/predict/deal/invocations", {"inputs": [matrix["data"]]})]
    assert [reply.status for reply in replies] == [422, 422]
    assert all(b"'deal' is a composite" in reply.body for reply in replies)


def test_later_its_rows_may_be_arrow_too(deal: Bench) -> None:
    body, headers = DOORS["arrow"].body([{**ROW, "amount": 2.0, "seats": 200}])
    place = deal.caller.post("/predictions/deal", body, **headers).headers["location"]
    assert deal.work_off()
    assert DOORS["arrow"].values(deal.caller.get(place)) == [1400.0]
    deal.app.close()


def test_reasons_are_not_told_of_a_composite(deal: Bench) -> None:
    reply = deal.caller.post("/predict/deal?explain=true", {"rows": [{**ROW, "amount": 2.0}]})
    assert (reply.status, reply.json["field"]) == (422, "explain")


def test_a_later_manifest_replaces_the_graph_and_an_earlier_one_does_not(deal: Bench) -> None:
    publish(deal, deployment("far"), sequence=3)
    assert ask(deal, {}).json["version"] == deal.watcher.status.composites["deal"].version == 3
    publish(deal, *OFFER, sequence=2)
    assert ask(deal, {}).json["version"] == 3


@pytest.mark.parametrize("code", ["raise SystemError", "", CODE.replace("def offer", "def other")])
def test_code_that_does_not_hold_what_the_graph_names_is_refused_and_the_last_graph_goes_on(
    deal: Bench, code: str
) -> None:
    publish(deal, *OFFER, sequence=2, code=code)
    assert ask(deal, {}).json["version"] == 1
    status = deal.watcher.status.composites["deal"]
    assert (status.version, status.error is None) == (1, False)


def test_it_starts_from_its_own_disk(deal: Bench) -> None:
    again = Bench(deal.project)
    again.watcher.restore()
    assert set(again.watcher.composites) == {"deal"}
    assert ask(again, {"distance": 500.0, "seats": 100}).json["predictions"][0]["value"] == 1000.0


def test_a_document_that_another_key_signed_is_refused(deal: Bench) -> None:
    published = deal.project.artifacts.published("composites/deal.json")
    assert published is not None
    document = msgspec.json.decode(published)
    document["signature"]["value"] = "00" * 64
    deal.project.artifacts.publish("composites/deal.json", msgspec.json.encode(document))
    deal.watcher.look()
    assert "signature" in str(deal.watcher.status.composites["deal"].error)
    assert ask(deal, {}).status == 200


def test_a_composite_answers_later_too_and_each_node_is_recorded(deal: Bench) -> None:
    rows = [{**ROW, "amount": 2.0, "distance": 500.0, "seats": 200}]
    place = deal.caller.post("/predictions/deal", {"rows": rows}).headers["location"]
    assert deal.work_off()
    answer = deal.caller.get(place).json
    assert (answer["composite"], answer["predictions"][0]["value"]) == ("deal", 1400.0)
    assert [one["deployment"] for one in recorded(deal)] == ["far", "wide", "deal"]
    deal.app.close()
