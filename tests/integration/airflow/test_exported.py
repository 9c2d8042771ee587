"""An exported DAG in a real Airflow, which lives in an environment of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from octavo.config import Config
from octavo.features.operations import IngestEvents
from octavo.loop.definitions import ApplyProject
from octavo.operations import SYSTEM
from octavo.registry.versions import ModelVersion
from octavo.release.releases import Release
from octavo.training.runs import Run, RunStatus
from octavo.training.steps.running import CACHED_FROM
from octavo.wiring import build_dispatcher, open_context
from tests.integration.projects import HISTORY_DAYS, MODULE, deliveries, write_project

DAG = "octavo_deliveries_delivery_hours"
_ROOT = Path(__file__).parents[3]
_SETTINGS = '[project]\nname = "deliveries"\n\n[control]\nport = 0\n\n[predictor]\nport = 0\ngrpc_port = 0\n'
_STEPS = """
@oc.step(retries=1, timeout="10m")
def first_half(train):
    return oc.Dataset(columns=train.columns, X=train.X[::2], y=train.y[::2], times=train.times[::2])


@oc.step
def fitted(rows, trees):
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=trees, num_leaves=7, n_jobs=1, random_state=1, verbose=-1).fit(rows.X, rows.y)


"""
_LOAD = f"""
import json
from airflow.dag_processing.dagbag import DagBag

found = DagBag({{folder!r}})
dag = found.dags.get({DAG!r})
tasks = {{{{task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}}}} if dag else {{{{}}}}
clock = [dag.schedule.expression, str(dag.schedule.timezone)] if dag else []
print("\\n" + json.dumps([list(found.import_errors.values()), tasks, clock]))
"""


@dataclass(frozen=True)
class Airflow:
    """An Airflow, and a folder for all that it writes."""

    python: Path
    home: Path

    def run(self, *command: str) -> str:
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        }
        done = subprocess.run(
            [str(self.python), *command], env=environment, cwd=self.home, capture_output=True, text=True, timeout=600,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout


@pytest.fixture
def airflow(tmp_path: Path) -> Airflow:
    """Passed over where there is none: it has 200 packages, some of them in other versions than ours."""
    python = Path(os.environ.get("OCTAVO_TEST_AIRFLOW", _ROOT / ".airflow" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"there is no Airflow in {python}; make airflow installs one")
    (tmp_path / "airflow" / "dags").mkdir(parents=True)
    made = Airflow(python, tmp_path / "airflow")
    made.run("-m", "airflow", "db", "migrate")
    return made


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A project by the machine's clock whose model trains in steps, its history up to yesterday in the tables."""
    body = MODULE.partition("    from lightgbm")
    rest = body[2].partition("\n\n\neta")[2]
    text = body[0].replace("(train: oc.Dataset):", "(train: oc.Dataset, *, trees: int = 20):")
    text = text.replace("retrain=[oc.on_drift()", 'retrain=[oc.cron("0 3 * * *", zone="Europe/London"), oc.on_drift()')
    head, declared, tail = text.partition("@oc.model(")
    text = head + _STEPS + declared + tail + "    return fitted(first_half(train), trees)\n\n\neta" + rest
    config = write_project(tmp_path / "deliveries", module=text, settings=_SETTINGS)
    today = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    context = open_context(config, writes_online=True)
    dispatcher = build_dispatcher(context)
    try:
        dispatcher.call(ApplyProject(), SYSTEM)
        rows = tuple(deliveries(today - timedelta(days=HISTORY_DAYS), today - timedelta(days=1)))
        dispatcher.call(IngestEvents(source="deliveries", rows=rows), SYSTEM)
    finally:
        for store in (context.stores.metadata, context.stores.online, context.stores.stream):
            store.close()
    return config


@pytest.mark.slow
def test_an_exported_dag_is_loaded_and_runs_from_events_to_a_release(airflow: Airflow, config: Config) -> None:
    dags = airflow.home / "dags"
    command = [str(Path(sys.executable).with_name("octavo")), "export", "airflow", "-o", str(dags)]
    subprocess.run(command, cwd=config.root, check=True, capture_output=True)
    errors, tasks, clock = json.loads(airflow.run("-c", _LOAD.format(folder=str(dags))).splitlines()[-1])
    assert errors == []
    assert tasks == {
        "materialize": ["dataset"],
        "dataset": ["step_0_first_half"],
        "step_0_first_half": ["step_1_fitted"],
        "step_1_fitted": ["train"],
        "train": ["release"],
        "release": [],
    }
    assert clock == ["0 3 * * *", "Europe/London"]
    airflow.run("-m", "airflow", "dags", "test", DAG, "--conf", '{"trees": 10}')
    context = open_context(config)
    with context.transaction() as tx:
        [version], [release] = tx.find(ModelVersion), tx.find(Release)
        [run] = tx.find(Run, model="delivery_hours")
        steps = tx.find(Run, parent=run.id)
    assert (run.status, run.version, run.params) == (RunStatus.SUCCEEDED, 1, {"trees": "10"})
    assert run.trigger.startswith(f"airflow {DAG} manual__")
    assert [step.name for step in steps] == ["first_half", "fitted"]
    assert all(CACHED_FROM in step.tags for step in steps), "each was run by its own task"
    assert (release.version, version.version) == (1, 1)
