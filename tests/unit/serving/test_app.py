"""The predictor's HTTP interface, without sockets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.serving.asgi import Caller, Reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import PATH, Bench, Broken
from tests.serving.projects import arm

from octavo.access import project_access
from octavo.errors import ConfigurationError
from octavo.serving.app import PUBLIC, PredictorApp, Route
from octavo.serving.limits import Admission

BODY = msgspec.json.encode({"rows": [ROW]})


@pytest.fixture
def caller(bench: Bench) -> Caller:
    """Calls a predictor that serves one version."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench.caller


def check_problem(reply: Reply, status: int, code: str) -> Any:
    problem = reply.json
    assert (reply.status, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"urn:octavo:problem:{code}"
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["detail"]
    assert problem["request_id"]
    return problem


def test_an_answer_is_json_that_nobody_keeps(caller: Caller) -> None:
    reply = caller.post(PATH, BODY)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert int(reply.headers["content-length"]) == len(reply.body)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer octavo_1", "Basic eDp5", "Bearer octavo_00000000_" + "0" * 64]
)
def test_a_caller_without_a_valid_token_is_not_known(caller: Caller, authorization: str) -> None:
    reply = replace(caller, token="").post(PATH, BODY, authorization=authorization)
    check_problem(reply, 401, "not_authenticated")
    assert reply.headers["www-authenticate"] == 'Bearer realm="octavo"'


def test_a_caller_without_the_permission_is_told_which(bench: Bench, caller: Caller) -> None:
    token = project_access(bench.project.config.home).issue(name="ann", permissions=["metrics:read"])
    ann = replace(caller, token=token)
    assert ann.get("/metrics").status == 200
    problem = check_problem(ann.post(PATH, BODY), 403, "not_allowed")
    assert "lacks the permission 'predictions:write'" in problem["detail"]


def test_every_route_declares_its_permission_and_only_the_probes_are_public(caller: Caller) -> None:
    public = {route.path for route in caller.app.routes if route.permission == PUBLIC}
    assert public == {"/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"}
    with pytest.raises(ConfigurationError, match="declares no permission"):
        Route(method="GET", path="/x", permission="", handle=caller.app.routes[0].handle)


def test_an_unknown_deployment_is_named_with_those_there_are(caller: Caller) -> None:
    problem = check_problem(caller.post("/predict/etta", BODY), 404, "not_found")
    assert problem["detail"] == "there is no deployment with a live version named 'etta'; did you mean 'eta'?"


@pytest.mark.parametrize("path", ["/", "/predict", "/metricz", "/predict/", "/predict/eta/x", "/predict/../metrics"])
def test_an_unknown_path_is_not_found(caller: Caller, path: str) -> None:
    check_problem(caller.post(path, BODY), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", PATH, "POST"), ("POST", "/livez", "GET"), ("PUT", PATH, "POST")]
)
def test_a_wrong_method_is_told_the_right_one(caller: Caller, method: str, path: str, allowed: str) -> None:
    reply = asyncio.run(caller.ask(method, path, parts=[b""]))
    assert check_problem(reply, 405, "method_not_allowed")["fix"] == f"send it by {allowed}"
    assert reply.headers["allow"] == allowed


@pytest.mark.parametrize(
    "kind", ["text/csv", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ";"]
)
def test_what_is_not_json_is_refused_by_its_type(caller: Caller, kind: str) -> None:
    problem = check_problem(caller.post(PATH, BODY, content_type=kind), 415, "unsupported_media_type")
    assert problem["fix"].startswith("send JSON with Content-Type: application/json, or Arrow with")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", ""])
def test_json_is_taken_however_it_is_labelled(caller: Caller, kind: str) -> None:
    assert caller.post(PATH, BODY, content_type=kind).status == 200


def test_a_compressed_body_is_refused_before_it_is_read(caller: Caller) -> None:
    problem = check_problem(caller.post(PATH, b"\x1f\x8b", content_encoding="gzip"), 415, "unsupported_media_type")
    assert problem["fix"] == "send it without Content-Encoding"
    assert caller.post(PATH, BODY, content_encoding="identity").status == 200


def test_a_wrong_row_is_a_problem_with_its_field_and_the_fix(caller: Caller) -> None:
    problem = check_problem(caller.post(PATH, {"rows": [{**ROW, "seats": "many"}]}), 422, "invalid_request")
    assert problem["field"] == "rows[0].seats"
    assert problem["fix"] == "send a whole number of 64 bits, or null"


def test_too_many_rows_are_too_large(caller: Caller) -> None:
    problem = check_problem(caller.post(PATH, {"rows": [ROW] * 1001}), 413, "limit_exceeded")
    assert problem["field"] == "rows"


