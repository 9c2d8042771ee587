"""Expectations of a project, held against what was served."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.unit.monitoring.scenes import (
    DEFAULT,
    MEAN,
    MONITOR,
    Floats,
    Scene,
    airports,
    arrival_delay,
    draw,
    make_report,
)

import octavo as oc
from octavo.definitions.features import RequestField
from octavo.definitions.project import Project, collect
from octavo.features.values import FeatureStatus
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.monitoring.looks import Look


def expecting(*fields: RequestField, **of_mean: Any) -> Project:
    """The scene's project, which expects something of request fields, or of the mean delay."""
    first, *rest = airports.features
    view = airports.with_features((replace(first, **of_mean), *rest))
    known = {"distance": oc.request("distance", oc.Float64)} | {field.name: field for field in fields}
    model = replace(arrival_delay, features=(view, *known.values()))
    module = ModuleType("plant")
    vars(module).update(eta=oc.Deployment("eta", model=model, monitor=MONITOR))
    return collect(module, name="plant", code={})


def quality(scene: Scene, project: Project, matrix: Floats, **changes: Any) -> Finding:
    """What a look says of the quality of predictions."""
    scene.context = replace(scene.context, project=project)
    scene.predict(scene.live(), matrix, **changes)
    return found(scene.look())


def found(look: Look) -> Finding:
    return next(finding for finding in look.findings if finding.kind is IncidentKind.QUALITY)


def test_values_out_of_the_declared_range_are_an_incident_with_their_share() -> None:
    scene = Scene()
    matrix = draw(scene.random, 1_000)
    matrix[:20, 3] = -1
    field = oc.request("distance", oc.Float64, expect=oc.expect(minimum=0))
    finding = quality(scene, expecting(field), matrix)
    assert (finding.verdict, finding.subject, finding.value, finding.threshold) == ("unhealthy", "distance", 0.02, 0.0)
    assert "2 % of the values not at least 0 (from -1 to 900)" in finding.cause
    with scene.stores.metadata.transaction() as tx:
        [incident] = tx.find(Incident)
    assert incident.cause == finding.cause


def test_a_share_outside_that_is_allowed_is_healthy() -> None:
    scene = Scene()
    matrix = draw(scene.random, 1_000)
    matrix[:20, 3] = -1
    field = oc.request("distance", oc.Float64, expect=oc.expect(minimum=0, outside=0.02))
    assert quality(scene, expecting(field), matrix).verdict is Verdict.HEALTHY


def test_numbers_that_are_no_known_category_are_told() -> None:
    scene = Scene()
    field = oc.request("distance", oc.Float64, expect=oc.expect(categories=(100, 500)))
    finding = quality(scene, expecting(field), draw(scene.random, 1_000))
    assert finding.subject == "distance"
    assert "not one of 100, 500 (such as 900)" in finding.cause


def test_strings_that_are_no_known_category_are_told() -> None:
    scene = Scene()
    field = oc.request("origin", oc.String, expect=oc.expect(categories=("JFK",), nulls=0.5))
    sent = {"distance": 100.0, "origin": "KFJ"}
    finding = quality(scene, expecting(field), draw(scene.random, 300), request=sent)
    assert (finding.subject, finding.value) == ("origin", 1.0)
    assert finding.cause == "origin: 100 % of the values not one of JFK (such as 'KFJ')"


@pytest.mark.parametrize(("declared", "verdict"), [(0.5, Verdict.UNHEALTHY), (1.0, Verdict.HEALTHY)])
def test_a_default_is_no_value_of_its_own(declared: float, verdict: Verdict) -> None:
    scene = Scene()
    project = expecting(expect=oc.expect(nulls=declared, minimum=-1_000))
    scene.context = replace(scene.context, project=project)
    version = scene.live()
    scene.predict(version, draw(scene.random, 1_000), status=DEFAULT)
    look = scene.look()
    assert bool(look.breaches) is (verdict is Verdict.UNHEALTHY)
    if look.breaches:
        assert str(look.breaches[0]) == f"{MEAN}: 100 % without a value (expected at most 50 %)"


@pytest.mark.parametrize(("defaulted", "verdict"), [(0.0, Verdict.UNHEALTHY), (0.5, Verdict.HEALTHY)])
def test_defaults_as_often_as_in_training_are_no_incident(defaulted: float, verdict: Verdict) -> None:
    scene, report = Scene(), make_report()
    profiles = {**report.profiles, MEAN: replace(report.profiles[MEAN], defaulted=defaulted)}
    version = scene.live(report=replace(report, profiles=profiles))
    matrix, stood_in = draw(scene.random, 1_000), bytes([FeatureStatus.DEFAULT, 0, 0, 0])
    scene.predict(version, matrix[:500], status=stood_in)
    scene.predict(version, matrix[500:], status=bytes(4))
    assert found(scene.look()).verdict is verdict


def test_bounds_are_compared_as_the_numbers_that_a_model_is_given() -> None:
    scene = Scene()
    matrix = draw(scene.random, 1_000)
    matrix[:, 3] = np.float32(0.1)
    field = oc.request("distance", oc.Float64, expect=oc.expect(maximum=0.1))
    scene.context = replace(scene.context, project=expecting(field))
    scene.predict(scene.live(), matrix)
    assert scene.look().breaches == ()
