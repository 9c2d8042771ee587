"""The gRPC interface: who may call what, how long it takes, and how each call ends."""

import asyncio
from typing import Any

import pytest
from tests.serving import calls
from tests.serving.asgi import Reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.doors import tensors
from tests.serving.predictors import Bench, Broken, make_bench
from tests.serving.projects import arm

from octavo.access import project_access
from octavo.errors import ConfigurationError
from octavo.serving.grpc import messages
from octavo.serving.grpc.messages import HEALTH, SERVICE
from octavo.serving.grpc.methods import Method, StreamMethod
from octavo.serving.routes import PUBLIC

EMPTY = calls.frame(b"")


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves one version."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


def call(bench: Bench, method: str, message: Any = None, **more: str) -> Reply:
    body = EMPTY if message is None else calls.frame(message.SerializeToString())
    return bench.caller.post(f"/{SERVICE}/{method}", body, **{**calls.HEADERS, **more})


def test_every_method_declares_its_permission_and_the_public_ones_tell_nothing(bench: Bench) -> None:
    public = {one.path.rpartition("/")[2] for one in bench.grpc.methods if one.permission == PUBLIC}
    assert public == {"ServerLive", "ServerReady", "Check", "Watch"}


@pytest.mark.parametrize("kind", [Method, StreamMethod])
def test_a_method_without_a_permission_cannot_be_served(bench: Bench, kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="declares no permission"):
        kind(path="/x/Y", permission="", handle=bench.grpc.methods[0].handle)


@pytest.mark.parametrize("method", ["ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer", "RepositoryIndex"])
def test_a_method_wants_a_token_with_its_permission(served: Bench, method: str) -> None:
    reply = call(served, method, authorization="")
    assert (reply.status, reply.json["code"]) == (401, "not_authenticated")
    access = project_access(served.project.config.home)
    reply = call(served, method, authorization=f"Bearer {access.issue(name='reader', permissions=['metrics:read'])}")
    assert (reply.status, reply.json["code"]) == (403, "not_allowed")


def test_the_server_is_alive_before_and_ready_after_it_has_looked(bench: Bench) -> None:
    assert messages.ServerLiveResponse.FromString(call(bench, "ServerLive", authorization="").body).live
    assert not messages.ServerReadyResponse.FromString(call(bench, "ServerReady", authorization="").body).ready
    bench.watcher.look()
    assert messages.ServerReadyResponse.FromString(call(bench, "ServerReady", authorization="").body).ready


def test_a_model_is_described_as_over_rest(served: Bench) -> None:
    told = served.caller.get("/v2/models/eta").json
    asked = messages.ModelMetadataRequest(name="eta")
    answer = messages.ModelMetadataResponse.FromString(call(served, "ModelMetadata", asked).body)
    assert (answer.name, list(answer.versions), answer.platform) == (told["name"], told["versions"], told["platform"])
    for side in ("inputs", "outputs"):
        described = [(one.name, one.datatype, list(one.shape)) for one in getattr(answer, side)]
        assert described == [(one["name"], one["datatype"], one["shape"]) for one in told[side]]


def test_the_index_lists_what_is_loaded(served: Bench) -> None:
    answer = messages.RepositoryIndexResponse.FromString(call(served, "RepositoryIndex").body)
    assert [(one.name, one.version, one.state) for one in answer.models] == [("eta", "1", "READY")]
    assert call(served, "RepositoryIndex", messages.RepositoryIndexRequest(repository_name="other")).status == 404


@pytest.mark.parametrize(
    ("name", "version", "status"), [("eta", "", 200), ("eta", "1", 200), ("eta", "2", 404), ("beta", "", 404)]
)
def test_a_model_is_ready_if_it_is_loaded(served: Bench, name: str, version: str, status: int) -> None:
    asked = messages.ModelReadyRequest(name=name, version=version)
    assert call(served, "ModelReady", asked).status == status


