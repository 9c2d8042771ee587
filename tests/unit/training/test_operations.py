"""What can be asked about runs."""

from pathlib import Path

import pytest
from tests.workshop import Workshop, boosted, declare, in_transaction, open_workshop

from octavo.errors import NotFound
from octavo.training.operations import ListRuns, ShowRun, list_runs, show_run
from octavo.training.runs import Run, RunStatus


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    workshop = open_workshop(tmp_path, declare(boosted), events=0)
    with workshop.context.stores.metadata.transaction() as tx:
        for number in range(5):
            tx.add(_run(workshop, f"run-{number}", model="boosted" if number % 2 else "other"))
    return workshop


def _run(workshop: Workshop, run: str, *, model: str) -> Run:
    now = workshop.now
    return Run(id=run, model=model, status=RunStatus.SUCCEEDED, trigger="user", as_of=now, started_at=now)


def test_runs_are_listed_with_the_newest_first(workshop: Workshop) -> None:
    found = in_transaction(workshop, list_runs, ListRuns(limit=3))
    assert [run.id for run in found] == ["run-4", "run-3", "run-2"]


def test_runs_of_one_model_are_listed_alone(workshop: Workshop) -> None:
    found = in_transaction(workshop, list_runs, ListRuns(model="boosted"))
    assert [run.id for run in found] == ["run-3", "run-1"]


def test_runs_of_a_model_that_is_not_declared_are_not_found(workshop: Workshop) -> None:
    with pytest.raises(NotFound, match="did you mean 'boosted'"):
        in_transaction(workshop, list_runs, ListRuns(model="boostet"))


def test_a_run_is_shown_by_its_id(workshop: Workshop) -> None:
    assert in_transaction(workshop, show_run, ShowRun(run="run-2")).id == "run-2"


def test_an_unknown_run_is_not_found(workshop: Workshop) -> None:
    with pytest.raises(NotFound, match="no run named 'x'"):
        in_transaction(workshop, show_run, ShowRun(run="x"))
