"""How each command is called when all are tried. A new command must be added here, or `test_every_command` fails."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from tests.unit.cli.commands import Path
from tests.unit.cli.shop import NOW, PREDICTION, ROW, Shop, jsonl

from octavo.access import ensure_admin
from octavo.features.datasets.building import kept_file
from octavo.features.datasets.operations import BuildDataset, build_dataset
from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.features.events.dead_letters import keep_refused
from octavo.features.events.refusals import PayloadKind, Refused
from octavo.loop.backups import BackUp, back_up
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.registry.bundle_operations import FetchVersion, SignVersion
from octavo.registry.bundle_operations import fetch as fetch_version
from octavo.registry.bundle_operations import sign as sign_version
from octavo.registry.bundles import fetch_bundle
from octavo.registry.versions import ModelVersion, Waiver
from octavo.release.aliases import point
from octavo.release.composites import composite_state, live_version
from octavo.release.experiment_lifecycle import start as start_experiment
from octavo.release.interventions import hold, stop
from octavo.release.lifecycle import deployment_state
from octavo.release.lifecycle import request as request_release
from octavo.release.releases import Release, ReleaseState
from octavo.training.runs import Run
from octavo.training.tracking.operations import (
    CreateRun,
    DeleteRun,
    LoggedPoint,
    LogToRun,
    create_run,
    delete_run,
    log_to_run,
)

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


def _logged_run(shop: Shop) -> str:
    """A run that somebody logged; its id."""
    with shop.context() as context, context.transaction() as tx:
        request = CreateRun(name="a try [of mine]", params={"depth": "6"}, tags={"team": "[risk]"})
        run = create_run(request, replace(context, tx=tx))
        points = (LoggedPoint(name="loss", value=0.5), LoggedPoint(name="loss", value="nan", step=1))
        log_to_run(LogToRun(run=run.id, points=points), replace(context, tx=tx))
    return str(run.id)


def _deleted_run(shop: Shop) -> list[str]:
    run = _logged_run(shop)
    with shop.context() as context, context.transaction() as tx:
        delete_run(DeleteRun(run=run), replace(context, tx=tx))
    return [run]


def _run_cut_off(shop: Shop) -> list[str]:
    """What a run left that could not be reached at its end."""
    folder = shop.folder / "left"
    (folder / "artifacts" / "plots").mkdir(parents=True)
    (folder / "artifacts" / "plots" / "a.svg").write_text("<svg/>")
    point = {"name": "auc", "value": "inf", "step": 3, "at": NOW.isoformat()}
    end = {"status": "killed", "error": "KeyboardInterrupt: ", "finished_at": NOW.isoformat()}
    left = {"run": _logged_run(shop), "params": {"rate": "0.1"}, "tags": {}, "points": [point], "end": end}
    (folder / "run.json").write_text(json.dumps(left))
    return [str(folder)]


def _with_backup(shop: Shop) -> list[str]:
    """A backup, no metadata any more, and nothing that runs."""
    folder, home = shop.folder / "backup", shop.folder / ".octavo"
    with shop.context() as context:
        back_up(BackUp(folder=str(folder)), context)
    for path in [*home.glob("metadata.db*"), *home.glob("run/*.json")]:
        path.unlink()
    return [str(folder)]


def _waiting_release(shop: Shop, *, by: str | None = None) -> str:
    """Have a release wait for people; its id. With `by` another person than the caller had its version made."""
    with shop.context() as context:
        if by is not None:
            with context.transaction() as tx:
                trained = tx.get(ModelVersion, "spending/1")
                assert trained is not None
                tx.replace(trained, replace(trained, author=by))
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


def _with_release_to_approve(shop: Shop) -> list[str]:
    _waiting_release(shop)
    return []


def _with_held_release(shop: Shop) -> list[str]:
    _waiting_release(shop)
    with shop.context() as context:
        hold(context, "till", reason="it is [Friday]")
    return ["till"]


def _with_canary(shop: Shop) -> list[str]:
    _waiting_release(shop)
    with shop.context() as context, context.transaction() as tx:
        [waiting] = tx.find(Release)
        canary = replace(waiting, state=ReleaseState.CANARY, percent=10, served_at=NOW)
        tx.replace(waiting, canary)
    return ["till"]


def _with_stop(shop: Shop) -> list[str]:
    with shop.context() as context:
        stop(context, "till", reason="wrong [units]")
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


def _with_failed_gate(shop: Shop, *, waived: bool = False) -> list[str]:
    """Have the version's gate fail."""
    with shop.context() as context, context.transaction() as tx:
        trained = tx.get(ModelVersion, "spending/1")
        assert trained is not None
        waiver = Waiver(by="ada", at=NOW, until=NOW + timedelta(days=30), reason="so [be] it") if waived else None
        tx.replace(trained, replace(trained, gates=(replace(trained.gates[0], passed=False, waiver=waiver),)))
    return ["spending", "1", "better_than_baseline"]