@pytest.mark.parametrize("path", [f"/{SERVICE}/ModelStreamInfer", f"/{SERVICE}/", "/other.Service/Call", "/"])
def test_what_is_not_served_is_unimplemented(served: Bench, path: str) -> None:
    reply = served.caller.post(path, EMPTY, **calls.HEADERS)
    assert (reply.headers["grpc-status"], reply.json["code"]) == ("12", "not_implemented")
    assert ("ModelInfer" if SERVICE in path else HEALTH) in reply.json["fix"]


def test_a_compressed_message_is_unimplemented_and_nothing_is_recorded(served: Bench) -> None:
    reply = served.caller.post(calls.INFER, b"\x01\x00\x00\x00\x01x", **calls.HEADERS, grpc_encoding="gzip")
    assert reply.headers["grpc-status"] == "12"
    assert served.records == []


@pytest.mark.parametrize("changes", [{"te": ""}, {"te": "gzip"}])
def test_who_cannot_read_trailers_is_told_what_this_port_speaks(served: Bench, changes: dict[str, str]) -> None:
    reply = served.caller.post(calls.INFER, EMPTY, **{**calls.HEADERS, **changes})
    assert (reply.status, reply.body) == (415, b"this port speaks gRPC: application/grpc with te: trailers\n")


def test_only_calls_that_predict_may_be_large(served: Bench) -> None:
    reply = served.caller.post(f"/{SERVICE}/ModelReady", calls.frame(b"x" * 5_000), **calls.HEADERS)
    assert (reply.headers["grpc-status"], reply.json["code"]) == ("8", "limit_exceeded")
    assert call(served, "ModelInfer", calls.raw(tensors([ROW] * 100))).status == 200


def test_a_call_is_counted_and_turned_away_beyond_the_limit(served: Bench) -> None:
    places = [served.app.admission.admitted() for _ in range(served.project.config.predictor.max_concurrent)]

    async def fill() -> Reply:
        for place in places:
            place.__enter__()
        body = calls.frame(calls.raw(tensors([ROW])).SerializeToString())
        return await served.caller.ask("POST", calls.INFER, parts=[body], **calls.HEADERS)

    reply = asyncio.run(fill())
    assert (reply.headers["grpc-status"], reply.headers["grpc-retry-pushback-ms"]) == ("8", "1000")
    assert 'octavo_predictor_requests_total{status="429"} 1' in served.metrics.render()


async def _too_slow() -> Any:
    await asyncio.Event().wait()
    yield b""


def test_a_call_ends_at_its_callers_deadline(served: Bench) -> None:
    asked = served.caller.ask("POST", calls.INFER, parts=_too_slow(), **calls.HEADERS, grpc_timeout="1m")
    reply = asyncio.run(asked)
    assert (reply.headers["grpc-status"], reply.json["code"]) == ("4", "gateway_timeout")


def test_a_request_id_and_a_trace_go_along(served: Bench) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    more = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "x_request_id": "mine"}
    reply = call(served, "ModelInfer", calls.raw(tensors([ROW])), **more)
    assert served.records[0].trace == trace
    assert reply.headers["traceparent"].split("-")[1] == trace
    assert reply.headers["x-request-id"] == "mine"
    assert call(served, "ModelInfer", messages.ModelInferRequest(model_name="eto"), **more).json["request_id"] == "mine"


def test_what_nobody_foresaw_tells_nothing_of_the_inside(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    bench = make_bench(tmp_path, online=Broken())
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    reply = call(bench, "ModelInfer", calls.raw(tensors([ROW])))
    assert (reply.headers["grpc-status"], reply.json["code"]) == ("13", "internal")
    assert "secret" not in reply.json["error"]
    assert "a call failed" in caplog.text


def test_only_http_is_spoken(bench: Bench) -> None:
    with pytest.raises(NotImplementedError):
        asyncio.run(bench.grpc({"type": "websocket"}, None, None))  # type: ignore[arg-type]
