"""gRPC clients of all kinds against a predictor, unchanged."""

import socket
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from octavo.serving.grpc.messages import HEALTH, HealthCheckRequest, HealthCheckResponse, ModelInferResponse
from tests.serving import calls
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.doors import tensors
from tests.serving.processes import Running, outcome, predictor
from tests.serving.projects import SETTINGS, ServingProject, arm, make_project, manifest

PATIENCE_S = 30


def make(root: Path, *, settings: str = SETTINGS) -> ServingProject:
    project = make_project(root, settings=settings)
    shadow = arm(publish_bundle(project.artifacts, bias=1.0), role="shadow", version=2, percent=0)
    project.publish(manifest(arm(publish_bundle(project.artifacts)), shadow))
    return project


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with predictor(make(tmp_path_factory.mktemp("project"))) as found:
        yield found


@pytest.fixture
def client(running: Running) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{running.grpc_port}") as found:
        yield found


@pytest.fixture
def channel(running: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as found:
        yield found


@pytest.fixture
def headers(running: Running) -> dict[str, str]:
    return {"authorization": f"Bearer {running.project.token}"}


def given(name: str, datatype: str, values: Any) -> triton.InferInput:
    found = triton.InferInput(name, list(values.shape), datatype)
    found.set_data_from_numpy(values)
    return found


def fields() -> list[triton.InferInput]:
    """A row, field by field."""
    return [
        given("distance", "FP64", np.array([ROW["distance"]])),
        given("sched_dep", "BYTES", np.array([ROW["sched_dep"]], dtype=object)),
        given("seats", "INT64", np.array([ROW["seats"]])),
        given("origin", "BYTES", np.array([ROW["origin"]], dtype=object)),
    ]


def infer(channel: grpc.Channel, token: str, message: Any) -> Any:
    """Ask over a plain channel."""
    call = channel.unary_unary(calls.INFER)
    data = call(message.SerializeToString(), timeout=PATIENCE_S, metadata=[("authorization", f"Bearer {token}")])
    return ModelInferResponse.FromString(data)


def test_it_is_alive_ready_and_described(client: Any, headers: dict[str, str]) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("eta", "2", headers=headers)
    assert client.get_server_metadata(headers=headers).name == "octavo"
    assert client.get_model_metadata("eta", headers=headers).versions == ["1", "2"]
    assert [one.version for one in client.get_model_repository_index(headers=headers).models] == ["1", "2"]


def test_fields_sent_as_tensors_are_answered_as_rows_are(
    running: Running, client: Any, headers: dict[str, str]
) -> None:
    status, expected = running.call([ROW])
    result = client.infer("eta", fields(), headers=headers, request_id="mine", client_timeout=PATIENCE_S)
    assert status == 200
    assert result.as_numpy("prediction").tolist() == [expected["predictions"][0]["value"]]
    assert result.as_numpy("version").tolist() == [1]
    assert len(result.as_numpy("id")[0]) == len(expected["predictions"][0]["id"])
    assert result.get_response().id == "mine"


@pytest.mark.parametrize(("version", "bias"), [("", 0.0), ("1", 0.0), ("2", 1.0)])
def test_a_matrix_is_answered_by_the_version_that_is_named(
    client: Any, headers: dict[str, str], version: str, bias: float
) -> None:
    matrix = np.arange(50, dtype=np.float32).reshape(10, 5)
    inputs = [given("model_inputs", "FP32", matrix)]
    result = client.infer("eta", inputs, model_version=version, headers=headers)
    assert result.as_numpy("prediction").tolist() == (matrix.sum(axis=1) + bias).tolist()


def test_a_refusal_is_told_in_the_clients_own_error(client: Any, headers: dict[str, str]) -> None:
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*did you mean 'eta'"):
        client.infer("etta", fields(), headers=headers)
    with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.*lacks the field"):
        client.infer("eta", fields()[1:], headers=headers)
    with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
        client.infer("eta", fields())
    with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED.*without compression"):
        client.infer("eta", fields(), headers=headers, compression_algorithm="gzip")


def test_a_plain_client_may_send_lists_and_is_told_code_field_and_fix(running: Running, channel: grpc.Channel) -> None:
    answer = infer(channel, running.project.token, calls.by_lists(tensors([ROW, ROW])))
    assert len(answer.outputs[0].contents.fp64_contents) == 2
    with pytest.raises(grpc.RpcError) as refused:
        infer(channel, running.project.token, calls.by_lists(tensors([{**ROW, "sched_dep": "soon"}])))
    told = dict(refused.value.trailing_metadata())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (told["octavo-code"], told["octavo-field"]) == ("invalid_request", "rows[0].sched_dep")
    assert told["octavo-fix"]


def test_a_message_over_the_cap_is_refused_by_its_first_bytes(running: Running, channel: grpc.Channel) -> None:
    large = calls.raw([{"name": "model_inputs", "datatype": "FP32", "shape": [50_000, 5], "data": [0.0] * 250_000}])
    with pytest.raises(grpc.RpcError) as refused:
        infer(channel, running.project.token, large)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than 200,000 bytes" in refused.value.details()
    assert infer(channel, running.project.token, calls.raw(tensors([ROW]))).outputs


def test_health_is_told_to_anybody(channel: grpc.Channel) -> None:
    check = channel.unary_unary(f"/{HEALTH}/Check")
    asked = HealthCheckRequest(service="eta").SerializeToString()
    assert HealthCheckResponse.FromString(check(asked, timeout=PATIENCE_S)).status == 1


def test_told_to_stop_it_answers_what_is_under_way_and_tells_who_watches(tmp_path: Path) -> None:
    with predictor(make(tmp_path)) as running, grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        watch = channel.unary_stream(f"/{HEALTH}/Watch")(b"", timeout=PATIENCE_S)
        assert HealthCheckResponse.FromString(next(watch)).status == 1
        rows = [ROW] * 1000
        metadata = [("authorization", f"Bearer {running.project.token}")]
        asked = calls.raw(tensors(rows)).SerializeToString()
        under_way: list[Future[bytes]] = [
            channel.unary_unary(calls.INFER).future(asked, timeout=PATIENCE_S, metadata=metadata) for _ in range(5)
        ]
        under_way[0].result()
        assert running.stop() == 0
        assert HealthCheckResponse.FromString(next(watch)).status == 2
        assert list(watch) == []
        ended = [one.exception() for one in under_way]
        assert all(error is None or error.code() is grpc.StatusCode.UNAVAILABLE for error in ended)  # type: ignore[attr-defined]


def test_a_predictor_need_not_speak_grpc(tmp_path: Path) -> None:
    settings = SETTINGS.replace("grpc_port = 0", "grpc_port = -1")
    with predictor(make(tmp_path, settings=settings)) as running:
        assert running.grpc_port == 0
        assert running.call([ROW])[0] == 200


def test_a_port_that_is_taken_is_named_with_the_setting_that_changes_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, complaints = outcome(make(tmp_path).config.root, OCTAVO_PREDICTOR_GRPC_PORT=str(taken.getsockname()[1]))
    assert code == 1
    assert "OCTAVO_PREDICTOR_GRPC_PORT" in complaints
