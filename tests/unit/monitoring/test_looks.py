"""Looks: what they see, and that they open and resolve incidents."""

from datetime import timedelta

import numpy as np
import pytest
from tests.unit.monitoring.scenes import DEFAULT, HOUR, MEAN, MISSING, NOISE, STALE, Scene, draw, make_report

from octavo.errors import IntegrityError
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import Incident, IncidentKind, open_incidents
from octavo.monitoring.looks import Look


def finding(look: Look, kind: IncidentKind) -> Finding:
    return next(found for found in look.findings if found.kind is kind)


def verdicts(look: Look) -> dict[str, str]:
    return {found.kind: found.verdict for found in look.findings}


def incidents(scene: Scene) -> list[Incident]:
    with scene.stores.metadata.transaction() as tx:
        return tx.find(Incident)


def test_a_deployment_without_a_live_version_shows_nothing_and_keeps_nothing() -> None:
    scene = Scene()
    look = scene.look()
    assert (look.version, look.findings, look.predictions) == (None, (), 0)
    with scene.stores.metadata.transaction() as tx:
        assert tx.find(Look) == []


def test_before_any_table_exists_nothing_is_judged() -> None:
    scene = Scene()
    scene.live()
    assert set(verdicts(scene.look()).values()) == {Verdict.UNKNOWN}


def test_traffic_like_the_training_rows_is_healthy() -> None:
    scene = Scene()
    ids = scene.predict(scene.live(), draw(scene.random, 1_000))
    scene.mature(ids)
    look = scene.look()
    assert set(verdicts(look).values()) == {Verdict.HEALTHY}
    assert (look.predictions, look.outcomes) == (1_000, 1_000)
    assert look.drift is not None
    assert look.drift < 0.02
    assert look.prediction_drift is not None
    assert look.prediction_drift < 0.05
    assert incidents(scene) == []


def test_two_hundred_rows_of_noise_do_not_alarm() -> None:
    for seed in range(30):
        scene = Scene(random=np.random.default_rng(seed))
        scene.predict(scene.live(), draw(scene.random, 200))
        drift = scene.look().drift
        assert drift is not None
        assert drift < 0.1


def test_moved_inputs_open_a_drift_incident_that_names_them_with_direction() -> None:
    scene = Scene()
    scene.predict(scene.live(), draw(scene.random, 500, mean=22))
    look = scene.look()
    [incident] = incidents(scene)
    assert incident.incident_kind is IncidentKind.DRIFT
    assert incident.value == look.drift
    assert incident.cause.startswith(f"{MEAN} 1")
    assert "% higher (2" in incident.cause
    assert look.inputs[0].name == MEAN
    [notice] = scene.notifier.sent
    assert notice.subject == "drift incident of eta opened"
    assert MEAN in notice.text


def test_an_open_incident_is_updated_and_not_opened_twice() -> None:
    scene = Scene()
    version = scene.live()
    scene.predict(version, draw(scene.random, 500, mean=18))
    first = scene.look()
    scene.predict(version, draw(scene.random, 1_500, mean=25))
    second = scene.look()
    [incident] = incidents(scene)
    assert incident.value == second.drift
    assert incident.opened_at == first.at
    assert len(scene.notifier.sent) == 1


def test_an_incident_resolves_at_the_first_healthy_look_and_keeps_its_cause() -> None:
    scene = Scene()
    version = scene.live()
    scene.predict(version, draw(scene.random, 500, mean=22))
    scene.look()
    scene.go(timedelta(days=2))
    scene.predict(version, draw(scene.random, 500))
    look = scene.look()
    [incident] = incidents(scene)
    assert incident.resolved_at == look.at
    assert MEAN in incident.cause
    assert [entry.text.partition(":")[0] for entry in incident.timeline] == ["opened", "healthy again with version 1"]
    assert [notice.subject.rpartition(" ")[2] for notice in scene.notifier.sent] == ["opened", "resolved"]


def test_too_few_rows_neither_open_nor_resolve() -> None:
    scene = Scene()
    version = scene.live()
    scene.predict(version, draw(scene.random, 500, mean=22))
    scene.look()
    scene.go(timedelta(days=2))
    scene.predict(version, draw(scene.random, 150))
    assert verdicts(scene.look())["drift"] == Verdict.UNKNOWN
    assert incidents(scene)[0].is_open


def test_a_larger_error_opens_a_performance_incident_with_its_growth() -> None:
    scene = Scene()
    scene.mature(scene.predict(scene.live(), draw(scene.random, 600)), noise=2 * NOISE)
    look = scene.look()
    assert look.performance is not None
    assert look.performance.growth == pytest.approx(1.0, abs=0.2)
    [incident] = incidents(scene)
    assert (incident.incident_kind, incident.subject) == (IncidentKind.PERFORMANCE, "mae")
    assert incident.value == look.performance.growth
    assert "the error is" in incident.cause
    assert "% greater" in incident.cause