def _with_two_versions(shop: Shop) -> list[str]:
    with shop.context() as context, context.transaction() as tx:
        state = composite_state(tx, "bill")
        tx.add(replace(live_version(tx, state), version=2))
        tx.put(replace(state, live=2, previous=1, newest=2))
    return ["bill"]


def _with_token(shop: Shop) -> list[str]:
    ensure_admin(shop.folder / ".octavo")
    return []


def _with_account(shop: Shop, *more: str) -> list[str]:
    assert shop.run("access", "add", "ada").exit_code == 0
    return ["ada", *more]


def _with_role(shop: Shop) -> list[str]:
    given = [*_with_account(shop), "viewer", "--model", "spending"]
    assert shop.run("access", "grant", *given).exit_code == 0
    return given


def _with_key(shop: Shop) -> list[str]:
    made = shop.run("access", "keys", "create", *_with_account(shop), "--json")
    return [json.loads(made.stdout)["key"]["id"]]


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


def _signed(shop: Shop) -> list[str]:
    with shop.context() as context:
        sign_version(SignVersion(model="spending", version=1), context)
    return ["spending", "1"]


def _exported(shop: Shop) -> list[str]:
    """Write version 1 into a folder, as `models export` does."""
    _signed(shop)
    with shop.context() as context:
        fetched = fetch_version(FetchVersion(model="spending", version=1), context)
    for name, data in fetched.files.items():
        file = shop.folder / fetched.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (shop.folder / f"{fetched.folder}.sig").write_bytes(fetched.signature)
    return [str(shop.folder / fetched.folder)]


