"""Somebody with every right to one model gets nothing of another's, through whichever door, and changes nothing."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from octavo.api.app import declared_endpoints
from octavo.belonging import naming_fields
from octavo.console.pages import all_pages
from octavo.governance.access.belonging import BELONGINGS
from octavo.operations import Dispatcher
from octavo.principals import Limited, Principal
from octavo.training.runs import Run
from octavo.wiring import all_operations
from tests.security.sites import FILES, MLFLOW, Raw, key_of, post, program_of, visitor_of
from tests.showrooms import Showroom, full_showroom, incident_id, prediction_id, run_id
from tests.showrooms.doors import Door, api

CANARY = "canary-7f3a"
OWN, THEIRS = "arrives_late", "arrival_delay"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return full_showroom(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def things(room: Showroom) -> dict[str, str]:
    """What somebody else has beside the declared models: a run with a file, a logged and a registered model."""
    admin = api(room)
    post(admin, "runs.experiments.create", name=f"of {CANARY}")
    run = post(admin, "runs.create", name=CANARY, experiment=f"of {CANARY}")["id"]
    put = admin.request("PUT", f"{FILES}/1/{run}/artifacts/{CANARY}.txt", content=CANARY.encode())
    assert put.status_code == 200, put.text
    model = post(admin, "runs.models.create", experiment=f"of {CANARY}", name=CANARY)["id"]
    assert admin.request("PUT", f"{FILES}/1/models/{model}/artifacts/m.txt", content=CANARY.encode()).status_code == 200
    post(admin, "registered.create", name=CANARY)
    return {"run": run, "model_id": model, "registered": CANARY}


@pytest.fixture(scope="module")
def eve_key(room: Showroom, things: dict[str, str]) -> str:
    return key_of(room, "eve", {"role": "admin", "model": OWN})


@pytest.fixture(scope="module")
def eve(room: Showroom, eve_key: str) -> Door:
    return program_of(room, eve_key)


def records(room: Showroom) -> dict[tuple[str, str], Any]:
    """All records but those of the trail and of sessions."""
    metadata: Any = room.stores.metadata
    return {place: body for place, body in metadata._records.items() if place[0] != "session"}


def their_names(things: dict[str, str]) -> dict[str, Any]:
    """What each field of a request would name of somebody else's."""
    return {
        "model": THEIRS,
        "deployment": "eta",
        "run": things["run"],
        "runs": [things["run"], run_id(5)],
        "baseline": run_id(5),
        "release": "018f0000-0000-7000-8000-000000000005",
        "incident": incident_id(0),
        "prediction": prediction_id(0),
        "dataset": "sha256:" + "0" * 64,
        "composite": "eta",
        "experiment": f"of {CANARY}",
        "experiments": [f"of {CANARY}"],
        "model_id": things["model_id"],
        "logged_model": things["model_id"],
        "name": CANARY,
        "account": "eve",
        "role": "admin",
        "source": "landings",
        "sources": ["landings"],
        "view": "origin_landings",
        "views": ["origin_landings"],
        "node": f"{THEIRS}/2",
        "version": 1,
        "key": "0000000000",
        "tags": {"canary": CANARY},
        "reason": CANARY,
        "description": CANARY,
        "note": CANARY,
        "to": "stolen",
        "stage": "Archived",
        "state": "failed",
        "alias": "champion",
        "gate": "mae",
        "scopes": ["models:read"],
        "data": "AAAA",
        "rows": [],
        "ids": [],
        "arm": "b",
        "what": "models.show",
        "trigger": "person",
        "cause": CANARY,
    }


def sent_for(request: type, names: dict[str, Any]) -> dict[str, Any]:
    """A body that names somebody else's thing wherever it can."""
    body = {one.name: names[one.name] for one in fields(request) if one.name in names}
    for one in fields(request):  # which are of several types in several requests
        if one.name == "tags" and "tuple" in str(one.type):
            body["tags"] = [CANARY]
        if one.name == "rows" and one.type is bytes:
            body["rows"] = ""
        if one.type is bool or (one.name == "state" and one.type is not str):
            body.pop(one.name, None)
        if one.name not in body and one.default is one.default_factory:
            empty: dict[Any, Any] = {int: 1, bytes: ""}
            body[one.name] = empty.get(one.type, {} if "Mapping" in str(one.type) else "x")
    return body


