"""The description of the API is whole and true."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.showrooms import empty_showroom
from tests.showrooms.doors import api

from octavo.api.openapi import describe
from octavo.wiring import all_operations


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    answer = api(empty_showroom(tmp_path_factory.mktemp("project"))).get("/api/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def methods(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, described in item.items():
            yield path, method, described


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_operation_is_described(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    for operation in all_operations():
        described = document["paths"][f"/api/{operation.name}"]["post"]
        assert described["summary"] == operation.summary
        assert operation.permission in described["description"]


def test_data_comes_in_by_paths_of_its_own(document: Any) -> None:
    events = document["paths"]["/events/{source}"]["post"]
    assert [(p["name"], p["in"]) for p in events["parameters"]] == [("source", "path"), ("bad", "query")]
    assert "application/vnd.apache.arrow.stream" in events["requestBody"]["content"]
    assert "post" in document["paths"]["/outcomes"]


def test_every_reference_leads_somewhere(document: Any) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_operation_ids_are_unique(document: Any) -> None:
    ids = [described["operationId"] for _, _, described in methods(document)]
    assert len(ids) == len(set(ids))


def test_every_answer_and_refusal_has_a_schema(document: Any) -> None:
    for path, _, described in methods(document):
        assert described["responses"]["200"]["content"]["application/json"]["schema"], path
        problem = described["responses"]["4XX"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}


def test_every_path_parameter_is_declared(document: Any) -> None:
    for path, _, described in methods(document):
        declared = {f"{{{p['name']}}}" for p in described.get("parameters", ())}
        assert all(part in declared for part in path.split("/") if part.startswith("{"))


def test_only_a_replays_clock_can_be_set() -> None:
    described = [describe(all_operations(), version="1", replay=replay)["paths"]["/api/clock"] for replay in (0, 1)]
    assert [sorted(paths) for paths in described] == [["get"], ["get", "post"]]


def test_every_path_described_answers(tmp_path: Path, document: Any) -> None:
    client = api(empty_showroom(tmp_path))
    for path, method, _ in methods(document):
        answer = client.request(method.upper(), path.format(source="landings"))
        assert answer.status_code not in (404, 405, 500), (path, answer.text)