def test_a_growth_that_chance_explains_is_no_incident() -> None:
    scene = Scene()
    ids = scene.predict(scene.live(), draw(scene.random, 400))
    scene.tell({p: scene.answers[p] + (40.0 if place == 7 else 1.6) for place, p in enumerate(ids[:200])})
    look = scene.look()
    assert look.performance is not None
    assert not look.performance.is_certain or look.performance.growth < 0.25
    assert verdicts(look)["performance"] == Verdict.HEALTHY


def test_a_better_version_ends_the_performance_incident_of_a_worse_one() -> None:
    scene = Scene()
    scene.mature(scene.predict(scene.live(1), draw(scene.random, 400)), noise=3 * NOISE)
    scene.look()
    better = scene.live(2, report=make_report(seed=5))
    scene.mature(scene.predict(better, draw(scene.random, 150)))
    assert verdicts(scene.look())["performance"] == Verdict.UNKNOWN
    scene.mature(scene.predict(better, draw(scene.random, 150)))
    scene.look()
    [incident] = incidents(scene)
    assert not incident.is_open
    assert incident.timeline[-1].text.startswith("healthy again with version 2: mae")


def test_a_metric_where_higher_is_better_is_judged_by_what_it_lacks() -> None:
    scene = Scene()
    matrix = draw(scene.random, 800)
    ids = scene.predict(scene.live(model="is_late", deployment="late"), matrix, deployment="late")
    scene.tell({p: float(scene.random.normal(10, 5)) for p in ids})
    look = scene.look("late")
    assert look.performance is not None
    assert look.performance.metric == "auc"
    assert look.performance.observed.value == pytest.approx(0.5, abs=0.1)
    assert finding(look, IncidentKind.PERFORMANCE).verdict is Verdict.UNHEALTHY


def test_a_binary_label_is_made_of_the_raw_outcome() -> None:
    scene = Scene()
    ids = scene.predict(scene.live(model="is_late", deployment="late"), draw(scene.random, 600), deployment="late")
    scene.mature(ids)
    assert verdicts(scene.look("late"))["performance"] == Verdict.HEALTHY


def test_labels_that_do_not_vary_leave_the_metric_unknown() -> None:
    scene = Scene()
    ids = scene.predict(scene.live(model="is_late", deployment="late"), draw(scene.random, 600), deployment="late")
    scene.tell(dict.fromkeys(ids, 0.0))
    found = finding(scene.look("late"), IncidentKind.PERFORMANCE)
    assert (found.verdict, found.summary) == (Verdict.UNKNOWN, "the metric is undefined for the window's outcomes")


def test_inputs_that_arrive_stale_open_a_quality_incident() -> None:
    scene = Scene()
    matrix = draw(scene.random, 600)
    matrix[:, 0] = np.nan
    scene.predict(scene.live(), matrix, status=STALE)
    look = scene.look()
    found = finding(look, IncidentKind.QUALITY)
    assert (found.verdict, found.subject, found.value) == (Verdict.UNHEALTHY, MEAN, 1.0)
    assert found.cause == f"{MEAN}, absent in 100 % (in training 0 %): 100 % stale"
    assert {i.incident_kind for i in incidents(scene)} == {IncidentKind.DRIFT, IncidentKind.QUALITY}


def test_a_default_in_the_place_of_a_value_counts_as_absent() -> None:
    scene = Scene()
    scene.predict(scene.live(), draw(scene.random, 600), status=DEFAULT)
    assert finding(scene.look(), IncidentKind.QUALITY).verdict is Verdict.UNHEALTHY


def test_a_count_of_nothing_is_no_absence() -> None:
    scene = Scene()
    scene.predict(scene.live(), draw(scene.random, 600), status=MISSING)
    look = scene.look()
    assert {i.missing for i in look.inputs} == {1.0}
    assert finding(look, IncidentKind.QUALITY).verdict is Verdict.HEALTHY


def test_values_beyond_those_of_training_are_told_but_no_incident() -> None:
    scene = Scene()
    matrix = draw(scene.random, 600)
    matrix[:60, 1] = 10_000
    scene.predict(scene.live(), matrix)
    look = scene.look()
    assert {i.name: round(i.outside, 2) for i in look.inputs}["airports__events_count_1h"] == 0.1
    assert incidents(scene) == []


