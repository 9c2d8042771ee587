"""Filters of MLflow's client, in the words of ours."""

from datetime import UTC, datetime

import pytest

from octavo.api.mlflow.forms import STATUSES, fits, moment, run_document, translated
from octavo.errors import InvalidRequest
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.filters import conditions_of, orders_of


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("metrics.auc > 0.9 and params.depth = '6'", "metrics.auc > 0.9 and params.depth = '6'"),
        ("attributes.status = 'FINISHED'", "status = 'succeeded'"),
        ("attribute.run_name LIKE 'a%'", "name LIKE 'a%'"),
        ("run_id IN ('a', 'b')", "id IN ('a', 'b')"),
        ("attributes.start_time >= 1664067852747", "started_at >= 1664067852747"),
        ("tags.`mlflow.runName` = 'attributes.status'", "tags.`mlflow.runName` = 'attributes.status'"),
        ("params.x = 'status = ''FINISHED'''", "params.x = 'status = ''FINISHED'''"),
        ("metrics.run_id > 3 and params.`user_id` = 'a'", "metrics.run_id > 3 and params.`user_id` = 'a'"),
        ("tags.mlflow.parentRunId = 'run_id'", "tags.mlflow.parentRunId = 'run_id'"),
    ],
)
def test_a_filter_is_translated_and_then_read(theirs: str, ours: str) -> None:
    assert translated(theirs) == ours
    assert conditions_of(translated(theirs))


@pytest.mark.parametrize("order", ["metrics.auc DESC", "attributes.start_time ASC", "params.`a b`"])
def test_orders_are_read(order: str) -> None:
    assert orders_of(translated(order))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ("name = 'churn'", True),
        ("name != 'churn'", False),
        ("name ILIKE 'CH%'", True),
        ("name LIKE 'CH%'", False),
        ("name LIKE 'ch_rn' and tags.team = 'risk'", True),
        ("tags.`a b` = 'c'", False),
        ("tags.absent != 'c'", True),
        ("run_id IN ('r1', 'r2')", True),
    ],
)
def test_names_runs_and_tags_are_compared(text: str, found: bool) -> None:
    assert fits(text, name="churn", run_id="r1", tags={"team": "risk"}) is found


@pytest.mark.parametrize("text", ["name", "name ~ 'a'", "owner = 'a'", "name = 'a' or name = 'b'"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        fits(text, name="churn", tags={})


def test_a_time_beyond_all_years_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no time"):
        moment(10**18)


@pytest.mark.parametrize("status", RunStatus)
def test_each_status_of_a_run_has_a_word_of_theirs(status: RunStatus) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    run = Run(id="r1", model="", status=status, trigger="user", as_of=noon, started_at=noon)
    told = run_document(run, "0")["info"]["status"]
    assert STATUSES[told] is (RunStatus.KILLED if status is RunStatus.LOST else status)
