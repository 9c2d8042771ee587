"""Audits: training and serving, compared on what a predictor really answered."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.unit.monitoring.skewed import COUNT, DOUBLE, LATEST, MEAN, MINUTE, MODULE, Airport, counts, open_airport

from octavo.features.audit.reasons import Example, Reason
from octavo.features.online.keys import decode_generation, entity_key, pointer_key
from octavo.features.online.materialize import materialize
from octavo.monitoring.audits import FeaturesAudit
from octavo.monitoring.findings import Verdict
from octavo.monitoring.skew import audit_deployment, judge_skew, remarks_on
from octavo.registry.versions import ModelVersion
from octavo.serving.recorder import TOPIC


@pytest.fixture
def airport(tmp_path: Path) -> Airport:
    return open_airport(tmp_path)


def served_soundly(airport: Airport) -> None:
    """Let a flight depart and be known, and ask for two predictions."""
    airport.depart(10.0)
    airport.apply()
    airport.predict(2)


def corrupt(airport: Airport, *, origin: str = "JFK") -> None:
    """Lose what the online store holds of an airport."""
    [pointer] = airport.stores.online.read([pointer_key("origin_delays")])
    assert pointer is not None
    airport.stores.online.write({decode_generation(pointer).prefix + entity_key(origin): None}, marks={})


def example_of(audit: FeaturesAudit, name: str) -> Example:
    [feature] = [feature for feature in audit.features if feature.name == name]
    return feature.examples[0]


def test_what_was_served_soundly_is_all_equal(airport: Airport) -> None:
    served_soundly(airport)
    audit = airport.audit()
    assert counts(audit) == {name: {"equal": 2} for name in (MEAN, COUNT, LATEST, DOUBLE)}
    assert (audit.predictions, audit.skipped, audit.wrong, airport.incidents()) == (2, 0, 0, [])


def test_a_stale_value_and_one_of_an_unknown_airport_are_equal_too(airport: Airport) -> None:
    airport.depart(10.0)
    airport.apply()
    airport.wait(40 * MINUTE)
    airport.predict()
    airport.predict(origin="XXX")
    assert counts(airport.audit()) == {name: {"equal": 2} for name in (MEAN, COUNT, LATEST, DOUBLE)}


def test_a_lost_state_is_a_store_that_is_wrong_and_opens_an_incident(airport: Airport) -> None:
    served_soundly(airport)
    airport.wait(15 * MINUTE)
    corrupt(airport)
    airport.predict()
    audit = airport.audit()
    assert counts(audit) == {
        MEAN: {"equal": 2, "store wrong": 1},
        COUNT: {"equal": 2, "store wrong": 1},
        LATEST: {"equal": 2, "store wrong": 1},
        DOUBLE: {"equal": 3},
    }
    example = example_of(audit, COUNT)
    assert (example.served, example.recomputed) == (0.0, 1.0)
    [incident] = airport.incidents()
    assert (incident.incident_kind, incident.is_open, incident.value) == ("skew", True, 3.0)
    assert "octavo materialize --force" in incident.cause
    assert f"{COUNT}, wrong in 1 of 3 values" in incident.cause


def test_an_incident_ends_with_the_next_clean_audit(airport: Airport) -> None:
    served_soundly(airport)
    airport.wait(15 * MINUTE)
    corrupt(airport)
    airport.predict()
    assert airport.audit(limit=1).wrong
    materialize(airport.stores, list(airport.context.project.views.values()), clock=airport.bench.clock, force=True)
    airport.predict()
    assert not airport.audit(limit=1).wrong
    [incident] = airport.incidents()
    assert not incident.is_open
    assert incident.timeline[-1].text.startswith("healthy again")


def test_an_event_that_comes_after_the_prediction_and_counts_from_before_it_is_late(airport: Airport) -> None:
    served_soundly(airport)
    airport.wait(5 * MINUTE)
    airport.depart(30.0, known=-10 * MINUTE)
    audit = airport.audit()
    assert counts(audit) == {
        MEAN: {"late data": 2},
        COUNT: {"late data": 2},
        LATEST: {"equal": 2},
        DOUBLE: {"equal": 2},
    }
    example = example_of(audit, MEAN)
    assert (example.served, example.recomputed) == (10.0, 20.0)
    assert [event.id for event in example.events] == [{"number": "2"}]
    assert judge_skew(audit).verdict is Verdict.HEALTHY
    assert any("came late" in remark for remark in remarks_on(audit, late=0.05))


def test_an_event_that_was_accepted_and_not_yet_applied_is_late(airport: Airport) -> None:
    served_soundly(airport)
    airport.wait(2 * MINUTE)
    airport.depart(30.0)
    airport.predict()
    assert counts(airport.audit())[COUNT] == {"equal": 2, "late data": 1}


def test_an_event_that_was_not_applied_for_longer_than_may_be_is_a_store_that_is_wrong(airport: Airport) -> None:
    served_soundly(airport)
    airport.depart(30.0, known=timedelta())
    airport.wait(15 * MINUTE)
    airport.predict()
    assert counts(airport.audit(limit=1))[COUNT] == {"store wrong": 1}


def test_a_changed_view_is_changed_code(airport: Airport) -> None:
    served_soundly(airport)
    airport.carry()
    airport.declare(
        MODULE.replace('oc.count(over="1h")', 'oc.count(over="1h", name="events_count", where="dep_delay > 99")')
    )
    airport.predict()
    audit = airport.audit()
    assert counts(audit)[COUNT] == {"code changed": 3}
    assert counts(audit)[MEAN] == {"equal": 3}
    [feature] = [feature for feature in audit.features if feature.name == COUNT]
    assert feature.is_changed
    assert (feature.examples[0].served, feature.examples[0].recomputed) == (1.0, 0.0)
    assert airport.incidents() == []


def test_an_on_demand_function_that_changed_is_changed_code(airport: Airport) -> None:
    served_soundly(airport)
    airport.carry()
    airport.declare(MODULE.replace("distance * 2.0", "distance * 3.0"))
    audit = airport.audit()
    assert counts(audit)[DOUBLE] == {"code changed": 2}
    example = example_of(audit, DOUBLE)
    assert (example.served, example.recomputed) == (200.0, 300.0)


def test_a_function_that_was_only_written_otherwise_gives_equal_values(airport: Airport) -> None:
    served_soundly(airport)
    airport.carry()
    airport.declare(MODULE.replace("distance * 2.0", "2.0 * distance"))
    audit = airport.audit()
    assert counts(audit)[DOUBLE] == {"equal": 2}
    assert any(DOUBLE in remark for remark in remarks_on(audit, late=0.05))


def test_a_function_that_takes_a_changed_one_is_changed_with_it(tmp_path: Path) -> None:
    module = MODULE.replace(
        "@oc.model(", "@oc.on_demand\ndef fourfold(double):\n    return double * 2.0\n\n\n@oc.model("
    ).replace("double, oc.request", "double, fourfold, oc.request")
    airport = open_airport(tmp_path, module)
    served_soundly(airport)
    airport.carry()
    airport.declare(module.replace("distance * 2.0", "distance * 3.0"))
    audit = airport.audit()
    assert counts(audit)["fourfold"] == {"code changed": 2}
    assert example_of(audit, "fourfold").recomputed == 600.0


def test_a_function_that_is_no_more_is_changed_code(airport: Airport) -> None:
    served_soundly(airport)
    airport.carry()
    airport.declare(MODULE.replace("[origins, double,", "[origins,"))
    assert counts(airport.audit())[DOUBLE] == {"code changed": 2}


def test_a_function_that_goes_by_something_else_is_unsteady(tmp_path: Path) -> None:
    airport = open_airport(
        tmp_path,
        MODULE.replace("return distance * 2.0", "import time\n    return distance * 0 + time.monotonic_ns() % 10**6"),
    )
    served_soundly(airport)
    audit = airport.audit()
    assert counts(audit)[DOUBLE] == {Reason.FUNCTION_UNSTEADY: 2}
    assert "on-demand function" in judge_skew(audit).cause


def test_defaults_that_stood_in_because_the_store_was_away_are_their_own_class(airport: Airport) -> None:
    airport.depart(10.0)
    airport.apply()
    airport.bench.online.is_gone = True  # type: ignore[attr-defined]  # the bench's store can be unplugged
    airport.predict()
    airport.bench.online.is_gone = False  # type: ignore[attr-defined]
    audit = airport.audit()
    assert counts(audit)[MEAN] == {"store unreachable": 1}
    assert counts(audit)[DOUBLE] == {"equal": 1}
    assert not audit.wrong


def test_a_declared_default_is_equal_where_nothing_is_known(tmp_path: Path) -> None:
    airport = open_airport(tmp_path, MODULE.replace('ttl="30m"', 'ttl="30m", default=-1.0'))
    airport.predict()
    assert counts(airport.audit())[LATEST] == {"equal": 1}


def test_an_audit_of_the_same_moment_is_the_same_audit(airport: Airport) -> None:
    served_soundly(airport)
    airport.audit()
    again = audit_deployment(airport.context, "eta", at=airport.now, since=None, limit=1)
    assert again.predictions == 2


def test_a_version_whose_bundle_is_not_the_registered_one_is_not_run(airport: Airport) -> None:
    served_soundly(airport)
    with airport.context.transaction() as tx:
        [known] = tx.find(ModelVersion)
        tx.put(replace(known, digest="sha256:" + "0" * 64))
    audit = airport.audit()
    assert (audit.predictions, audit.skipped, audit.features) == (0, 2, ())
    assert "cannot be audited" in audit.problems[0]
    assert judge_skew(audit).verdict is Verdict.UNKNOWN


def test_many_predictions_are_sampled_over_the_time(airport: Airport) -> None:
    since = airport.now
    served_soundly(airport)
    airport.predict(200)
    audit = airport.audit(since=since, limit=50)
    assert audit.predictions == 50


def test_a_prediction_that_failed_before_its_inputs_were_complete_is_left_out(airport: Airport) -> None:
    served_soundly(airport)
    airport.carry()
    failed = airport.bench.records[0]
    torn = msgspec.structs.replace(failed, id=f"{failed.id[:-4]}ffff", inputs=b"", status=b"", ages_s=b"")
    airport.bench.log.publish(TOPIC, [msgspec.msgpack.encode(torn)])
    audit = airport.audit()
    assert (audit.predictions, audit.skipped) == (2, 1)