def test_outcomes_that_stop_coming_are_stale_while_predictions_go_on() -> None:
    scene = Scene()
    version = scene.live()
    scene.mature(scene.predict(version, draw(scene.random, 300)))
    assert verdicts(scene.look())["staleness"] == Verdict.HEALTHY
    scene.go(timedelta(days=8))
    assert verdicts(scene.look())["staleness"] == Verdict.UNKNOWN
    scene.predict(version, draw(scene.random, 300))
    assert verdicts(scene.look())["staleness"] == Verdict.UNHEALTHY


def test_the_newest_outcome_is_remembered_from_look_to_look() -> None:
    scene = Scene()
    scene.mature(scene.predict(scene.live(), draw(scene.random, 10)))
    first = scene.look()
    scene.go(timedelta(days=3))
    second = scene.look()
    assert second.newest_outcome_at == first.newest_outcome_at is not None
    assert second.newest_prediction_at == first.newest_prediction_at is not None


def test_a_second_look_at_the_same_moment_is_the_first() -> None:
    scene = Scene()
    version = scene.live()
    scene.predict(version, draw(scene.random, 500, mean=22))
    first = scene.look()
    scene.predict(version, draw(scene.random, 5_000), over=timedelta(0))
    assert scene.look() == first
    assert len(incidents(scene)) == len(scene.notifier.sent) == 1


def test_a_look_at_an_earlier_moment_changes_no_incident() -> None:
    scene = Scene()
    version = scene.live()
    scene.predict(version, draw(scene.random, 500))
    early = scene.clock.now()
    scene.predict(version, draw(scene.random, 3_000, mean=25))
    scene.look()
    assert [i.incident_kind for i in incidents(scene)] == ["drift"]
    assert verdicts(scene.look(at=early))["drift"] == Verdict.HEALTHY
    assert incidents(scene)[0].is_open


def test_what_shadows_and_other_deployments_answer_is_left_out() -> None:
    scene = Scene()
    version = scene.live()
    scene.predict(version, draw(scene.random, 300))
    scene.predict(version, draw(scene.random, 300, mean=30), arm="shadow")
    scene.predict(version, draw(scene.random, 300, mean=30), deployment="late")
    look = scene.look()
    assert look.predictions == 300
    assert verdicts(look)["drift"] == Verdict.HEALTHY


def test_inputs_of_a_canary_are_those_of_the_deployment_but_its_errors_are_its_own() -> None:
    scene = Scene()
    live, canary = scene.live(1), scene.register(2)
    scene.mature(scene.predict(live, draw(scene.random, 300)))
    scene.mature(scene.predict(canary, draw(scene.random, 300), arm="canary"), noise=20 * NOISE)
    look = scene.look()
    assert (look.predictions, look.outcomes) == (600, 300)
    assert verdicts(look)["performance"] == Verdict.HEALTHY


def test_predictions_that_failed_are_no_part_of_the_error() -> None:
    scene = Scene()
    outputs = np.full(400, np.nan)
    ids = scene.predict(scene.live(), draw(scene.random, 400), outputs=outputs)
    scene.tell(dict.fromkeys(ids, 1.0))
    look = scene.look()
    assert (look.predictions, look.outcomes, look.prediction_drift) == (400, 0, None)
    assert verdicts(look) | {"staleness": ""} == {
        "performance": Verdict.UNKNOWN, "drift": Verdict.HEALTHY, "quality": Verdict.HEALTHY, "staleness": "",
    }  # fmt: skip


def test_records_without_inputs_are_passed_over() -> None:
    scene = Scene()
    version = scene.live()
    scene.predict(version, draw(scene.random, 300))
    scene.predict(version, draw(scene.random, 50), outputs=np.full(50, np.nan), inputs=b"", status=b"", ages_s=b"")
    look = scene.look()
    assert look.predictions == 350
    assert verdicts(look)["drift"] == Verdict.HEALTHY


def test_a_live_version_whose_bundle_is_gone_is_a_clear_error() -> None:
    scene = Scene()
    version = scene.live()
    scene.artifacts._bytes.pop(version.digest)
    with pytest.raises(IntegrityError, match="gone from the artifacts"):
        scene.look()


def test_only_the_window_before_the_moment_counts() -> None:
    scene = Scene()
    version = scene.live()
    scene.predict(version, draw(scene.random, 300, mean=30))
    scene.go(timedelta(days=2))
    scene.predict(version, draw(scene.random, 300))
    now = scene.clock.now()
    scene.predict(version, draw(scene.random, 300, mean=30), over=HOUR)
    look = scene.look(at=now)
    assert look.predictions == 300
    with scene.stores.metadata.transaction() as tx:
        assert open_incidents(tx, "eta") == []
