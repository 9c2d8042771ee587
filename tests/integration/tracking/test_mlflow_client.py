"""MLflow's own client against Octavo, unchanged, over HTTP: each test is a program as people write them."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from octavo.access import local_token
from octavo.processes import CONTROL, find_running
from tests.integration.projects import MODULE

PATIENCE_S = 120
SETTINGS = '[project]\nname = "deliveries"\n\n[control]\nport = 0\n'
BEGIN = """
import json, logging, math, sys, warnings
warnings.simplefilter("ignore")
import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
logging.disable(logging.WARNING)
client = MlflowClient()
told = {}
"""
Program = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose control process runs."""
    root = tmp_path_factory.mktemp("tracked")
    (root / "octavo.toml").write_text(SETTINGS, encoding="utf-8")
    (root / "project.py").write_text(MODULE, encoding="utf-8")
    said = root / "control.log"
    with (
        said.open("wb") as log,
        subprocess.Popen([sys.executable, "-m", "octavo.api"], cwd=root, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while (found := find_running(root / ".octavo", CONTROL)) is None or found.pid != process.pid:
                assert process.poll() is None, said.read_text(encoding="utf-8")[-3_000:]
                assert time.monotonic() < deadline, "the control process does not start"
                time.sleep(0.1)
            yield root
        finally:
            process.terminate()
    assert "Traceback" not in said.read_text(encoding="utf-8"), said.read_text(encoding="utf-8")[-6_000:]


@pytest.fixture(scope="module")
def run(project: Path) -> Program:
    """Runs a program with MLflow's client, and gives what it told."""
    found = find_running(project / ".octavo", CONTROL)
    assert found is not None
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "COVERAGE"))},
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{found.port}",
        "MLFLOW_TRACKING_TOKEN": local_token(project / ".octavo"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "GIT_PYTHON_REFRESH": "quiet",
    }

    def program(text: str) -> dict[str, Any]:
        whole = BEGIN + textwrap.dedent(text) + "\nprint('TOLD' + json.dumps(told))\n"
        done = subprocess.run(
            [sys.executable, "-c", whole], env=environment, cwd=project, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-6_000:]
        told: dict[str, Any] = json.loads(done.stdout.rpartition("TOLD")[2])
        return told

    return program


def test_a_run_is_told_and_read_back(run: Program) -> None:
    told = run(
        """
        mlflow.set_experiment("churn")
        with mlflow.start_run(run_name="first", tags={"team": "risk"}) as active:
            mlflow.log_params({"depth": 6, "rate": 0.1})
            for step in range(5):
                mlflow.log_metric("auc", 0.7 + step / 100, step=step)
            mlflow.log_metrics({"loss": math.nan, "huge": math.inf})
            mlflow.log_text("hello", "notes/hello.txt")
            mlflow.log_dict({"a": 1}, "notes/a.json")
            with mlflow.start_run(nested=True, run_name="inner") as inner:
                pass
        found = client.get_run(active.info.run_id)
        told["status"], told["name"] = found.info.status, found.info.run_name
        told["params"], told["team"] = found.data.params, found.data.tags["team"]
        told["auc"], told["nan"], told["inf"] = (
            found.data.metrics["auc"], math.isnan(found.data.metrics["loss"]), found.data.metrics["huge"] == math.inf
        )
        told["history"] = [[m.step, m.value] for m in client.get_metric_history(active.info.run_id, "auc")]
        told["top"] = [[f.path, f.is_dir] for f in client.list_artifacts(active.info.run_id)]
        told["notes"] = sorted(f.path for f in client.list_artifacts(active.info.run_id, "notes"))
        told["text"] = mlflow.artifacts.load_text(f"{found.info.artifact_uri}/notes/hello.txt")
        told["parent"] = client.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"] == active.info.run_id
        """
    )
    assert (told["status"], told["name"], told["team"]) == ("FINISHED", "first", "risk")
    assert told["params"] == {"depth": "6", "rate": "0.1"}
    assert (told["auc"], told["nan"], told["inf"]) == (0.74, True, True)
    assert told["history"] == [[step, 0.7 + step / 100] for step in range(5)]
    assert told["top"] == [["notes", True]]
    assert told["notes"] == ["notes/a.json", "notes/hello.txt"]
    assert told["text"] == "hello"
    assert told["parent"]


