"""The same request by any door gives the same answer and the same record."""

from typing import Any

import msgspec
import numpy as np
import pytest
from tests.serving.asgi import Reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.doors import DOORS, INFER, Door, outputs, tensors, told_by_arrow, with_binary
from tests.serving.predictors import PATH, Bench
from tests.serving.projects import arm

from octavo.features.values import FeatureStatus
from octavo.serving.records import PredictionRecord

GOLDEN = [
    ROW,
    {"distance": 0.1, "sched_dep": "2013-07-01T23:59:59.999999+02:00", "seats": -(2**63), "origin": 'unbekannt, "Ä"'},
    {"distance": -3.4028234663852886e38, "sched_dep": "1900-01-01T00:00:00Z", "seats": 2**63 - 1, "origin": " "},
    {"distance": 7, "sched_dep": "2200-12-31T00:00:00Z", "seats": 0, "origin": "JFK"},
]
MATRIX = [[1.0, 2.0, 3.0, 4.0, 5.0], [0.5, 0.25, 0.0, -1.0, 100.0]]
GOES_WITH_EACH = ("id", "latency_us")


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves one version, with features."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    bench.delays(10.0, 20.0)
    return bench


def ask(bench: Bench, door: Door, rows: Any) -> Reply:
    body, headers = door.body(rows)
    return bench.caller.post(door.path, body, **headers)


def infer(bench: Bench, document: dict[str, Any], *, path: str = INFER) -> Reply:
    return bench.caller.post(path, document)


def matrix_tensor(matrix: list[list[float | None]] | list[list[float]] = MATRIX) -> dict[str, Any]:
    return {"name": "model_inputs", "datatype": "FP64", "shape": [len(matrix), len(matrix[0])], "data": matrix}


def kept(records: list[PredictionRecord]) -> list[dict[str, Any]]:
    """What records say, without what differs between two requests that are the same."""
    told = [msgspec.structs.asdict(record) for record in records]
    return [{name: value for name, value in one.items() if name not in GOES_WITH_EACH} for one in told]


@pytest.mark.parametrize("name", [name for name in DOORS if name != "predict"])
def test_a_door_gives_the_answer_and_the_record_that_predict_gives(served: Bench, name: str) -> None:
    expected = DOORS["predict"].values(ask(served, DOORS["predict"], GOLDEN))
    reply = ask(served, DOORS[name], GOLDEN)
    assert reply.status == 200, reply.body
    assert DOORS[name].values(reply) == expected
    records = kept(served.records)
    assert len(records) == 2 * len(GOLDEN)
    assert records[: len(GOLDEN)] == records[len(GOLDEN) :]


@pytest.mark.parametrize("name", DOORS)
def test_by_every_door_a_field_that_may_be_left_out_may_be(served: Bench, name: str) -> None:
    reply = ask(served, DOORS[name], [{key: value for key, value in ROW.items() if key != "seats"}])
    assert reply.status == 200, reply.body
    assert served.records[-1].request["seats"] is None


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize(
    ("change", "field"),
    [({"distance": 1e39}, "distance"), ({"sched_dep": "yesterday"}, "sched_dep"), ({"origin": "x" * 1025}, "origin")],
)
def test_every_door_refuses_a_wrong_value(served: Bench, name: str, change: dict[str, Any], field: str) -> None:
    reply = ask(served, DOORS[name], [{**ROW, **change}])
    assert reply.status == 422
    told = reply.json
    assert field in told["field"] or told["field"].startswith("inputs[")
    assert told["code"] == "invalid_request"
    assert served.records == []


@pytest.mark.parametrize("name", DOORS)
def test_every_door_refuses_too_many_rows(served: Bench, name: str) -> None:
    reply = ask(served, DOORS[name], [ROW] * 1001)
    assert (reply.status, reply.json["code"]) == (413, "limit_exceeded")


@pytest.mark.parametrize("name", DOORS)
def test_every_door_refuses_an_unknown_field_and_a_missing_one(served: Bench, name: str) -> None:
    body, headers = DOORS[name].body([ROW])
    told = served.caller.post(DOORS[name].path, body.replace(b"distance", b"destance"), **headers).json
    assert "rows[0]" in told["field"]
    assert "distance" in told["fix"]


