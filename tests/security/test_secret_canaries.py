"""Secrets are references. What they refer to, and what lets somebody in, is in no log, record, page, file or error."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from octavo.access import ensure_admin, issue_login, local_token, project_access
from octavo.access_settings import OidcSettings
from octavo.config import PredictorSettings
from octavo.console.pages import all_pages
from octavo.errors import ConfigurationError
from octavo.record_settings import LineageSettings
from octavo.stores.kafka import KafkaAddress
from octavo.stores.redis.address import RedisAddress
from octavo.stores.sql.postgres.address import PostgresAddress
from octavo.stores.urls import secret
from octavo.wiring import all_operations
from tests.provider import running_provider
from tests.security.sites import MLFLOW, key_of, mark_of, post, program_of
from tests.showrooms import Showroom, full_showroom
from tests.showrooms.doors import BROWSER, Door, api, browser

SECRETS = {
    "OIDC_CLIENT_SECRET": "canary-oidc-5b1f0c", "HOOK_KEY": "canary-hook-a0c3d4e5f6a7b8c9",
    "LINEAGE_TOKEN": "canary-lineage-99d2",
}  # fmt: skip
OPERATIONS = list(all_operations())


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with running_provider() as provider:
        yield provider.issuer


@pytest.fixture
def room(tmp_path: Path, issuer: str, monkeypatch: pytest.MonkeyPatch) -> Showroom:
    """A project whose settings refer to a secret of each kind."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    made = full_showroom(tmp_path)
    config = replace(
        made.context.config,
        oidc=OidcSettings(issuer=issuer, client_id="o", client_secret="env:OIDC_CLIENT_SECRET", url="http://localhost"),
        predictor=PredictorSettings(callbacks=("https://a.example/",), callback_secret="env:HOOK_KEY"),
        lineage=LineageSettings(openlineage="http://127.0.0.1:9", token="env:LINEAGE_TOKEN"),
    )
    return Showroom(context=replace(made.context, config=config), text="")


def everything_kept(room: Showroom) -> str:
    """Records, trail, artifacts and the files of the project, but those whose purpose is to hold a secret."""
    metadata, artifacts = room.stores.metadata, room.stores.artifacts
    held: list[Any] = [
        list(vars(metadata)["_records"].values()),
        [msgspec.to_builtins(e) for e in vars(metadata)["_audit"]],
    ]
    kept = [*vars(artifacts).get("_objects", {}).values(), *vars(artifacts).get("_documents", {}).values()]
    assert kept or vars(artifacts)
    files = [
        path.read_bytes()
        for path in room.context.config.root.rglob("*")
        if path.is_file() and path.name != "token" and "keys" not in path.parts
    ]
    return json.dumps(held, default=str) + repr(kept) + repr(files) + repr(vars(artifacts))


def everything_told(room: Showroom, admin: Door, visitor: Door) -> str:
    """What every operation, page and form says, also of what it refuses."""
    told = []
    for operation in OPERATIONS:
        if not operation.changes:
            told.append(admin.post(f"/api/{operation.name}", json={}).text)
        told.append(admin.post(f"/api/{operation.name}", json={"x": 1}).text)
    for page in all_pages():
        path = page.path.replace("{deployment}", "eta").replace("{model}", "arrival_delay").replace("{version}", "2")
        if page.method == "GET":
            told.append(visitor.get(path.replace("{", "").replace("}", "")).text)
    told += [
        admin.get(path).text for path in ("/metrics", "/api/openapi.json", "/livez", f"{MLFLOW}/experiments/search")
    ]
    return "".join(told)