OPERATIONS = {operation.name: operation for operation in all_operations()}


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("access.whoami", "access.roles")])
def test_no_operation_tells_or_changes_what_is_anothers(
    room: Showroom, eve: Door, things: dict[str, str], name: str
) -> None:
    before = records(room)
    answer = eve.post(f"/api/{name}", json=sent_for(OPERATIONS[name].request, their_names(things)))
    # All but one, which takes a model or a deployment, come as far as the question whose it is.
    assert answer.status_code in (200, 403) or name == "access.explain", answer.text
    assert CANARY not in answer.text
    if answer.status_code == 200:
        assert THEIRS not in answer.text
    assert records(room) == before


@pytest.mark.parametrize("field", ["run", "model", "deployment"])
def test_naming_something_of_ones_own_beside_it_opens_nothing(
    room: Showroom, eve: Door, things: dict[str, str], field: str
) -> None:
    """A request that names two things is about both."""
    with room.stores.metadata.transaction() as tx:
        own_run = next(run.id for run in tx.find(Run) if run.model == OWN)
    own = {"run": own_run, "model": OWN, "deployment": "late"}[field]
    before = records(room)
    for name, operation in OPERATIONS.items():
        known = naming_fields(operation.request, BELONGINGS)
        if field not in known or len(fields(operation.request)) == 1 or operation.permission == "self:read":
            continue
        others = {one.name for one in fields(operation.request) if one.type is not bool} & set(BELONGINGS) - {field}
        if not others:
            continue
        body = {**sent_for(operation.request, their_names(things)), field: own}
        answer = eve.post(f"/api/{name}", json=body)
        assert answer.status_code == 403, (name, answer.text)
    assert records(room) == before


def test_what_a_version_is_registered_of_gives_no_right_to_the_name(
    eve: Door, room: Showroom, things: dict[str, str]
) -> None:
    with room.stores.metadata.transaction() as tx:
        own_run = next(run.id for run in tx.find(Run) if run.model == OWN)
    answer = eve.post(
        f"{MLFLOW}/model-versions/create",
        json={"name": things["registered"], "source": f"runs:/{own_run}/model", "run_id": own_run},
    )
    assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")


