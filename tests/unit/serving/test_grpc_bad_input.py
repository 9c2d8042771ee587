"""What callers of gRPC should not send: they are told as over REST, and nothing fails."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving import calls
from tests.serving.asgi import Reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.doors import INFER, tensors, with_binary
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import arm

from octavo.serving.grpc.messages import ModelInferRequest

DATATYPES = ["FP16", "FP32", "FP64", "INT8", "INT16", "INT64", "UINT8", "UINT64", "BOOL", "BYTES", "x", ""]
LISTS = [
    *("bool_contents", "int_contents", "int64_contents", "uint_contents", "uint64_contents"),
    *("fp32_contents", "fp64_contents", "bytes_contents"),
]


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves one version."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A predictor for many calls."""
    bench = make_bench(tmp_path_factory.mktemp("fuzzed"))
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


def infer(bench: Bench, message: Any) -> Reply:
    data = message if isinstance(message, bytes) else message.SerializeToString()
    return bench.caller.post(calls.INFER, calls.frame(data), **calls.HEADERS)


def matrix(**changes: Any) -> dict[str, Any]:
    values = {"fp32_contents": [1, 2, 3, 4, 5]}
    return {"name": "model_inputs", "datatype": "FP32", "shape": [1, 5], "contents": values, **changes}


def check(reply: Reply, detail: str) -> None:
    assert (reply.json["error"][: len(detail)], reply.headers["grpc-status"] in "358") == (detail, True)


@pytest.mark.parametrize(
    ("inputs", "detail"),
    [
        ([], "the request holds 0 inputs"),
        ([matrix(shape=[])], "inputs[0].shape has 0 sizes"),
        ([matrix(shape=[1, 5, 1])], "inputs[0].shape has 3 sizes"),
        ([matrix(shape=[-1, 5])], "inputs[0].shape has 2 sizes, or one below 0"),
        ([matrix(shape=[2**62, 4])], "inputs[0] holds 5 values, which are not those of the shape"),
        ([matrix(shape=[2**31, 1])], "inputs[0] holds 5 values, which are not those of the shape"),
        ([matrix(shape=[2**62, 0], contents={})], "the request holds more than 1,000 rows"),
        ([matrix(shape=[0, 5], contents={})], "the request holds no row"),
        ([matrix(shape=[5, 1])], "model_inputs holds 1 numbers in a row; the model takes 5"),
        ([matrix(shape=[5])], "model_inputs has the shape [5]"),
        ([matrix(datatype="FP128")], "inputs[0].datatype is 'FP128'"),
        ([matrix(datatype="FP16")], "inputs[0].contents holds fp32_contents for FP16; send raw_input_contents"),
        ([matrix(datatype="INT64")], "inputs[0].contents holds fp32_contents for INT64; send int64_contents"),
        ([matrix(contents={})], "inputs[0] holds 0 values"),
        ([matrix(contents={"fp32_contents": [np.inf] * 5})], "model_inputs[0]: "),
        ([matrix(), matrix()], "inputs[1] is a second 'model_inputs'"),
        ([matrix(parameters={"shared_memory_region": {"string_param": "r"}})], "inputs[0] has the parameter 'shared"),
        (
            [matrix(name="seats", datatype="INT8", shape=[1], contents={"int_contents": [128]})],
            "inputs[0].contents holds a number that is no INT8",
        ),
        (
            [matrix(name="origin", datatype="BYTES", shape=[1], contents={"bytes_contents": [b"\xff"]})],
            "inputs[0]: element 0 is not UTF-8",
        ),
    ],
)
def test_a_wrong_tensor_is_refused(served: Bench, inputs: list[dict[str, Any]], detail: str) -> None:
    check(infer(served, ModelInferRequest(model_name="eta", inputs=inputs)), detail)
    assert served.records == []


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"raw_input_contents": [b"", b""]}, "raw_input_contents holds 2 parts for 1 inputs"),
        ({"raw_input_contents": [b"\0" * 20]}, "inputs[0] holds both of contents and raw_input_contents"),
        ({"id": "x" * 1025}, "the request has an id of more than 1,024 characters"),
        ({"outputs": [{"name": "id"}] * 65}, "the request has an id of more than 1,024 characters or more than 64"),
        ({"outputs": [{"name": "predictions"}]}, "there is no output named 'predictions'; did you mean 'prediction'?"),
        (
            {"outputs": [{"name": "id", "parameters": {"classification": {"int64_param": 1}}}]},
            "outputs[0] has the parameter 'classification'",
        ),
        ({"model_name": "etta"}, "there is no deployment with a live version named 'etta'"),
        ({"model_version": "9"}, "there is no loaded version of deployment 'eta' named '9'"),
    ],
)
def test_a_wrong_request_is_refused(served: Bench, changes: dict[str, Any], detail: str) -> None:
    check(infer(served, ModelInferRequest(**{"model_name": "eta", "inputs": [matrix()], **changes})), detail)
    assert served.records == []


