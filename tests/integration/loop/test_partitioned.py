"""A partitioned model, trained, released and asked: two depots by parts of their own, all else by the model for all."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from octavo.config import Config
from octavo.monitoring.opened import open_model
from octavo.registry.served import PartitionedModel
from octavo.registry.versions import ModelVersion
from octavo.training.runs import Run
from octavo.wiring import open_context
from tests.integration.projects import MODULE, prepare, until, up

_BY_WEIGHT = '''
    """Hours from sending to arrival, by what a parcel weighs."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    columns = make_column_transformer(("passthrough", ["weight"]))
    return make_pipeline(columns, LinearRegression()).fit(train.X, train.y)
'''
_HEAD, _, _TAIL = MODULE.partition('    """Hours from sending to arrival."""')
_PARTITIONED = (
    (_HEAD + _BY_WEIGHT.strip("\n") + "\n\n\neta =" + _TAIL.partition("eta =")[2])
    .replace(
        'features=[depot_hours, oc.request("weight", oc.Float64)],',
        'features=[oc.request("weight", oc.Float64), oc.request("depot", oc.Category)],\n'
        '    partition_by="depot", partition_min_rows=50,',
    )
    .replace('holdout="2d"', 'holdout="4d"')
)
_DEPOTS = ("north", "south", "west", "nowhere")


def octavo(config: Config, *arguments: str) -> str:
    command = [sys.executable, "-c", "from octavo.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=config.root, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_depots_are_answered_by_their_parts_and_any_other_by_the_model_for_all(tmp_path: Path) -> None:
    config = prepare(tmp_path / "deliveries", module=_PARTITIONED, versions=1)
    context = open_context(config)
    with context.transaction() as tx:
        [version] = tx.find(ModelVersion, model="delivery_hours")
        [run] = tx.find(Run, model="delivery_hours")
    opened = open_model(context.stores.artifacts, version.digest)
    assert isinstance(opened.model, PartitionedModel)
    with up(config) as running:
        release = running.release(1)
        until(lambda: running.is_at(release, "live", 100), what="version 1 is live")
        rows = [{"depot": depot, "weight": 10.0} for depot in _DEPOTS]
        answers = [one["value"] for one in running.client.predict("eta", rows)["predictions"]]
        details = running.client.call("models.version", model="delivery_hours", version=1)
        verified = running.client.call("models.verify", model="delivery_hours", version=1)
    kept = {part["word"]: part["kept"] for part in details["report"]["partition"]["parts"]}
    assert kept == {"north": True, "west": True, "south": False}  # the hours of south are those of the mean depot
    assert all(check["holds"] for check in verified["checks"])
    places = [[10.0, 0.0], [10.0, 1.0], [10.0, 2.0], [10.0, -1.0]]
    assert answers == pytest.approx(opened.model.predict(np.array(places, np.float32)).tolist(), rel=1e-5)
    assert answers[0] < answers[1] < answers[2]
    assert answers[0] < answers[3] < answers[2]
    again = octavo(config, "runs", "reproduce", run.id, "--environment", "current")
    assert "parts/0/model.skops" in again
    assert not [line for line in again.splitlines() if line.startswith(("metric", "parts/")) and " no " in line]