@pytest.mark.parametrize("name", DOORS)
def test_every_door_wants_a_token(served: Bench, name: str) -> None:
    body, headers = DOORS[name].body([ROW])
    reply = served.caller.post(DOORS[name].path, body, **{**headers, "authorization": "Bearer x"})
    assert (reply.status, reply.json["code"]) == (401, "not_authenticated")


def test_outputs_are_prediction_id_and_version(served: Bench) -> None:
    reply = infer(served, {"id": "mine", "inputs": tensors([ROW, ROW])}).json
    assert (reply["id"], reply["model_name"], reply["model_version"]) == ("mine", "eta", "1")
    assert [(one["name"], one["datatype"], one["shape"]) for one in reply["outputs"]] == [
        ("prediction", "FP64", [2]),
        ("id", "BYTES", [2]),
        ("version", "INT64", [2]),
    ]
    assert reply["outputs"][1]["data"] == [record.id for record in served.records]
    assert reply["outputs"][2]["data"] == [1, 1]


def test_only_the_outputs_that_are_asked_for_are_given(served: Bench) -> None:
    assert list(outputs(infer(served, {"inputs": tensors([ROW]), "outputs": [{"name": "id"}]}))) == ["id"]
    told = infer(served, {"inputs": tensors([ROW]), "outputs": [{"name": "predictions"}]})
    assert (told.status, told.json["error"]) == (
        404,
        "there is no output named 'predictions'; did you mean 'prediction'?",
    )


def test_binary_outputs_follow_the_json(served: Bench) -> None:
    reply = infer(served, {"inputs": tensors([ROW]), "parameters": {"binary_data_output": True}})
    size = int(reply.headers["inference-header-content-length"])
    document = msgspec.json.decode(reply.body[:size])
    sizes = [one["parameters"]["binary_data_size"] for one in document["outputs"]]
    assert sizes == [8, 4 + 36, 8]
    assert len(reply.body) == size + sum(sizes)
    assert np.frombuffer(reply.body[size : size + 8], "<f8")[0] == served.records[0].output


@pytest.mark.parametrize("binary", [False, True])
def test_a_matrix_is_given_to_the_model_as_it_is(served: Bench, binary: bool) -> None:
    head = {name: value for name, value in matrix_tensor().items() if name != "data"}
    data = np.array(MATRIX, "<f8").tobytes()
    body, headers = with_binary([head], [data]) if binary else (msgspec.json.encode({"inputs": [matrix_tensor()]}), {})
    reply = served.caller.post(INFER, body, **headers)
    assert outputs(reply)["prediction"] == [15.0, 99.75]
    records = served.records
    assert [np.frombuffer(one.inputs, np.float32).tolist() for one in records] == MATRIX
    assert [(one.entities, one.request, one.output) for one in records] == [({}, {}, 15.0), ({}, {}, 99.75)]
    assert {status for one in records for status in one.status} == {int(FeatureStatus.PRESENT)}


@pytest.mark.parametrize("key", ["inputs", "instances"])
def test_mlflows_lists_of_numbers_are_a_matrix_and_null_is_missing(served: Bench, key: str) -> None:
    reply = served.caller.post("/invocations", {key: [[1.0, None, 3.0, 4.0, 5.0]]})
    assert reply.json["predictions"] == [13.0]
    assert served.records[0].status[1] == FeatureStatus.MISSING


def test_a_large_matrix_is_answered_in_its_order(served: Bench) -> None:
    matrix = [[float(number), 0.0, 0.0, 0.0, 0.0] for number in range(700)]
    reply = infer(served, {"inputs": [matrix_tensor(matrix)]})
    assert outputs(reply)["prediction"] == [row[0] for row in matrix]


def test_a_matrix_is_routed_and_shadowed_like_rows(bench: Bench) -> None:
    live, other = (publish_bundle(bench.project.artifacts, bias=bias) for bias in (0.0, 1.0))
    bench.publish(
        arm(live, percent=50), arm(other, role="canary", version=2, percent=50), arm(live, role="shadow", version=3)
    )
    reply = infer(bench, {"inputs": [matrix_tensor(MATRIX * 50)]})
    assert set(outputs(reply)["version"]) == {1, 2}
    assert {one.arm for one in bench.records} == {"live", "canary", "shadow"}


