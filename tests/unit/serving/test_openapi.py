"""The description of a predictor's interface."""

from pathlib import Path

import pytest
from tests.serving.bundles import publish_bundle
from tests.serving.composed import OFFER, deployment, publish_composite, publish_nodes
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import arm

from octavo.errors import NotFound
from octavo.serving.problems import HttpError


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = make_bench(tmp_path)
    made.publish(arm(publish_bundle(made.project.artifacts)))
    return made


def test_every_route_is_described_and_every_path_in_it_is_one(bench: Bench) -> None:
    paths = bench.caller.get("/openapi.json").json["paths"]
    found = set()
    for path, methods in paths.items():
        for method in methods:
            try:
                found.add(bench.app._route(method.upper(), path))
            except (NotFound, HttpError) as error:
                pytest.fail(f"{method} {path}: {error}")
    assert found == set(bench.app.routes)


def test_a_deployments_fields_are_told_with_their_types_and_limits(bench: Bench) -> None:
    paths = bench.caller.get("/openapi.json").json["paths"]
    body = paths["/predict/eta"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    row = body["properties"]["rows"]["items"]
    assert (body["properties"]["rows"]["maxItems"], row["additionalProperties"]) == (1000, False)
    assert sorted(row["required"]) == ["distance", "origin", "sched_dep"]
    assert row["properties"]["seats"] == {"type": ["integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1}
    assert row["properties"]["origin"] == {"type": "string", "maxLength": 1024}


def test_what_needs_a_permission_says_so(bench: Bench) -> None:
    paths = bench.caller.get("/openapi.json").json["paths"]
    assert paths["/livez"]["get"]["security"] == []
    predict = paths["/predict/eta"]["post"]
    assert predict["security"] == [{"token": []}]
    assert "predictions:write" in predict["description"]


def test_without_a_deployment_the_rest_is_described(tmp_path: Path) -> None:
    paths = make_bench(tmp_path).caller.get("/openapi.json").json["paths"]
    assert "/readyz" in paths
    assert not any(path.startswith("/predict") for path in paths)


def test_a_composite_is_described_with_the_fields_of_all_its_nodes(bench: Bench) -> None:
    publish_nodes(bench.project)
    publish_composite(bench.project, *OFFER)
    bench.watcher.look()
    paths = bench.caller.get("/openapi.json").json["paths"]
    deal = paths["/predict/deal"]["post"]
    row = deal["requestBody"]["content"]["application/json"]["schema"]["properties"]["rows"]["items"]
    assert sorted(row["required"]) == ["amount", "distance", "origin", "sched_dep"]
    assert row["properties"]["seats"]["type"] == ["integer", "null"]
    for answer in (deal, paths["/predictions/deal/{id}"]["get"]):
        told = answer["responses"]["200"]["content"]["application/json"]["schema"]
        assert told == {"$ref": "#/components/schemas/Together"}
    for path in ("/v2/models/deal/infer", "/v2/models/deal/versions/1/infer"):
        body = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert set(body["properties"]["inputs"]["items"]["properties"]["name"]["enum"]) == set(row["properties"])
    assert {"/predict/deal/invocations", "/v2/models/deal", "/v2/models/deal/ready"} <= paths.keys()


def test_a_composite_that_cannot_be_asked_is_not_described(bench: Bench) -> None:
    publish_composite(bench.project, deployment("eta"), deployment("gone"))
    bench.watcher.look()
    assert "/predict/deal" not in bench.caller.get("/openapi.json").json["paths"]