@pytest.mark.parametrize("headers", [{"content_length": "200001"}, {"content_length": "9" * 300}, {}])
def test_a_body_that_is_too_large_is_refused(caller: Caller, headers: dict[str, str]) -> None:
    parts = [b" " * 50_000] * 5
    problem = check_problem(asyncio.run(caller.ask("POST", PATH, parts=parts, **headers)), 413, "limit_exceeded")
    assert problem["detail"] == "the body is larger than 200,000 bytes"


def test_a_callers_own_request_id_is_repeated_if_it_is_harmless(caller: Caller) -> None:
    assert caller.post("/x", x_request_id="abc-1").json["request_id"] == "abc-1"
    for harmful in ("a b", "x" * 65, "<script>", "a\n"):
        assert caller.post("/x", x_request_id=harmful).json["request_id"] != harmful


@pytest.mark.parametrize(
    "trace", ["00-zz-11-01", "00-" + "a" * 32 + "-" + "b" * 16 + "-01-more", "00-" + "A" * 32 + "-" + "b" * 16 + "-01"]
)
def test_a_trace_that_is_none_is_passed_over(bench: Bench, caller: Caller, trace: str) -> None:
    assert caller.post(PATH, BODY, traceparent=trace).status == 200
    assert bench.records[-1].trace == ""


def test_a_callers_trace_and_request_id_are_answered(caller: Caller) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    reply = caller.post(PATH, BODY, traceparent=f"00-{trace}-00f067aa0ba902b7-01", x_request_id="mine")
    version, trace_id, span_id, flags = reply.headers["traceparent"].split("-")
    assert (version, trace_id, flags, reply.headers["x-request-id"]) == ("00", trace, "01", "mine")
    assert span_id != "00f067aa0ba902b7"
    assert "traceparent" not in caller.post(PATH, BODY).headers


def test_a_refusal_carries_the_id_that_it_tells(caller: Caller) -> None:
    for sent in ("mine", "", "not one\u00e4"):
        reply = caller.post(PATH, b"", x_request_id=sent)
        assert reply.headers["x-request-id"] == reply.json["request_id"]


def test_what_nobody_foresaw_is_answered_without_its_text(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.online = Broken()
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    reply = bench.caller.post(PATH, BODY, x_request_id="find-me")
    problem = check_problem(reply, 500, "internal")
    assert "secret" not in reply.body.decode()
    assert "find-me" in problem["detail"]
    assert "a secret of the inside" in caplog.text


def test_a_caller_who_leaves_is_not_answered(bench: Bench, caller: Caller) -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield BODY[:10]

    assert asyncio.run(caller.ask("POST", PATH, parts=leaving())).status == 0
    assert bench.records == []


def test_beyond_the_limit_of_concurrency_callers_are_turned_away_but_told_how_the_predictor_is(
    bench: Bench, caller: Caller
) -> None:
    bench.app.admission = Admission(2)

    async def crowd() -> tuple[Reply, Reply]:
        with bench.app.admission.admitted(), bench.app.admission.admitted():
            return await caller.ask("POST", PATH, parts=[BODY]), await caller.ask("GET", "/livez", parts=[b""])

    reply, alive = asyncio.run(crowd())
    check_problem(reply, 429, "too_many_requests")
    assert (reply.headers["retry-after"], alive.status) == ("1", 200)
    assert caller.post(PATH, BODY).status == 200


def test_one_who_is_about_to_stop_is_not_ready_and_sends_its_callers_elsewhere(bench: Bench, caller: Caller) -> None:
    bench.app.is_draining = True
    assert (bench.caller.get("/readyz").status, bench.caller.get("/livez").status) == (503, 200)
    answer = caller.post(PATH, BODY)
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_a_predictor_is_ready_once_it_has_looked_for_manifests(bench: Bench) -> None:
    assert (bench.caller.get("/readyz").status, bench.caller.get("/livez").status) == (503, 200)
    bench.watcher.look()
    reply = bench.caller.get("/readyz")
    assert (reply.status, reply.json) == (200, {"ready": True, "deployments": []})


def test_the_status_tells_what_is_served(bench: Bench, caller: Caller) -> None:
    status = caller.get("/status").json
    [arms] = [deployment["arms"] for deployment in status["deployments"].values()]
    assert status["deployments"]["eta"]["sequence"] == 1
    assert [(one["role"], one["version"]) for one in arms] == [("live", 1)]


def test_requests_are_counted_by_their_status(bench: Bench, caller: Caller) -> None:
    for body in (BODY, BODY, b"{}"):
        caller.post(PATH, body)
    text = caller.get("/metrics").body.decode()
    assert 'octavo_predictor_requests_total{status="200"} 2\n' in text
    assert 'octavo_predictor_requests_total{status="422"} 1\n' in text


def test_nothing_but_http_is_spoken(caller: Caller) -> None:
    with pytest.raises(NotImplementedError, match="does not speak websocket"):
        asyncio.run(_call(caller.app, {"type": "websocket"}))


async def _call(app: PredictorApp, scope: dict[str, Any]) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    await app(scope, never, never)
