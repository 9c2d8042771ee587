"""The DAG of a model: a file of Python that says what its definition says."""

import ast
from typing import Any

import pytest
from tests.unit.training import kitchen
from tests.workshop import boosted, declare

import octavo as oc
from octavo.definitions.models import Model
from octavo.errors import InvalidRequest
from octavo.loop.airflow import Airflow, dag_id, dag_of
from octavo.training.steps.tracing import steps_of

INTO = Airflow(project="shops", folder="/srv/shops", command="/srv/bin/octavo", deployed=True)


def graph(train: oc.Dataset, *, depth: int = 3, kind: str = 'g"b', seed: int | None = None) -> Any:
    """Two branches "that" meet."""
    rows = [kitchen.scaled(train), kitchen.describe(train, depth=depth)]
    return kitchen.total("here", *rows)


def looking(train: oc.Dataset) -> Any:
    return kitchen.fitted(kitchen.scaled(train), depth=len(train))


def dag(model: Model, into: Airflow = INTO) -> dict[str, Any]:
    """The DAG's settings and tasks, by what Airflow would be called with."""
    calls: dict[str, Any] = {"order": []}
    for node in ast.walk(ast.parse(dag_of(model, into))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("DAG", "octavo"):
            given = {one.arg: ast.unparse(one.value) for one in node.keywords}
            calls[str(ast.literal_eval(node.args[0]))] = ([ast.unparse(a) for a in node.args[1:]], given)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
            calls["order"].append(ast.unparse(node))
    return calls


def test_its_tasks_are_in_the_order_of_what_they_need() -> None:
    made = dag(declare(graph))
    assert made["order"] == [
        "materialize >> dataset",
        "dataset >> step_0_scaled",
        "dataset >> step_1_describe",
        "[step_0_scaled, step_1_describe] >> step_2_total",
        "step_2_total >> train",
        "train >> release",
    ]
    assert made["step_2_total"][0] == ["TRAIN", "'--step 2'"]


def test_parameters_become_those_of_the_dag_and_reach_the_command_as_data() -> None:
    text = dag_of(declare(graph), INTO)
    settings = dag(declare(graph))[dag_id("shops", "graph")][1]
    assert settings["params"] == (
        "{'depth': Param(3, type='integer'), 'kind': Param('g\"b', type='string'), "
        "'seed': Param(None, type=['null', 'number', 'string', 'boolean'])}"
    )
    assert '--param "depth=$PARAM_DEPTH"' in text
    assert '"PARAM_DEPTH": "{{ params.depth }}"' in text
    assert "{{" not in text.partition("def octavo")[2], "nothing is put into the text of a command"


@pytest.mark.parametrize(
    ("crons", "schedule"),
    [
        ([], "None"),
        (["0 3 * * *"], "CronTriggerTimetable('0 3 * * *', timezone='Europe/London')"),
        (
            ["0 3 * * *", "0 9 * * 1"],
            "MultipleCronTriggerTimetable('0 3 * * *', '0 9 * * 1', timezone='Europe/London')",
        ),
    ],
)
def test_it_goes_by_the_crons_of_the_model_in_their_zone(crons: list[str], schedule: str) -> None:
    model = declare(boosted, retrain=[oc.cron(text, zone="Europe/London") for text in crons])
    assert dag(model)[dag_id("shops", "boosted")][1]["schedule"] == schedule
    assert ("CronTriggerTimetable" in dag_of(model, INTO)) == bool(crons)


def test_clocks_of_several_zones_are_refused() -> None:
    model = declare(boosted, retrain=[oc.cron("0 3 * * *"), oc.cron("0 4 * * *", zone="Europe/London")])
    with pytest.raises(InvalidRequest, match=r"several zones \(Europe/London, UTC\)"):
        dag_of(model, INTO)


def test_steps_that_depend_on_the_rows_stay_within_the_training() -> None:
    assert steps_of(declare(looking)) is None
    made = dag(declare(looking))
    assert made["order"] == ["materialize >> dataset", "dataset >> train", "train >> release"]
    assert "Its steps depend on the rows themselves" in dag_of(declare(looking), INTO)


def test_a_model_that_no_deployment_takes_is_not_released() -> None:
    into = Airflow(project="shops", folder="/srv/shops", command="octavo", deployed=False)
    assert "release" not in dag(declare(boosted), into)


def test_finding_out_the_steps_runs_none(tmp_path: Any) -> None:
    def noting(train: oc.Dataset) -> Any:
        return kitchen.total(str(tmp_path), kitchen.double(train, str(tmp_path)))

    found = steps_of(declare(noting))
    assert found is not None
    assert [(one.number, one.step.name, one.needs) for one in found] == [(0, "double", ()), (1, "total", (0,))]
    assert list(tmp_path.iterdir()) == []