def _with_pickle(shop: Shop) -> list[str]:
    """Have the version be one whose model is a pickle, which somebody else made, in a project that allows that."""
    settings = shop.folder / "octavo.toml"
    settings.write_text(f"{settings.read_text(encoding='utf-8')}\n[models]\nallow_pickle = true\n", encoding="utf-8")
    with shop.context() as context, context.transaction() as tx:
        trained = tx.get(ModelVersion, "spending/1")
        assert trained is not None
        manifest = json.loads(context.stores.artifacts.get(trained.digest)) | {"format": "pickle"}
        digest = context.stores.artifacts.put(json.dumps(manifest).encode())
        tx.replace(trained, replace(trained, digest=digest, author="ada"))
    return ["spending", "1"]


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
    ("sources", "show"): lambda shop: ["visits"],
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
    ("sweep",): lambda shop: ["spending", "--param", "trees=int:2..4", "--trials", "1", "--no-train"],
    ("export", "airflow"): lambda shop: ["--out", str(shop.folder / "dags")],
    ("runs", "reproduce"): lambda shop: [_run(shop), "--environment", "current"],
    ("runs",): lambda shop: ["--model", "spending"],
    ("runs", "show"): lambda shop: [_run(shop)],
    ("runs", "request"): lambda shop: ["spending"],
    ("runs", "list"): lambda shop: ["--where", "metrics.mae > 0 and status = 'succeeded'", "--sort", "-metrics.mae"],
    ("runs", "compare"): lambda shop: [_run(shop), _logged_run(shop)],
    ("runs", "download"): lambda shop: [_run(shop), "--to", str(shop.folder / "files")],
    ("runs", "experiments"): lambda shop: [],
    ("runs", "delete"): lambda shop: [_logged_run(shop)],
    ("runs", "restore"): _deleted_run,
    ("runs", "deliver"): _run_cut_off,
    ("access",): lambda shop: [],
    ("access", "add"): lambda shop: ["ada"],
    ("access", "disable"): _with_account,
    ("access", "enable"): _with_account,
    ("access", "grant"): lambda shop: _with_account(shop, "viewer", "--lasts", "7d"),
    ("access", "revoke"): _with_role,
    ("access", "roles"): lambda shop: [],
    ("access", "whoami"): lambda shop: [],
    ("access", "explain"): lambda shop: ["releases.start", "--deployment", "till"],
    ("access", "matrix"): lambda shop: [],
    ("access", "keys"): lambda shop: [],
    ("access", "keys", "create"): _with_account,
    ("access", "keys", "revoke"): _with_key,
    ("access", "keys", "rotate"): _with_key,
    ("models",): lambda shop: [],
    ("models", "show"): lambda shop: ["spending"],
    ("models", "version"): lambda shop: ["spending", "1"],
    ("models", "report"): lambda shop: ["spending", "1"],
    ("models", "aliases"): lambda shop: [],
    ("models", "history"): lambda shop: ["spending"],
    ("models", "alias"): lambda shop: ["spending", "champion", "1"],
    ("models", "unalias"): _with_alias,
    ("models", "waive"): lambda shop: [*_with_failed_gate(shop), "--reason", "a test of [waivers]"],
    ("models", "unwaive"): lambda shop: _with_failed_gate(shop, waived=True),
    ("models", "card"): lambda shop: ["spending", "1"],
    ("models", "bom"): lambda shop: ["spending", "1"],
    ("models", "verify"): lambda shop: _signed(shop),
    ("models", "sign"): lambda shop: ["spending", "1"],
    ("models", "export"): lambda shop: ["spending", "1", "handed-on"],
    ("models", "vouch"): lambda shop: [*_with_pickle(shop), "--note", "it is [ours]", "--findings"],
    ("bundles", "verify"): lambda shop: _exported(shop),
    ("models", "import"): lambda shop: [model_directory(shop), "--model", "spending"],
    ("backup",): lambda shop: ["backup-of-today"],
    ("restore",): lambda shop: _with_backup(shop),
    ("artifacts", "collect"): lambda shop: ["--older-than", "1h", "--deleted", "--yes"],
    ("deployments",): lambda shop: [],
    ("deployments", "show"): _with_release,
    ("deployments", "release"): lambda shop: ["till"],
    ("deployments", "approvals"): _with_release_to_approve,
    ("deployments", "approve"): lambda shop: [_waiting_release(shop, by="ada")],
    ("deployments", "reject"): lambda shop: [_waiting_release(shop), "--reason", "worse in the [south]"],
    ("deployments", "hold"): lambda shop: [*_with_release(shop), "--reason", "it is [Friday]"],
    ("deployments", "resume"): _with_held_release,
    ("deployments", "advance"): _with_canary,
    ("deployments", "stop"): lambda shop: ["till", "--reason", "wrong [units]"],
    ("deployments", "start"): _with_stop,
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
    ("retraining",): lambda shop: [],
    ("retraining", "suspend"): lambda shop: ["spending", "--trigger", "cron", "--reason", "the [feed] is away"],
    ("retraining", "resume"): lambda shop: ["spending"],
    ("incidents",): _with_incident,
    ("incidents", "show"): lambda shop: [open_incident(shop)],
    ("incidents", "resolve"): lambda shop: [open_incident(shop), "--cause", "a sale [of all]"],
    ("audit",): lambda shop: ["--limit", "5"],
    ("audit", "list"): lambda shop: ["--operation", "models.", "--since", "2029-01-01T00:00:00Z"],
    ("audit", "verify"): lambda shop: [],
    ("audit", "export"): lambda shop: ["--out", "audit.jsonl"],
    ("audit", "checkpoint"): lambda shop: [],
    ("lineage",): lambda shop: ["spending/1", "--depth", "4"],
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