def test_runs_are_found_by_filters_and_orders(run: Program) -> None:
    told = run(
        """
        mlflow.set_experiment("search")
        for depth in (2, 4, 6):
            with mlflow.start_run(run_name=f"depth {depth}"):
                mlflow.log_param("depth", depth)
                mlflow.log_metric("auc", 0.5 + depth / 20)
                mlflow.set_tag("kind", "deep" if depth > 3 else "flat")
        def names(**asked):
            return [r.info.run_name for r in mlflow.search_runs(output_format="list", **asked)]
        told["best"] = names(order_by=["metrics.auc DESC"])
        told["good"] = names(filter_string="metrics.auc > 0.65 and tags.kind = 'deep'", order_by=["params.depth ASC"])
        told["named"] = names(filter_string="attributes.run_name LIKE '%4' and attributes.status = 'FINISHED'")
        told["one"] = names(max_results=1, order_by=["attributes.start_time DESC"])
        first = client.search_runs([mlflow.get_experiment_by_name("search").experiment_id], max_results=2)
        told["pages"] = [len(first), len(client.search_runs(
            [mlflow.get_experiment_by_name("search").experiment_id], max_results=2, page_token=first.token))]
        try:
            names(filter_string="metrics.auc ~ 3")
        except MlflowException as error:
            told["refused"] = error.error_code
        """
    )
    assert told["best"] == ["depth 6", "depth 4", "depth 2"]
    assert told["good"] == ["depth 4", "depth 6"]
    assert told["named"] == ["depth 4"]
    assert told["one"] == ["depth 6"]
    assert told["pages"] == [2, 1]
    assert told["refused"] == "INVALID_PARAMETER_VALUE"


def test_experiments_and_what_is_refused(run: Program) -> None:
    told = run(
        """
        made = client.create_experiment("second", tags={"team": "risk"})
        client.rename_experiment(made, "renamed")
        client.set_experiment_tag(made, "stage", "trial")
        found = client.get_experiment(made)
        told["experiment"] = [found.name, found.tags, found.lifecycle_stage]
        told["named"] = [e.name for e in client.search_experiments(filter_string="tags.team = 'risk'")]
        client.delete_experiment(made)
        told["deleted"] = client.get_experiment(made).lifecycle_stage
        client.restore_experiment(made)
        told["none"] = client.get_experiment_by_name("nobody") is None
        def code(act):
            try:
                act()
            except MlflowException as error:
                return error.error_code
        told["twice"] = code(lambda: client.create_experiment("renamed"))
        told["absent"] = code(lambda: client.get_run("0" * 32))
        run = client.create_run(made)
        client.log_param(run.info.run_id, "depth", 3)
        told["changed"] = code(lambda: client.log_param(run.info.run_id, "depth", 4))
        client.set_terminated(run.info.run_id, "FAILED")
        client.delete_run(run.info.run_id)
        ended = client.get_run(run.info.run_id).info
        told["run"] = [ended.status, ended.lifecycle_stage]
        """
    )
    assert told["experiment"] == ["renamed", {"team": "risk", "stage": "trial"}, "active"]
    assert told["named"] == ["renamed"]
    assert (told["deleted"], told["none"]) == ("deleted", True)
    assert (told["twice"], told["absent"]) == ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST")
    assert told["changed"] == "INVALID_PARAMETER_VALUE"
    assert told["run"] == ["FAILED", "deleted"]


FITTED = {
    "sklearn": "from sklearn.linear_model import LogisticRegression\nLogisticRegression(C=0.5).fit(x, y)",
    "lightgbm": """import lightgbm
settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
lightgbm.train(settings, lightgbm.Dataset(x, y), num_boost_round=3)""",
}


@pytest.mark.parametrize("library", FITTED)
def test_autologging_registration_and_loading(run: Program, library: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    indented = textwrap.indent(FITTED[library], " " * 12)
    told = run(
        f"""
        import numpy as np
        mlflow.set_experiment("auto")
        mlflow.{library}.autolog()
        chance = np.random.default_rng(1)
        x = chance.normal(size=(200, 3)); y = (x[:, 0] > 0).astype(int)
        with mlflow.start_run() as active:
{indented}
        found = client.get_run(active.info.run_id)
        told["params"] = len(found.data.params)
        logged = mlflow.search_logged_models(output_format="list")
        told["logged"] = [m.status.name for m in logged][:1]
        model = logged[0]
        version = mlflow.register_model(f"models:/{{model.model_id}}", "outside-{library}")
        client.set_registered_model_alias("outside-{library}", "champion", version.version)
        client.set_model_version_tag("outside-{library}", version.version, "checked", "yes")
        again = client.get_model_version_by_alias("outside-{library}", "champion")
        told["version"] = [again.version, again.tags, list(again.aliases), again.status]
        told["names"] = [m.name for m in client.search_registered_models("name LIKE 'outside%'")]
        told["versions"] = [v.version for v in client.search_model_versions("name = 'outside-{library}'")]
        loaded = mlflow.pyfunc.load_model("models:/outside-{library}@champion")
        told["predicts"] = len(loaded.predict(x[:5]))
        """
    )
    assert told["params"] > 0
    assert told["logged"] == ["READY"]
    assert [int(told["version"][0]), *told["version"][1:]] == [1, {"checked": "yes"}, ["champion"], "READY"]
    assert f"outside-{library}" in told["names"]
    assert [int(one) for one in told["versions"]] == [1]
    assert told["predicts"] == 5


def test_who_has_no_token_is_refused(project: Path) -> None:
    found = find_running(project / ".octavo", CONTROL)
    assert found is not None
    program = BEGIN + "client.search_experiments()"
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{found.port}",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "this needs a token" in done.stderr or "not_authenticated" in done.stderr or "401" in done.stderr
