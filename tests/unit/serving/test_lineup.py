"""Arms made ready as one unit."""

from dataclasses import replace
from typing import Any

import pytest
from tests.serving.bundles import CODE, PLAN_OF_TESTS, publish_bundle
from tests.serving.predictors import Bench
from tests.serving.projects import arm, manifest

from octavo.definitions.plans import LookupPlan, PlannedField
from octavo.definitions.types import DType
from octavo.errors import Conflict, Unavailable
from octavo.registry.bundles import fetch_bundle
from octavo.release.manifests import Arm
from octavo.serving.lineup import Lineup
from octavo.serving.lookup import FeatureLookup
from octavo.serving.models import load_model
from octavo.stores.inline import InlineReader


def lineup(bench: Bench, *arms: Arm, unit: str | None = None) -> Lineup:
    into = bench.project.config.home
    models = {one.digest: load_model(fetch_bundle(bench.project.artifacts, one.digest, into=into)) for one in arms}
    return Lineup(
        manifest(*arms, unit=unit),
        models,
        lookup_of=lambda plan: FeatureLookup.of_plan(InlineReader(bench.online), plan),
        max_rows=10,
    )


def publish(bench: Bench, **changes: Any) -> str:
    return publish_bundle(bench.project.artifacts, **changes)


def plan(*fields: PlannedField) -> LookupPlan:
    """The plan of the tests with further fields."""
    return replace(PLAN_OF_TESTS, fields=(*PLAN_OF_TESTS.fields, *fields))


def test_the_live_version_stands_first_and_shadows_apart(bench: Bench) -> None:
    digest = publish(bench)
    made = lineup(
        bench,
        arm(digest, role="shadow", version=3),
        arm(digest, role="canary", version=2, percent=5),
        arm(digest, percent=95),
    )
    assert [served.arm.role for served in made.answering] == ["live", "canary"]
    assert [served.arm.role for served in made.shadows] == ["shadow"]
    assert made.fallback.arm.version == 1


def test_versions_that_make_the_same_row_of_a_request_share_the_work(bench: Bench) -> None:
    other_code = publish(bench, code=CODE.replace("% 24", "% 12"))
    arms = [arm(publish(bench, bias=1.0), role="shadow", version=2), arm(other_code, role="shadow", version=3)]
    made = lineup(bench, arm(publish(bench)), *arms)
    same, different = (served.builder for served in made.shadows)
    assert same is made.fallback.builder
    assert different is not made.fallback.builder


def test_rows_about_the_same_unit_go_to_the_same_arm(bench: Bench) -> None:
    digest = publish(bench)
    made = lineup(bench, arm(digest, percent=50), arm(digest, role="canary", version=2, percent=50), unit="origin")
    units = [f"airport {number % 10}" for number in range(40)]
    places = made.assign([f"id {number}" for number in range(40)], units).places
    assert places is not None
    assert places.tolist() == places.tolist()[:10] * 4
    assert set(places.tolist()) == {0, 1}


@pytest.mark.parametrize("unit", [None, "seats", "unknown"])
def test_a_row_without_a_unit_is_a_unit_of_its_own(bench: Bench, unit: str | None) -> None:
    digest = publish(bench)
    made = lineup(bench, arm(digest, percent=50), arm(digest, role="canary", version=2, percent=50), unit=unit)
    units = None if made.unit is None else [None] * 40
    places = made.assign([f"id {number}" for number in range(40)], units).places
    assert places is not None
    assert 5 < places.sum() < 35


def test_what_only_a_new_version_takes_may_be_left_out(bench: Bench) -> None:
    wind = PlannedField(name="wind", dtype=DType.FLOAT64, required=True)
    made = lineup(bench, arm(publish(bench)), arm(publish(bench, plan=plan(wind)), role="shadow", version=2))
    assert made.decoder.names[-1] == "wind"
    rows = b'{"rows":[{"distance":1,"sched_dep":"2013-07-01T12:30:00Z","origin":"JFK"}]}'
    assert made.decoder.decode(rows)[0][-1] is None


def test_versions_that_disagree_about_a_field_are_refused(bench: Bench) -> None:
    wind = [PlannedField(name="wind", dtype=dtype, required=False) for dtype in (DType.FLOAT64, DType.STRING)]
    live, shadow = (publish(bench, plan=plan(field)) for field in wind)
    with pytest.raises(Conflict, match="takes the field 'wind' as float64, another as string; give it another name"):
        lineup(bench, arm(live), arm(shadow, role="shadow", version=2))


def test_a_manifest_without_an_arm_that_answers_is_refused(bench: Bench) -> None:
    with pytest.raises(Unavailable, match="manifest 1 of deployment 'eta' has no arm that answers"):
        lineup(bench, arm(publish(bench), role="shadow"))


def test_one_arm_that_answers_everything_asks_nobody(bench: Bench) -> None:
    digest = publish(bench)
    made = lineup(bench, arm(digest), arm(digest, role="shadow", version=2))
    assert made.assign([], None) is made.assign([], None)
    assert (made.assign([], None).places, made.assign([], None).propensities) == (None, 1.0)
    of_shadow = made.of_version("2").assign([], None)
    assert (of_shadow.places, of_shadow.only, of_shadow.groups) == (None, 0, "")
