"""What callers of the outside protocols should not send, and what they are told."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.asgi import Reply
from tests.serving.bundles import PLAN_OF_TESTS, ROW, publish_bundle
from tests.serving.doors import INFER, tensors, with_binary
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import arm

SCORE = "/invocations"


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves one version."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "model_inputs", "datatype": "FP32", "shape": [1, 5], "data": [1, 2, 3, 4, 5], **changes}


def changed(name: str, **changes: Any) -> list[dict[str, Any]]:
    """The tensors of a good row, one of them changed."""
    return [{**one, **changes} if one["name"] == name else one for one in tensors([ROW])]


def check(reply: Reply, detail: str, *, status: int = 422) -> None:
    told = reply.json
    assert (reply.status, told.get("error", told.get("detail", ""))[: len(detail)]) == (status, detail)
    assert {"code", "request_id"} <= set(told)


@pytest.mark.parametrize(
    ("inputs", "detail"),
    [
        ([], "inputs: expected 'array' of length >= 1"),
        ([tensor(shape=[])], "inputs[0].shape: expected 'array' of length >= 1"),
        ([tensor(shape=[1, 5, 1])], "inputs[0].shape: expected 'array' of length <= 2"),
        ([tensor(shape=[-1, 5])], "inputs[0].shape[0]: expected 'int' >= 0"),
        ([tensor(shape=[2**63, 2])], "inputs[0].shape[0]: expected 'int' <= 9223372036854775807"),
        ([tensor(shape=[2**62, 4])], "inputs[0] holds 5 values, which are not those of the shape"),
        ([tensor(shape=[2**62, 0], data=[])], "the request holds more than 1,000 rows"),
        ([tensor(shape=[0, 5], data=[])], "the request holds no row"),
        ([tensor(shape=[5, 1])], "model_inputs holds 1 numbers in a row; the model takes 5"),
        ([tensor(shape=[5])], "model_inputs has the shape [5]"),
        ([tensor(datatype="FP128")], "inputs[0].datatype is 'FP128'"),
        ([tensor(datatype="INT64")], "'model_inputs' is sent as INT64"),
        ([tensor(data=["1", 2, 3, 4, 5])], "inputs[0].data[0] is no FP32"),
        ([tensor(data=[True, 2, 3, 4, 5])], "inputs[0].data[0] is no FP32"),
        ([tensor(data=[1e39, 2, 3, 4, 5])], "inputs[0].data[0] is no FP32"),
        ([tensor(data=[10**400, 2, 3, 4, 5])], "inputs[0].data[0] is no FP32"),
        ([tensor(data=[[[1]]])], "inputs[0].data[0][0]: expected 'bool | int | float | str | null', got 'array'"),
        ([tensor(), tensor()], "inputs[1] is a second 'model_inputs'"),
        ([tensor(), *tensors([ROW])], "model_inputs is sent beside fields"),
        ([{"name": "x", "datatype": "FP32", "shape": [1]}], "inputs[0] holds neither of data and binary_data_size"),
        ([tensor(parameters={"binary_data_size": 20})], "inputs[0] holds both of data and binary_data_size"),
        ([tensor(parameters={"shared_memory_region": "r"})], "inputs[0] has the parameter 'shared_memory_region'"),
        (changed("seats", datatype="FP32"), "'seats' is sent as FP32"),
        (changed("origin", datatype="INT64", data=[1]), "'origin' is sent as INT64"),
        (changed("seats", datatype="INT8", data=[128]), "inputs[2].data[0] is no INT8"),
        (changed("seats", data=[2**63]), "inputs[2].data[0] is no INT64"),
        (changed("seats", shape=[2], data=[1, 2]), "'seats' has the shape [2], where the first tensor has 1 rows"),
        (changed("distance", data=[None]), "rows[0].distance: expected 'float', got 'null'"),
    ],
)
def test_a_wrong_tensor_is_refused(served: Bench, inputs: list[dict[str, Any]], detail: str) -> None:
    check(
        served.caller.post(INFER, {"inputs": inputs}),
        detail,
        status=413 if "more than" in detail else 422,
    )
    assert served.records == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body is empty"),
        (b"[" * 100_000, "the body: expected 'object', got 'array'"),
        (b"\xff", "the body is not"),
        (
            b'{"inputs":[{"name":"a","name":"b","datatype":"FP32","shape":[1],"data":[1]}]}',
            "an object holds 'name' twice",
        ),
        (b'{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[NaN]}]}', "inputs[0].data[0] is NaN"),
        (b'{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[1e999]}]}', "inputs[0].data[0]: number out of"),
        (
            b'{"inputs":[{"name":"a","datatype":"BYTES","shape":[1],"data":["\\ud800"]}]}',
            "inputs[0].data[0] holds half of",
        ),
        (b'{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"daten":[1]}]}', "inputs[0]: object contains unknown"),
    ],
)
def test_a_wrong_document_is_refused(served: Bench, body: bytes, detail: str) -> None:
    check(served.caller.post(INFER, body), detail)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "detail"),
    [
        ("FP32", [1], b"\0" * 3, "inputs[0] holds 3 bytes, which are not those of the shape [1] of FP32"),
        ("FP32", [2**62, 4], b"\0" * 16, "inputs[0] holds 16 bytes"),
        ("BYTES", [1], b"\xff\xff\xff\xffab", "inputs[0]: element 0 ends 4294967293 bytes behind the tensor"),
        ("BYTES", [1], b"\x01\x00", "inputs[0]: element 0 ends"),
        ("BYTES", [2], b"\x01\0\0\0a", "inputs[0] holds 1 elements, which are not those of the shape [2]"),
        ("BYTES", [1], b"\0" * 4000, "inputs[0] holds more elements"),
        ("BYTES", [1], b"\x01\0\0\0\xff", "inputs[0]: element 0 is not UTF-8"),
        ("BOOL", [1], b"\x02", "inputs[0] holds a byte that is no BOOL"),
    ],
)
def test_bytes_that_lie_are_refused(served: Bench, datatype: str, shape: list[int], data: bytes, detail: str) -> None:
    body, headers = with_binary([{"name": "x", "datatype": datatype, "shape": shape}], [data])
    check(served.caller.post(INFER, body, **headers), detail)


def test_a_header_length_that_lies_is_refused(served: Bench) -> None:
    body, headers = with_binary([{"name": "x", "datatype": "FP32", "shape": [1]}], [b"\0" * 4])
    sent = "inference_header_content_length"
    for length in (len(body) + 1, "-1", "9" * 300, "x"):
        check(served.caller.post(INFER, body, **{**headers, sent: str(length)}), "Inference-Header-Content-Length is")
    check(
        served.caller.post(INFER, body[:-1], **headers), "inputs[0].parameters.binary_data_size is no number of the 3"
    )
    check(served.caller.post(INFER, body + b"\0", **headers), "1 bytes behind the JSON belong to no tensor")


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e39])
def test_a_matrix_of_bytes_may_hold_nan_but_nothing_infinite(served: Bench, bad: float) -> None:
    head = {"name": "model_inputs", "datatype": "FP64", "shape": [1, 5]}
    body, headers = with_binary([head], [np.array([1, np.nan, 3, 4, 5], "<f8").tobytes()])
    assert served.caller.post(INFER, body, **headers).status == 200
    body, headers = with_binary([head], [np.array([1, 2, 3, bad, 5], "<f8").tobytes()])
    check(served.caller.post(INFER, body, **headers), "model_inputs[0]: distance is no number between")


def test_a_matrix_that_only_some_versions_take_is_refused(bench: Bench) -> None:
    other = replace(PLAN_OF_TESTS, inputs=PLAN_OF_TESTS.inputs[:-1])
    artifacts = bench.project.artifacts
    bench.publish(arm(publish_bundle(artifacts)), arm(publish_bundle(artifacts, plan=other), role="shadow", version=2))
    check(bench.caller.post(INFER, {"inputs": [tensor()]}), "the loaded versions of 'eta' take different inputs")
    assert bench.caller.post("/v2/models/eta/versions/1/infer", {"inputs": [tensor()]}).status == 200
    assert "model_inputs" not in bench.caller.get("/v2/models/eta").body.decode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", INFER, 405),
        ("POST", "/v2/models/eta", 405),
        ("PUT", INFER, 405),
        ("GET", "/v2/models/etta", 404),
        ("GET", "/v2/models/eta/versions//ready", 404),
        ("GET", "/v2/models/eta/config", 404),
        ("GET", "/v2/repository", 404),
    ],
)
def test_errors_of_v2_have_the_form_of_the_protocol(served: Bench, method: str, path: str, status: int) -> None:
    reply = asyncio.run(served.caller.ask(method, path, parts=[b""]))
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert {"error", "code", "request_id"} <= set(reply.json)


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        ({}, "the body holds no rows"),
        ({"inputs": [[1]], "instances": [[1]]}, "the body holds inputs and instances"),
        ({"instances": []}, "the request holds no row"),
        ({"instances": [[1, 2], [1]]}, "the rows of instances differ in length"),
        ({"instances": [[1, 2]]}, "instances holds 2 numbers in a row; the model takes 5"),
        ({"instances": [[], []]}, "instances holds 0 numbers in a row; the model takes 5"),
        ({"instances": [[1], {"a": 1}]}, "instances mixes objects and lists"),
        ({"instances": [["1"]]}, "instances[0][0]: expected 'float | null', got 'str'"),
        ({"instances": [[1e39, 1, 1, 1, 1]]}, "instances[0]: origin_delays__dep_delay_mean_1h is no number"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "the columns of inputs differ in length: 1, 2"),
        ({"inputs": {}}, "the request holds no row"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "dataframe_split.columns names 'a' twice"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "dataframe_split.data[0] holds 2 values"),
        ({"dataframe_split": {"columns": [], "data": [[]]}}, "dataframe_split.columns names no columns"),
        ({"dataframe_records": [{**ROW, "seats": 1.5}]}, "rows[0].seats: expected 'int | null', got 'float'"),
        ({"dataframe_records": [ROW], "params": {"t": 1}}, "the model takes no params"),
        ({"dataframe_record": [ROW]}, "the body: object contains unknown field"),
    ],
)
def test_a_wrong_invocation_is_refused(served: Bench, document: dict[str, Any], detail: str) -> None:
    check(served.caller.post(SCORE, document), detail)


@pytest.mark.parametrize(
    ("lines", "detail"),
    [
        (b"", "line 1 names no columns"),
        (b"distance,origin\n", "the request holds no row"),
        (b"distance,distance\n1,2\n", "line 1 names 'distance' twice"),
        (b"distance,origin\n1\n", "line 2 holds 1 values, for 2 columns"),
        (b'distance\n"1', "the body is not CSV"),
        (b"distance\n\xff", "the body is not UTF-8"),
        (b"distance,origin,sched_dep\nNaN,JFK,2013-07-01T12:30:00Z\n", "rows[0].distance: expected 'float', got 'str'"),
        (
            b"distance,origin,sched_dep\n1e999,JFK,2013-07-01T12:30:00Z\n",
            "rows[0].distance: expected 'float', got 'str'",
        ),
        (b"distance,origin,sched_dep\n1,,2013-07-01T12:30:00Z\n", "rows[0].origin: expected 'str', got 'null'"),
        (b"distance,origin,sched_dep\n1,JFK,5\n", "rows[0].sched_dep: invalid RFC3339"),
    ],
)
def test_wrong_lines_are_refused(served: Bench, lines: bytes, detail: str) -> None:
    check(served.caller.post(SCORE, lines, content_type="text/csv"), detail)


def test_a_key_that_is_given_twice_is_refused_in_a_record(served: Bench) -> None:
    body = json.dumps({"dataframe_records": [ROW]}).replace('"seats": 100', '"seats": 100, "seats": 101').encode()
    check(served.caller.post(SCORE, body), "an object holds 'seats' twice")


def test_another_kind_of_body_is_refused_by_every_door(served: Bench) -> None:
    for path in (INFER, SCORE):
        check(served.caller.post(path, b"{}", content_type="text/html"), "predictions are not asked for by", status=415)
        check(served.caller.post(path, b"{}", content_encoding="gzip"), "the body is compressed", status=415)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A predictor for many requests."""
    bench = make_bench(tmp_path_factory.mktemp("fuzzed"))
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["model_inputs", *ROW]),
    datatype=st.sampled_from(["FP16", "FP32", "FP64", "INT8", "UINT64", "INT64", "BOOL", "BYTES", "x"]),
    shape=st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 6), max_size=3),
    data=st.binary(max_size=64),
    size=st.integers(-1, 70) | st.none() | st.booleans() | st.text(max_size=3),
)
def test_whatever_the_bytes_are_the_answer_is_no_failure(
    fuzzed: Bench, name: str, datatype: str, shape: list[int], data: bytes, size: Any
) -> None:
    given_size = len(data) if size is None else size
    inputs = [{"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": given_size}}]
    head = json.dumps({"inputs": inputs}).encode()
    reply = fuzzed.caller.post(INFER, head + data, inference_header_content_length=str(len(head)))
    assert reply.status in (200, 413, 422), reply.body