def test_no_secret_of_the_settings_is_anywhere(room: Showroom, caplog: pytest.LogCaptureFixture) -> None:
    """Though a program logs them all, as one does that dumps its environment."""
    caplog.set_level(logging.DEBUG)
    admin, visitor, dumped = api(room), browser(room), " ".join(SECRETS.values())
    run = post(admin, "runs.create", name=dumped, experiment="e", params={"env": dumped}, tags={"env": dumped})["id"]
    post(admin, "runs.update", run=run, name=f"again {dumped}")
    post(admin, "runs.log", run=run, params={"more": dumped}, tags={"more": dumped})
    admin.post(f"{MLFLOW}/runs/set-tag", json={"run_id": run, "key": "t", "value": dumped})
    admin.post(f"{MLFLOW}/runs/log-batch", json={"run_id": run, "params": [{"key": "p", "value": dumped}]})
    model = post(admin, "runs.models.create", experiment="e", name=dumped, params={"env": dumped}, tags={"env": dumped})
    post(admin, "runs.models.update", model_id=model["id"], tags={"more": dumped}, params={"more": dumped})
    post(admin, "runs.end", run=run, status="failed", error=f"cannot connect with {dumped}")
    asked = visitor.get("/login/oidc", params={"next": "/models"})
    assert asked.status_code == 303
    visitor.get("/login/oidc/callback", params={"code": "x", "state": "y"})
    found = everything_kept(room) + everything_told(room, admin, visitor) + caplog.text + asked.headers["location"]
    for value in SECRETS.values():
        assert value not in found, found[max(0, found.find(value) - 200) : found.find(value) + 50]
    assert "env:OIDC_CLIENT_SECRET" in found


def test_nothing_that_lets_somebody_in_is_anywhere(room: Showroom, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    home = room.context.config.home
    ensure_admin(home)
    admin, visitor, code = api(room), browser(room), issue_login(home)
    door = Door(room, headers=BROWSER)
    assert door.get("/login", params={"token": code}).status_code == 200
    key = key_of(room, "grace", {"role": "admin"})
    rotated = post(admin, "access.rotate_key", key=key.split("_")[1])["text"]
    issued = project_access(home).issue(name="ci", permissions=["models:read"])
    cookies = [visitor.cookies["octavo_session"], door.cookies["octavo_session"]]
    program_of(room, key).post("/api/models.list", json={"nothing": 1})
    for wrong in (f"{key}x", key[:-1], key.replace("octavo", "octavO")):
        program_of(room, wrong).post("/api/models.list", json={})
        Door(room, headers=BROWSER).post("/login", data={"token": wrong})
    secrets = [local_token(home), key, rotated, issued]
    parts = [one.rsplit("_", 1)[1] for one in secrets]
    logged = "".join(
        str(vars(one)) for one in caplog.records if not one.name.startswith("httpx")
    )  # which are the test's
    found = everything_kept(room) + everything_told(room, admin, visitor) + logged
    for value in (*secrets, *parts, *cookies, code):
        assert value not in found, value[:12]
    assert mark_of(visitor) not in everything_kept(room)


def test_a_file_with_a_secret_is_its_owners(room: Showroom) -> None:
    home = room.context.config.home
    ensure_admin(home)
    api(room).post("/api/releases.approvals", json={})
    for path in [home / "token", home / "access.json", *(home / "keys").glob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


PLACES = [
    (PostgresAddress, "postgresql://ada:{}@db/octavo"),
    (PostgresAddress, "postgresql://ada@db/octavo?password={}"),
    (PostgresAddress, "postgresql://ada:{}@db:port/octavo"),
    (RedisAddress, "redis://:{}@cache:6379/0"),
    (RedisAddress, "redis://cache:6379/0?password={}"),
    (KafkaAddress, "kafka://broker:9092/octavo?password={}"),
    (KafkaAddress, "kafka://ada:{}@broker:9092/octavo"),
]


@pytest.mark.parametrize(("kind", "url"), PLACES)
def test_a_secret_in_the_place_of_a_reference_is_refused_and_not_repeated(kind: Any, url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        kind.parse(url.format("hunter2-canary"), root=tmp_path)
    assert "hunter2" not in str(refused.value) + repr(refused.value.facts)
    assert refused.value.__cause__ is None or "hunter2" not in str(refused.value.__cause__)


@pytest.mark.parametrize("reference", ["hunter2-canary", "env:", "file:", "vault:hunter2-canary", "hunter2:canary"])
def test_what_is_no_reference_is_not_repeated(reference: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        secret(reference)
    assert "canary" not in str(refused.value)


def test_a_secret_is_read_when_it_is_used(tmp_path: Path) -> None:
    """So that one that was changed counts without a start anew, and none is held in the settings."""
    place = tmp_path / "secret"
    place.write_text("first\n")
    assert secret(f"file:{place}") == "first"
    place.write_text("second\n")
    assert secret(f"file:{place}") == "second"