def test_nan_is_missing_in_lists_as_in_bytes(served: Bench) -> None:
    values = [1.0, float("nan"), 3.0, 4.0, 5.0]
    for message in (calls.by_lists([{**matrix(), "data": values}]), calls.raw([{**matrix(), "data": values}])):
        assert infer(served, message).status == 200
    first, second = served.records
    assert first.inputs == second.inputs
    assert np.isnan(np.frombuffer(first.inputs, "<f4")[1])


@pytest.mark.parametrize("form", [calls.by_lists, calls.raw])
@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"parameters": {"sequence_id": {"int64_param": 1}}}, "inputs[0] has the parameter 'sequence_id'"),
        ({"datatype": "INT64", "data": [5]}, ""),
        ({"datatype": "BYTES", "data": ["5"]}, "'distance' is sent as BYTES; send FP64 or "),
        ({"data": [float("nan")]}, "rows[0].distance: expected 'float', got 'null'"),
    ],
)
def test_a_field_of_a_single_row_is_looked_at_like_any_tensor(
    served: Bench, form: Any, change: dict[str, Any], detail: str
) -> None:
    distance, *others = tensors([ROW])
    message = form([{**distance, **change}, *others])
    message.inputs[0].MergeFrom(type(message.inputs[0])(parameters=change.get("parameters", {})))
    reply = infer(served, message)
    assert reply.json.get("error", "")[: len(detail)] == detail
    assert (reply.status == 200) == (detail == "")


def test_a_number_whose_square_is_infinite_is_refused_quietly(served: Bench) -> None:
    reply = infer(served, calls.raw(tensors([{**ROW, "distance": 1e300}, ROW])))
    assert (reply.status, reply.json["field"]) == (422, "rows[0].distance")


def test_outputs_have_the_form_of_the_inputs(served: Bench) -> None:
    listed = infer(served, calls.by_lists(tensors([ROW]), id="mine", outputs=[{"name": "version"}])).json
    raw = infer(served, calls.raw(tensors([ROW]), id="mine", outputs=[{"name": "version"}])).json
    assert listed == raw
    assert (raw["id"], raw["model_version"], raw["outputs"][0]["data"]) == ("mine", "1", [1])


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_whatever_the_bytes_are_the_answer_is_no_failure(fuzzed: Bench, data: bytes) -> None:
    assert infer(fuzzed, data).headers["grpc-status"] in ("3", "5")


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), n_changes=st.integers(1, 8))
def test_a_good_message_with_wrong_bytes_in_it_is_no_failure(fuzzed: Bench, seed: int, n_changes: int) -> None:
    chance = random.Random(seed)
    data = bytearray(chance.choice([calls.by_lists, calls.raw])(tensors([ROW, ROW])).SerializeToString())
    for _ in range(n_changes):
        data[chance.randrange(len(data))] = chance.randrange(256)
    assert infer(fuzzed, bytes(data)).headers["grpc-status"] in ("0", "3", "5", "8")


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["model_inputs", *ROW]),
    datatype=st.sampled_from(DATATYPES),
    shape=st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 6), min_size=1, max_size=2),
    data=st.binary(max_size=64),
)
def test_the_same_bytes_are_told_the_same_over_rest(
    fuzzed: Bench, name: str, datatype: str, shape: list[int], data: bytes
) -> None:
    head = {"name": name, "datatype": datatype, "shape": shape}
    body, headers = with_binary([head], [data])
    rest = fuzzed.caller.post(INFER, body, **headers)
    reply = infer(fuzzed, ModelInferRequest(model_name="eta", inputs=[head], raw_input_contents=[data]))
    assert reply.status == rest.status
    if rest.status != 200:
        ours, theirs = reply.json, rest.json
        assert [ours.get(key) for key in ("code", "error", "field", "fix")] == [
            theirs.get(key) for key in ("code", "error", "field", "fix")
        ]


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["model_inputs", *ROW]),
    datatype=st.sampled_from(DATATYPES),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 6), max_size=3),
    kind=st.sampled_from(LISTS),
    values=st.lists(st.integers(0, 1), max_size=6),
)
def test_whatever_the_lists_hold_the_answer_is_no_failure(
    fuzzed: Bench, name: str, datatype: str, shape: list[int], kind: str, values: list[int]
) -> None:
    contents = {kind: [b"1"] * len(values) if kind == "bytes_contents" else values}
    inputs = [{"name": name, "datatype": datatype, "shape": shape, "contents": contents}]
    assert infer(fuzzed, ModelInferRequest(model_name="eta", inputs=inputs)).status in (200, 413, 422)