def targets(things: dict[str, str]) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Calls of MLflow's client that name what is somebody else's."""
    run, model = things["run"], things["model_id"]
    yield from (("GET", f"{MLFLOW}/runs/get?run_id={run}", None), ("GET", f"{MLFLOW}/runs/get?run_uuid={run}", None))
    yield "POST", f"{MLFLOW}/runs/search", {"experiment_ids": ["1"]}
    yield "POST", f"{MLFLOW}/experiments/search", {}
    yield "GET", f"{MLFLOW}/experiments/get?experiment_id=1", None
    yield "GET", f"{MLFLOW}/experiments/get-by-name?experiment_name=of+{CANARY}", None
    yield "GET", f"{MLFLOW}/artifacts/list?run_id={run}", None
    yield "GET", f"{MLFLOW}/metrics/get-history?run_id={run}&metric_key=mae", None
    yield "GET", f"{MLFLOW}/logged-models/{model}", None
    yield "POST", f"{MLFLOW}/logged-models/search", {"experiment_ids": ["1"]}
    yield "GET", f"{MLFLOW}/registered-models/get?name={CANARY}", None
    yield "GET", f"{MLFLOW}/registered-models/search", None
    yield "GET", f"{MLFLOW}/model-versions/search", None
    for own in ("1", "0", "eve"):  # the experiment in an address of a file is nobody's word for anything
        yield "GET", f"{FILES}/{own}/{run}/artifacts/{CANARY}.txt", None
        yield "GET", f"{FILES}?path={own}/{run}/artifacts", None
        yield "GET", f"{FILES}/{own}/models/{model}/artifacts/m.txt", None
        yield "GET", f"{FILES}?path={own}/models/{model}/artifacts", None
        yield "PUT", f"{FILES}/{own}/{run}/artifacts/{CANARY}.txt", None
        yield "PUT", f"{FILES}/{own}/{run[-8:]}/artifacts/{CANARY}.txt", None
        yield "DELETE", f"{FILES}/{own}/{run}/artifacts/{CANARY}.txt", None
        yield "PUT", f"{FILES}/{own}/models/{model}/artifacts/m.txt", None
    for path in ("runs/update", "runs/delete", "runs/set-tag", "runs/log-metric", "runs/log-parameter"):
        yield "POST", f"{MLFLOW}/{path}", {"run_id": run, "key": "k", "value": "1", "status": "FAILED", "timestamp": 1}
    yield "POST", f"{MLFLOW}/runs/create", {"experiment_id": "1"}
    yield "POST", f"{MLFLOW}/registered-models/set-tag", {"name": CANARY, "key": "k", "value": "v"}
    yield "DELETE", f"{MLFLOW}/registered-models/delete", {"name": CANARY}


def test_mlflows_client_tells_and_changes_nothing_of_anothers(
    room: Showroom, eve_key: str, things: dict[str, str]
) -> None:
    ask, before = Raw(room, token=eve_key), records(room)
    for method, target, body in targets(things):
        answer = ask(method, target, msgspec.json.encode(body) if body is not None else b"stolen")
        assert answer.status in (400, 403, 404), (method, target, answer)
        assert f'"{CANARY}' not in answer.body.decode(), (method, target)
    assert records(room) == before


def test_every_page_shows_what_is_ones_own_only(room: Showroom, eve_key: str) -> None:
    door = visitor_of(room, eve_key)
    theirs = {
        "model": THEIRS, "version": "2", "deployment": "eta", "run": run_id(5), "incident": incident_id(0),
        "prediction": prediction_id(0), "view": "origin_landings", "account": "eve", "key": "x",
    }  # fmt: skip
    seen = set()
    for page in all_pages():
        if page.method != "GET":
            continue
        path = re.sub(r"{(\w+)}", lambda match: theirs.get(match[1], "x"), page.path)
        answer = door.get(f"{path}?deployment=eta&model={THEIRS}&name={CANARY}.txt")
        seen.add(answer.status_code)
        if answer.status_code == 200:
            shown = re.sub(r"value=\"[^\"]*\"", "", answer.text)
            assert "eta_on_arrival" not in shown
            assert not re.search(rf"/models/{THEIRS}\b|/deployments/eta\b", shown), path
    assert seen <= {200, 403, 404, 422}


@pytest.mark.parametrize("prefix", ["arrival", "arrival_delay_2", "ARRIVAL_DELAY", "arrival_delay ", " arrival_delay"])
def test_a_name_that_begins_or_ends_as_anothers_is_another(room: Showroom, prefix: str) -> None:
    held = (Limited(about="model", name=prefix, permissions=frozenset({"*"})),)
    principal = Principal(name="mallory", permissions=frozenset(), limited=held)
    request = OPERATIONS["models.list"].request()
    assert Dispatcher(all_operations(), room.context).call(request, principal) == ()


def test_every_way_in_is_tried_here(room: Showroom) -> None:
    """What is added to MLflow's door is added above, or reads nothing but through operations, which all are tried."""
    endpoints = declared_endpoints(room.context, Dispatcher(all_operations(), room.context))
    assert all(endpoint.dispatched for endpoint in endpoints if endpoint.path.startswith(("/api/2.0/",)))


def test_another_is_not_told_whether_a_thing_is_there(tmp_path: Path, eve: Door, things: dict[str, str]) -> None:
    there = eve.post("/api/runs.show", json={"run": things["run"]}).json()
    nowhere = eve.post("/api/runs.show", json={"run": "018f0000-0000-7000-8000-00000000dead"}).json()
    for answer in (there, nowhere):
        answer.pop("request_id")
    assert there == nowhere
