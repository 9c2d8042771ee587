"""The outcomes of a release's stage: which count, in which order, and what the guard makes of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.stages import DEPLOYMENT, HOUR, MODEL, Stage, set_stage

import octavo as oc
from octavo.monitoring.outcomes import SCHEMA as OUTCOMES
from octavo.monitoring.prediction_log import SCHEMA
from octavo.monitoring.stages import divided_outcomes, paired_outcomes
from octavo.release.guards import Verdict
from octavo.release.outcomes import DividedOutcomes, PairedOutcomes, greatest_loss, judge_outcomes

NUMBERS = count()
SECOND = timedelta(seconds=1)
NAN = float("nan")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path, unit="origin")


def told(
    stage: Stage,
    answers: Sequence[tuple[int, str, float]],
    truth: float | None = None,
    *,
    unit: str | None = None,
    known_after: timedelta = SECOND,
    group: str = "",
) -> str:
    """One case: what each version answered under which arm, and later the truth."""
    number, now = next(NUMBERS), stage.clock.now()
    case, tables = f"{number:09d}", stage.context.stores.tables
    blank = {"deployment": DEPLOYMENT, "model": MODEL, "digest": "", "entities": "{}", "inputs": b"", "status": b"",
             "ages_s": b"", "latency_us": 1, "caller": "", "trace": "", "propensity": 0.5, "group": group, "at": now,
             "id": case, "request": json.dumps({"origin": unit or case})}  # fmt: skip
    rows = [{**blank, "version": version, "arm": arm, "output": output} for version, arm, output in answers]
    known = {"id": case, "prediction": case, "value": truth, "known_at": now + known_after, "received_at": now,
             "sequence": number}  # fmt: skip
    for table, schema, found in (("predictions", SCHEMA, rows), ("outcomes", OUTCOMES, [known])):
        tables.ensure(table, schema)
        if table == "predictions" or truth is not None:
            done = tables.written(table, "test")
            tables.append(table, pa.Table.from_pylist(found, schema=schema), writer="test", sequence=done + 1)
    return case


def divided(stage: Stage, *, unit: str | None = "origin") -> DividedOutcomes:
    stage.wait(HOUR)
    period = (stage.clock.now() - 24 * HOUR, stage.clock.now())
    label = stage.context.project.model(MODEL).label
    return divided_outcomes(
        stage.context.stores.tables, DEPLOYMENT, versions=(2, 1), period=period, label=label, unit=unit, share=0.5
    )


def paired(stage: Stage) -> PairedOutcomes:
    stage.wait(HOUR)
    period = (stage.clock.now() - 24 * HOUR, stage.clock.now())
    label = stage.context.project.model(MODEL).label
    return paired_outcomes(
        stage.context.stores.tables, DEPLOYMENT, versions=(2, 1), period=period, label=label, unit="origin"
    )


def test_cases_of_the_canary_and_the_live_version_come_in_the_order_in_which_outcomes_became_known(
    stage: Stage,
) -> None:
    told(stage, [(1, "live", 99.0)], 1.0)  # from before the canary's first answer
    stage.wait(SECOND)
    told(stage, [(2, "canary", 5.0)], 4.0, known_after=3 * SECOND)
    told(stage, [(1, "live", 7.0)], 6.0, known_after=2 * SECOND)
    told(stage, [(1, "live", 8.0)])  # nothing is known of it
    told(stage, [(1, "live", 9.0)], 6.0, known_after=2 * HOUR)  # nor of this one yet
    told(stage, [(1, "holdout", 9.0)], 6.0)
    told(stage, [(1, "live", 9.0)], 6.0, group="faster/control")
    found = divided(stage)
    assert found.outputs.tolist() == [7.0, 5.0]
    assert found.is_candidate.tolist() == [False, True]
    assert found.labels.tolist() == [6.0, 4.0]


def test_a_case_on_which_the_canary_failed_is_the_canarys(stage: Stage) -> None:
    told(stage, [(2, "canary", NAN), (1, "live", 3.0)], 3.0)
    found = divided(stage)
    assert found.is_candidate.tolist() == [True]
    assert np.isnan(found.outputs).all()


def test_of_each_unit_the_first_case_counts_whose_outcome_became_known(stage: Stage) -> None:
    told(stage, [(2, "canary", 1.0)], 1.0, unit="JFK", known_after=9 * SECOND)
    told(stage, [(2, "canary", 2.0)], 1.0, unit="JFK", known_after=SECOND)
    told(stage, [(1, "live", 3.0)], 1.0, unit="EWR")
    assert sorted(divided(stage).outputs.tolist()) == [2.0, 3.0]
    assert len(divided(stage, unit=None).outputs) == 3, "without a unit each is its own"


def test_a_correction_does_not_change_what_was_seen(stage: Stage) -> None:
    case = told(stage, [(2, "canary", 1.0)], 1.0)
    later = {"id": "c", "prediction": case, "value": 50.0, "known_at": stage.clock.now() + 9 * SECOND,
             "received_at": stage.clock.now(), "sequence": 10**9}  # fmt: skip
    tables = stage.context.stores.tables
    done = tables.written("outcomes", "test")
    tables.append("outcomes", pa.Table.from_pylist([later], schema=OUTCOMES), writer="test", sequence=done + 1)
    assert divided(stage).labels.tolist() == [1.0]


def test_a_shadow_is_paired_with_what_the_live_version_answered(stage: Stage) -> None:
    told(stage, [(1, "live", 1.0), (2, "shadow", 2.0)], 3.0)
    told(stage, [(1, "live", 9.0)], 3.0)  # which the shadow did not see
    found = paired(stage)
    assert (found.live.tolist(), found.candidate.tolist(), found.labels.tolist()) == ([1.0], [2.0], [3.0])


def test_without_tables_there_are_no_outcomes(stage: Stage) -> None:
    assert (len(divided(stage).outputs), len(paired(stage).labels)) == (0, 0)
    assert judged(divided(stage)).summary == "no outcomes of both versions are known yet"


def judged(found: PairedOutcomes | DividedOutcomes, *, most: float = 10.0, **limits: float) -> Verdict:
    label = oc.Label(oc.Source("s", event_time="at", schema={"at": oc.Timestamp, "y": oc.Float64}), "y", at="at")
    return judge_outcomes(found, label=label, most=most, guards=oc.Guards(**limits), stages=3)  # type: ignore[arg-type]  # of tests


def outcomes(times: float, *, n: int = 4_000, seed: int = 1) -> DividedOutcomes:
    rng = np.random.default_rng(seed)
    is_candidate = rng.random(n) < 0.5
    return DividedOutcomes(
        outputs=rng.normal(0, 1, n) * np.where(is_candidate, times, 1.0),
        labels=np.zeros(n),
        is_candidate=is_candidate,
        share=0.5,
    )


def test_a_version_whose_outcomes_are_worse_is_complained_of_with_the_evidence() -> None:
    verdict = judged(outcomes(1.5))
    assert verdict.complaint.startswith(
        "its outcomes are worse than those of the live version (2015 outcomes beside 1985"
    )
    assert "of 60 that it is more than 5% worse" in verdict.summary


def test_one_that_is_as_good_is_not_and_one_that_is_allowed_to_be_worse_is_not_either() -> None:
    assert judged(outcomes(1.0)).complaint == ""
    assert judged(outcomes(1.5), worse=0.6).complaint == ""


def test_a_few_monstrous_errors_do_not_decide() -> None:
    found = outcomes(1.0)
    outputs = found.outputs.copy()
    outputs[np.flatnonzero(found.is_candidate)[::400]] = 1e12
    assert judged(replace(found, outputs=outputs)).complaint == ""


def test_a_prediction_that_failed_has_the_greatest_loss() -> None:
    found = outcomes(1.0)
    outputs = np.where(found.is_candidate, np.nan, found.outputs)
    assert judged(replace(found, outputs=outputs)).complaint


def test_up_to_where_errors_count_is_known_of_the_live_version(stage: Stage) -> None:
    version = stage.add_version(1)
    label = stage.context.project.model(MODEL).label
    assert greatest_loss(label, version) == 10.0
    assert greatest_loss(label, replace(version, metrics={"rmse": 2.0})) == 20.0
    assert greatest_loss(label, replace(version, metrics={"r2": 0.5})) is None
    assert greatest_loss(label, None) is None
    assert greatest_loss(replace(label, above=3.0), None) == 1.0
