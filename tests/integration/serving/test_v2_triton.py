"""Triton's own client against a predictor, unchanged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.serving.bundles import ROW, publish_bundle
from tests.serving.processes import Running, predictor
from tests.serving.projects import arm, make_project, manifest


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root: Path = tmp_path_factory.mktemp("project")
    project = make_project(root)
    shadow = arm(publish_bundle(project.artifacts, bias=1.0), role="shadow", version=2, percent=0)
    project.publish(manifest(arm(publish_bundle(project.artifacts)), shadow))
    with predictor(project) as found:
        yield found


@pytest.fixture
def client(running: Running) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{running.port}") as found:
        yield found


@pytest.fixture
def headers(running: Running) -> dict[str, str]:
    return {"authorization": f"Bearer {running.project.token}"}


def tensor(name: str, datatype: str, values: Any, *, binary: bool) -> triton.InferInput:
    found = triton.InferInput(name, list(values.shape), datatype)
    found.set_data_from_numpy(values, binary_data=binary)
    return found


def fields(*, binary: bool) -> list[triton.InferInput]:
    """A row, field by field."""
    return [
        tensor("distance", "FP64", np.array([ROW["distance"]]), binary=binary),
        tensor("sched_dep", "BYTES", np.array([ROW["sched_dep"]], dtype=object), binary=binary),
        tensor("seats", "INT64", np.array([ROW["seats"]]), binary=binary),
        tensor("origin", "BYTES", np.array([ROW["origin"]], dtype=object), binary=binary),
    ]


def test_it_is_alive_ready_and_described(client: Any, headers: dict[str, str]) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("eta", headers=headers)
    assert client.is_model_ready("eta", "2", headers=headers)
    assert not client.is_model_ready("eta", "3", headers=headers)
    assert client.get_server_metadata(headers=headers)["name"] == "octavo"
    assert client.get_model_metadata("eta", headers=headers)["versions"] == ["1", "2"]


@pytest.mark.parametrize("binary", [True, False])
def test_fields_sent_as_tensors_are_answered_as_rows_are(
    running: Running, client: Any, headers: dict[str, str], binary: bool
) -> None:
    status, expected = running.call([ROW])
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("prediction", "id", "version")]
    result = client.infer("eta", fields(binary=binary), outputs=outputs, headers=headers, request_id="mine")
    assert status == 200
    assert result.as_numpy("prediction").tolist() == [expected["predictions"][0]["value"]]
    assert result.as_numpy("version").tolist() == [1]
    assert len(result.as_numpy("id")[0]) == len(expected["predictions"][0]["id"])
    assert result.get_response()["id"] == "mine"


@pytest.mark.parametrize(("version", "bias"), [("", 0.0), ("1", 0.0), ("2", 1.0)])
def test_a_matrix_is_answered_by_the_version_that_is_named(
    client: Any, headers: dict[str, str], version: str, bias: float
) -> None:
    matrix = np.arange(50, dtype=np.float32).reshape(10, 5)
    inputs = [tensor("model_inputs", "FP32", matrix, binary=True)]
    result = client.infer("eta", inputs, model_version=version, headers=headers)
    assert result.as_numpy("prediction").tolist() == (matrix.sum(axis=1) + bias).tolist()


def test_a_refusal_is_told_in_the_clients_own_error(client: Any, headers: dict[str, str]) -> None:
    with pytest.raises(InferenceServerException, match="did you mean 'eta'"):
        client.infer("etta", fields(binary=True), headers=headers)
    with pytest.raises(InferenceServerException, match="lacks the field"):
        client.infer("eta", fields(binary=True)[1:], headers=headers)