def test_a_version_that_is_loaded_answers_by_its_number_and_no_other_is_asked(bench: Bench) -> None:
    live, other = (publish_bundle(bench.project.artifacts, bias=bias) for bias in (0.0, 1.0))
    bench.publish(arm(live), arm(other, role="shadow", version=2, percent=0))
    reply = infer(bench, {"inputs": [matrix_tensor()]}, path="/v2/models/eta/versions/2/infer")
    assert (reply.json["model_version"], outputs(reply)["prediction"]) == ("2", [16.0, 100.75])
    assert [(one.version, one.arm) for one in bench.records] == [(2, "shadow")] * 2
    told = infer(bench, {"inputs": [matrix_tensor()]}, path="/v2/models/eta/versions/9/infer")
    assert told.status == 404
    assert "there is no loaded version of deployment 'eta' named '9'" in told.json["error"]


def test_metadata_describes_what_is_taken_and_given(served: Bench) -> None:
    about = served.caller.get("/v2/models/eta").json
    assert (about["name"], about["versions"]) == ("eta", ["1"])
    assert {one["name"]: (one["datatype"], one["shape"], one["parameters"]["required"]) for one in about["inputs"]} == {
        "distance": ("FP64", [-1], True),
        "sched_dep": ("BYTES", [-1], True),
        "seats": ("INT64", [-1], False),
        "origin": ("BYTES", [-1], True),
        "model_inputs": ("FP32", [-1, 5], False),
    }
    assert [one["name"] for one in about["outputs"]] == ["prediction", "id", "version"]


def test_health_is_told_to_anyone(bench: Bench) -> None:
    assert [bench.caller.get(path).status for path in ("/v2/health/live", "/v2/health/ready", "/ping")] == [
        200,
        503,
        503,
    ]
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    assert [bench.caller.get(path).status for path in ("/v2/health/ready", "/ping")] == [200, 200]
    assert bench.caller.get("/v2").json["name"] == "octavo"
    ready = ("/v2/models/eta/ready", "/v2/models/eta/versions/1/ready", "/v2/models/eta/versions/2/ready")
    assert [bench.caller.get(path).status for path in ready] == [200, 200, 404]


def test_invocations_want_one_deployment_or_its_name(bench: Bench) -> None:
    assert (bench.caller.post("/invocations", b"{}").status, bench.records) == (503, [])
    live = arm(publish_bundle(bench.project.artifacts))
    bench.publish(live)
    bench.publish(live, deployment="other")
    reply = bench.caller.post("/invocations", {"dataframe_records": [ROW]})
    assert (reply.status, reply.json["code"]) == (409, "conflict")
    assert "POST /predict/{deployment}/invocations" in reply.json["detail"]
    assert bench.caller.post(f"{PATH}/invocations", {"dataframe_records": [ROW]}).status == 200


def test_lines_may_end_in_empty_ones_and_quote_their_cells(served: Bench) -> None:
    lines = b'\xef\xbb\xbforigin,distance,sched_dep,seats\r\n"J""FK, x",5e2,2013-07-01T12:30:00Z,\r\n\r\n\r\n'
    reply = served.caller.post("/invocations", lines, content_type="text/csv; charset=utf-8")
    assert (reply.status, len(reply.json["predictions"])) == (200, 1)
    [record] = served.records
    assert (record.entities, record.request["distance"], record.request["seats"]) == (
        {"origin": 'J"FK, x'},
        500.0,
        None,
    )
    assert reply.json["ids"] == [record.id]


def test_a_degraded_answer_says_so_by_every_door(served: Bench) -> None:
    served.log.is_full = True
    for name, door in DOORS.items():
        reply = ask(served, door, [ROW])
        if name == "arrow":
            assert told_by_arrow(reply).schema.metadata[b"degraded"] == b"true"
            continue
        told = reply.json
        assert told.get("degraded") or told["parameters"]["degraded"]
