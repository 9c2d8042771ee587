"""The same hostile values through every JSON door: each is told precisely what is wrong, and nothing is recorded."""

import gzip
import json
from pathlib import Path

import pytest
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import arm

DOORS = {
    "/predict/eta": '{"rows": [{"distance": DISTANCE, "origin": ORIGIN, "seats": SEATS, "sched_dep": TIME}]}',
    "/invocations": (
        '{"dataframe_split": {"columns": ["distance", "origin", "seats", "sched_dep"], '
        '"data": [[DISTANCE, ORIGIN, SEATS, TIME]]}}'
    ),
    "/v2/models/eta/infer": (
        '{"inputs": [{"name": "distance", "datatype": "FP64", "shape": [1], "data": [DISTANCE]}, '
        '{"name": "origin", "datatype": "BYTES", "shape": [1], "data": [ORIGIN]}, '
        '{"name": "seats", "datatype": "INT64", "shape": [1], "data": [SEATS]}, '
        '{"name": "sched_dep", "datatype": "BYTES", "shape": [1], "data": [TIME]}]}'
    ),
}
GOOD = {"DISTANCE": "500", "ORIGIN": '"JFK"', "SEATS": "100", "TIME": '"2013-07-01T12:30:00Z"'}
HOSTILE = {
    "NaN": {"DISTANCE": "NaN"},
    "Infinity": {"DISTANCE": "-Infinity"},
    "beyond float64": {"DISTANCE": "1e999"},
    "beyond float32": {"DISTANCE": "3.5e38"},
    "2^70": {"SEATS": str(2**70)},
    "half a number": {"SEATS": "1.5"},
    "half a pair": {"ORIGIN": '"\\ud83d"'},
    "the other half": {"ORIGIN": '"\\udc00x"'},
    "arrays": {"ORIGIN": '[["JFK"]]'},
    "deep arrays": {"DISTANCE": "[" * 50_000 + "]" * 50_000},
    "deep objects": {"DISTANCE": '{"a":' * 20_000 + "1" + "}" * 20_000},
    "deep and open": {"DISTANCE": "[" * 150_000},
    "a long string": {"ORIGIN": f'"{"x" * 1025}"'},
    "a long number": {"SEATS": "9" * 100_000},
    "a control character": {"ORIGIN": '"\x01"'},
}


@pytest.fixture
def served(tmp_path: Path) -> Bench:
    """A predictor that serves one version."""
    bench = make_bench(tmp_path)
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


def body(path: str, **changed: str) -> bytes:
    text = DOORS[path]
    for name, value in {**GOOD, **changed}.items():
        text = text.replace(name, value)
    return text.encode("utf-8")


@pytest.mark.parametrize("path", DOORS)
def test_the_good_values_are_good(served: Bench, path: str) -> None:
    assert served.caller.post(path, body(path)).status == 200
    assert len(served.records) == 1


@pytest.mark.parametrize("changed", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("path", DOORS)
def test_a_hostile_value_is_refused_with_its_reason(served: Bench, path: str, changed: dict[str, str]) -> None:
    reply = served.caller.post(path, body(path, **changed))
    assert (reply.status, reply.json["code"]) == (422, "invalid_request"), reply.body
    assert reply.json["fix"]
    assert len(reply.body) < 2_000, "what was sent is not sent back"
    assert served.records == []


@pytest.mark.parametrize(
    ("path", "twice"),
    [
        ("/predict/eta", b'{"rows": [{"distance": 1, "distance": 2}], "rows": []}'),
        ("/predict/eta", json.dumps({"rows": [ROW]}).encode().replace(b'"seats": 100', b'"seats": 100, "seats": 1')),
        ("/invocations", b'{"inputs": [{"distance": 1, "distance": 2}]}'),
        ("/v2/models/eta/infer", b'{"inputs": [{"name": "a", "name": "b", "datatype": "FP32", "shape": [1]}]}'),
    ],
)
def test_a_key_that_is_given_twice_is_refused(served: Bench, path: str, twice: bytes) -> None:
    reply = served.caller.post(path, twice)
    assert reply.status == 422
    assert served.records == []


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x"])
def test_a_compressed_body_is_refused_as_it_is(served: Bench, path: str, encoding: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    reply = served.caller.post(path, bomb, content_encoding=encoding, content_type="application/json")
    assert (reply.status, reply.json["fix"]) == (415, "send it without Content-Encoding")


@pytest.mark.parametrize("path", DOORS)
def test_bytes_that_are_a_bomb_without_saying_so_are_no_json(served: Bench, path: str) -> None:
    assert served.caller.post(path, gzip.compress(bytes(50_000_000))).status == 422
