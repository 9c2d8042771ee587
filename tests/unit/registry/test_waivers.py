"""Waivers: who may let a version through that a gate did not."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.stages import DEPLOYMENT, MODEL, Stage, set_stage

from octavo.definitions.models import RiskTier
from octavo.errors import Conflict, GateFailed, InvalidRequest, NotAllowed, NotFound
from octavo.operations import SYSTEM, Dispatcher, Principal
from octavo.principals import SERVICE
from octavo.registry.versions import ModelVersion
from octavo.registry.waivers import WaiveGate, WithdrawWaiver
from octavo.release import aliases, lifecycle
from octavo.stores.ports import Transaction
from octavo.wiring import build_dispatcher

DAY = timedelta(days=1)
ADA = Principal(name="ada/1f3a09c2", subject="ada", permissions=frozenset({"models:approve"}))
WAIVE = WaiveGate(model=MODEL, version=1, gate="at_most", reason="the bound was set for another season")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage with a version that failed its only gate."""
    stage = set_stage(tmp_path)
    stage.add_version(1, passed=False)
    return stage


@pytest.fixture
def dispatcher(stage: Stage) -> Dispatcher:
    return build_dispatcher(stage.context)


def version(stage: Stage) -> ModelVersion:
    with stage.context.transaction() as tx:
        return version_in(tx)


def version_in(tx: Transaction) -> ModelVersion:
    found = tx.get(ModelVersion, f"{MODEL}/1")
    assert found is not None
    return found


def test_a_waived_gate_has_still_failed_but_holds_nothing_back(stage: Stage, dispatcher: Dispatcher) -> None:
    waived = dispatcher.call(WAIVE, ADA)
    assert waived == version(stage)
    assert not waived.passed
    assert waived.held_by(stage.clock.now()) == ()
    waiver = waived.gates[0].waiver
    assert (waiver.by, waiver.reason) == ("ada", "the bound was set for another season")
    assert waiver.until - stage.clock.now() == 7 * DAY
    assert waived.gates[0].evidence == "mae 21 over 100 rows"


def test_releases_and_aliases_take_a_version_whose_gates_are_waived(stage: Stage, dispatcher: Dispatcher) -> None:
    with pytest.raises(GateFailed, match="did not pass at_most"):
        lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")
    dispatcher.call(WAIVE, ADA)
    assert lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user").version == 1
    assert aliases.point(stage.context, MODEL, "champion", version=1).versions == {"champion": 1}


def test_a_waiver_ends(stage: Stage, dispatcher: Dispatcher) -> None:
    dispatcher.call(replace(WAIVE, length="2d"), ADA)
    stage.wait(2 * DAY)
    assert [result.gate for result in version(stage).held_by(stage.clock.now())] == ["at_most(mae, 20)"]
    with pytest.raises(GateFailed):
        lifecycle.request(stage.context, DEPLOYMENT, version=1, cause="user")


def test_a_waiver_is_withdrawn(stage: Stage, dispatcher: Dispatcher) -> None:
    dispatcher.call(WAIVE, ADA)
    withdrawn = dispatcher.call(WithdrawWaiver(model=MODEL, version=1, gate="at_most(mae, 20)"), ADA)
    assert withdrawn.held_by(stage.clock.now())
    assert withdrawn.gates[0].waiver.by == "ada"
    with pytest.raises(Conflict, match="no waiver"):
        dispatcher.call(WithdrawWaiver(model=MODEL, version=1, gate="at_most"), ADA)


def test_who_waived_what_is_audited(stage: Stage, dispatcher: Dispatcher) -> None:
    dispatcher.call(WAIVE, ADA)
    with stage.context.transaction() as tx:
        events = [event for event in tx.audit() if event.operation == "models.waive"]
    assert [(event.actor, event.outcome) for event in events] == [("ada/1f3a09c2", "done")]
    assert f"model={MODEL} version=1" in events[0].target


@pytest.mark.parametrize(
    "caller",
    [
        replace(ADA, permissions=frozenset({"models:read", "models:write"})),
        replace(ADA, kind=SERVICE, permissions=frozenset({"*"})),
    ],
)
def test_only_people_who_may_approve_waive(dispatcher: Dispatcher, caller: Principal) -> None:
    with pytest.raises(NotAllowed):
        dispatcher.call(WAIVE, caller)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"reason": "because"}, InvalidRequest),
        ({"reason": " " * 40}, InvalidRequest),
        ({"reason": "x" * 2_001}, InvalidRequest),
        ({"length": "91d"}, InvalidRequest),
        ({"length": "for ever"}, InvalidRequest),
        ({"version": 2}, NotFound),
        ({"gate": "fair"}, NotFound),
        ({"gate": ""}, NotFound),
    ],
)
def test_what_cannot_be_waived_is_refused(
    stage: Stage, dispatcher: Dispatcher, change: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        dispatcher.call(replace(WAIVE, **change), SYSTEM)
    assert version(stage).gates[0].waiver is None


def test_what_passed_needs_no_waiver(stage: Stage, dispatcher: Dispatcher) -> None:
    stage.add_version(2)
    with pytest.raises(Conflict, match="nothing to waive"):
        dispatcher.call(replace(WAIVE, version=2), ADA)


@pytest.mark.parametrize(("author", "allowed"), [("ada", False), ("eve", True)])
def test_where_much_harm_can_be_done_nobody_waives_for_themselves(stage: Stage, author: str, allowed: bool) -> None:
    project = stage.context.project
    risky = replace(project, models={MODEL: replace(project.model(MODEL), tier=RiskTier.HIGH)})
    dispatcher = build_dispatcher(replace(stage.context, project=risky))
    with stage.context.transaction() as tx:
        tx.put(replace(version_in(tx), author=author))
    if allowed:
        assert dispatcher.call(WAIVE, ADA).gates[0].waiver
    else:
        with pytest.raises(NotAllowed, match="somebody else"):
            dispatcher.call(WAIVE, ADA)
