"""How each command is called when all are tried. A new command must be added here, or `test_every_command` fails."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.unit.cli.commands import Path
from tests.unit.cli.shop import NOW, PREDICTION, ROW, Shop, jsonl

from octavo.access import ensure_admin
from octavo.features.datasets.building import kept_file
from octavo.features.datasets.operations import BuildDataset, build_dataset
from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.features.events.dead_letters import keep_refused
from octavo.features.events.refusals import PayloadKind, Refused
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.registry.bundles import fetch_bundle
from octavo.registry.versions import ModelVersion
from octavo.release.aliases import point
from octavo.release.composites import composite_state, live_version
from octavo.release.experiment_lifecycle import start as start_experiment
from octavo.release.lifecycle import deployment_state
from octavo.release.lifecycle import request as request_release
from octavo.release.releases import Release, ReleaseState
from octavo.training.runs import Run

INCIDENT = "01bdd3a0-0000-7000-8000-00000000000a"


def open_incident(shop: Shop) -> str:
    """Open an incident of the till; its id."""
    opened = Incident(
        id=INCIDENT, deployment="till", model="spending", version=1, incident_kind=IncidentKind.DRIFT, subject="inputs",
        value=0.4, threshold=0.2, opened_at=NOW, cause="takings__spent_mean_24h moved [up]",
    )  # fmt: skip
    with shop.context() as context, context.transaction() as tx:
        tx.add(opened)
    return INCIDENT


def _run(shop: Shop) -> str:
    with shop.context() as context, context.transaction() as tx:
        return tx.find(Run)[0].id


def _waiting_release(shop: Shop) -> str:
    with shop.context() as context:
        asked = request_release(context, "till", version=1, cause="user")
        waiting = Release(
            id=asked.id, deployment="till", model="spending", version=1, cause="user", requested_at=NOW,
            state=ReleaseState.WAITING_FOR_APPROVAL,
        )  # fmt: skip
        with context.transaction() as tx:
            tx.replace(asked, waiting)
    return asked.id


def _with_incident(shop: Shop) -> list[str]:
    open_incident(shop)
    return ["--open"]


def _with_release(shop: Shop) -> list[str]:
    _waiting_release(shop)
    return ["till"]


def _with_live_version(shop: Shop) -> None:
    """Have another version serve than the one that was trained."""
    with shop.context() as context, context.transaction() as tx:
        trained = tx.get(ModelVersion, "spending/1")
        assert trained is not None
        state = deployment_state(tx, "till")
        tx.add(replace(trained, version=2))
        tx.replace(state, replace(state, live=2, sequence=1))


def _with_experiment(shop: Shop, *more: str) -> list[str]:
    _with_live_version(shop)
    with shop.context() as context:
        start_experiment(context, "till", "dearer", versions={"challenger": 1}, refusal=lambda *_: "")
    return ["till", *more]


def _experiment_to_start(shop: Shop) -> list[str]:
    _with_live_version(shop)
    return ["till", "dearer", "--arm", "challenger=1"]


def _with_alias(shop: Shop) -> list[str]:
    with shop.context() as context:
        point(context, "spending", "champion", version=1)
    return ["spending", "champion"]


def _with_two_versions(shop: Shop) -> list[str]:
    with shop.context() as context, context.transaction() as tx:
        state = composite_state(tx, "bill")
        tx.add(replace(live_version(tx, state), version=2))
        tx.put(replace(state, live=2, previous=1, newest=2))
    return ["bill"]


def _with_token(shop: Shop) -> list[str]:
    ensure_admin(shop.folder / ".octavo")
    return []


def _prediction(shop: Shop) -> list[str]:
    ensure_admin(shop.folder / ".octavo")
    return ["till", jsonl(ROW)]


def _dead_letter(shop: Shop) -> str:
    """Keep an event that could not be taken; its source."""
    wrong = Refused(row=0, field="spent", reason="spent is [wrong]", payload=b'{"number": 1}', kind=PayloadKind.JSON)
    with shop.context() as context:
        keep_refused([wrong], source="visits", stream=context.stores.stream, clock=context.clock)
    return "visits"


def model_directory(shop: Shop) -> str:
    """Write a model directory of MLflow whose model is that of version 1, if there is none; its path."""
    folder = shop.folder / "saved"
    folder.mkdir(exist_ok=True)
    with shop.context() as context:
        with context.transaction() as tx:
            version = tx.get(ModelVersion, "spending/1")
        bundle = fetch_bundle(context.stores.artifacts, version.digest, into=shop.folder / "fetched")
    (folder / "model.lgb").write_bytes((bundle.path / "model" / "model.txt").read_bytes())
    inputs = json.dumps([{"type": "double", "name": name} for name in bundle.plan.inputs])
    (folder / "MLmodel").write_text(
        "flavors:\n  lightgbm: {data: model.lgb, model_class: lightgbm.basic.Booster}\n"
        f"mlflow_version: 3.17.2\nsignature:\n  inputs: '{inputs}'\nutc_time_created: '2030-01-20 12:00:00'\n",
        encoding="utf-8",
    )
    return str(folder)


def _dataset(shop: Shop) -> DatasetSnapshot:
    """Build a dataset whose rows are kept."""
    with shop.context() as context:
        return build_dataset(BuildDataset(model="spending", keep=True), context)


def _dataset_file(shop: Shop) -> str:
    digest = _dataset(shop).digest
    with shop.context() as context:
        return str(kept_file(context, digest))


CALLS: Mapping[Path, Callable[[Shop], list[str]]] = {
    ("new",): lambda shop: ["trips", "another"],
    ("plan",): lambda shop: [],
    ("apply",): lambda shop: [],
    ("status",): lambda shop: [],
    ("clock",): lambda shop: [*_with_token(shop), "--to", "2030-01-22T00:00:00Z"],
    ("login",): _with_token,
    ("ingest",): lambda shop: ["visits.jsonl"],
    ("events",): lambda shop: [],
    ("events", "dead"): lambda shop: [_dead_letter(shop), "--reason", "spent"],
    ("events", "replay"): lambda shop: [_dead_letter(shop)],
    ("events", "discard"): lambda shop: [_dead_letter(shop), "--reason", "a test [of all]"],
    ("sources",): lambda shop: [],
    ("sources", "refresh"): lambda shop: ["daily"],
    ("features",): lambda shop: [],
    ("features", "list"): lambda shop: [],
    ("features", "show"): lambda shop: ["takings"],
    ("features", "audit"): lambda shop: ["--deployment", "till", "--since", "24h"],
    ("datasets",): lambda shop: [],
    ("datasets", "build"): lambda shop: ["--model", "spending", "--out", "cases.parquet"],
    ("datasets", "show"): lambda shop: [_dataset(shop).digest[:20]],
    ("datasets", "verify"): lambda shop: [_dataset_file(shop)],
    ("datasets", "rebuild"): lambda shop: [_dataset(shop).digest, "--out", "again.parquet"],
    ("materialize",): lambda shop: ["--force"],
    ("train",): lambda shop: ["spending", "--release"],
    ("runs",): lambda shop: ["--model", "spending"],
    ("runs", "show"): lambda shop: [_run(shop)],
    ("runs", "request"): lambda shop: ["spending"],
    ("models",): lambda shop: [],
    ("models", "show"): lambda shop: ["spending"],
    ("models", "version"): lambda shop: ["spending", "1"],
    ("models", "aliases"): lambda shop: [],
    ("models", "alias"): lambda shop: ["spending", "champion", "1"],
    ("models", "unalias"): _with_alias,
    ("models", "import"): lambda shop: [model_directory(shop), "--model", "spending"],
    ("deployments",): lambda shop: [],
    ("deployments", "show"): _with_release,
    ("deployments", "release"): lambda shop: ["till"],
    ("deployments", "approve"): lambda shop: [_waiting_release(shop)],
    ("deployments", "rollback"): _with_release,
    ("experiments",): lambda shop: ["--deployment", "till"],
    ("experiments", "start"): _experiment_to_start,
    ("experiments", "show"): _with_experiment,
    ("experiments", "stop"): _with_experiment,
    ("experiments", "promote"): lambda shop: _with_experiment(shop, "challenger", "--reason", "it sells [more]"),
    ("composites",): lambda shop: [],
    ("composites", "show"): lambda shop: ["bill"],
    ("composites", "rollback"): _with_two_versions,
    ("predict",): _prediction,
    ("predictions", "list"): lambda shop: ["till", "--entity", "shop=north"],
    ("predictions", "show"): lambda shop: [PREDICTION],
    ("predictions", "explain"): lambda shop: [PREDICTION],
    ("outcomes",): lambda shop: ["--prediction", PREDICTION, "--value", "-4"],
    ("monitor",): lambda shop: [],
    ("monitor", "show"): lambda shop: ["till"],
    ("monitor", "look"): lambda shop: ["till"],
    ("monitor", "traffic"): lambda shop: ["till", "--since", "2030-01-20T00:00:00Z"],
    ("monitor", "compare"): lambda shop: ["till", "1"],
    ("incidents",): _with_incident,
    ("incidents", "show"): lambda shop: [open_incident(shop)],
    ("incidents", "resolve"): lambda shop: [open_incident(shop), "--cause", "a sale [of all]"],
    ("audit",): lambda shop: ["--limit", "5"],
}

UNTIL_STOPPED: set[Path] = {("up",), ("serve",), ("demo", "trips")}
"""Commands that run until they are stopped, so that tests of their own start them."""

ANSWER = {
    "deployment": "till",
    "model": "spending",
    "predictions": [{"id": PREDICTION, "value": 12.0, "version": 1}],
    "now": "2030-01-22T00:00:00Z",
    "replay": True,
}
"""What the predictor of the tests answers, and its control process when it is asked for the time."""
