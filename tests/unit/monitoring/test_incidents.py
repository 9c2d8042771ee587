"""Incidents: what is noted of them, and how they end by hand."""

from datetime import timedelta

import pytest
from tests.unit.monitoring.scenes import START, Scene, draw

from octavo.errors import Conflict, NotFound
from octavo.monitoring.incidents import Incident, IncidentKind, add_to_timeline, open_incidents, resolve


def incident(id: str = "i1", *, deployment: str = "eta") -> Incident:
    return Incident(
        id=id, deployment=deployment, model="m", version=1, incident_kind=IncidentKind.DRIFT, subject="inputs",
        value=0.5, threshold=0.25, opened_at=START, cause="a moved",
    )  # fmt: skip


def kept(*incidents: Incident) -> Scene:
    scene = Scene()
    with scene.stores.metadata.transaction() as tx:
        for one in incidents:
            tx.add(one)
    return scene


def test_only_the_open_ones_of_a_deployment_are_found_the_first_opened_first() -> None:
    scene = kept(incident("a"), incident("b"), incident("c"), incident("d", deployment="late"))
    with scene.stores.metadata.transaction() as tx:
        resolve(tx, "b", at=START, text="over")
        assert [found.id for found in open_incidents(tx, "eta")] == ["a", "c"]


def test_what_happens_is_added_to_the_timeline() -> None:
    scene = kept(incident())
    with scene.stores.metadata.transaction() as tx:
        add_to_timeline(tx, "i1", at=START, text="a retraining began")
        after = add_to_timeline(tx, "i1", at=START + timedelta(1), text="version 2 is live")
    assert [entry.text for entry in after.timeline] == ["a retraining began", "version 2 is live"]
    assert after.is_open


def test_an_end_keeps_the_cause_unless_another_is_given() -> None:
    scene = kept(incident("a"), incident("b"))
    with scene.stores.metadata.transaction() as tx:
        assert resolve(tx, "a", at=START, text="over").cause == "a moved"
        assert resolve(tx, "b", at=START, text="over", cause="a new sensor").cause == "a new sensor"


def test_an_incident_ends_once() -> None:
    scene = kept(incident())
    with scene.stores.metadata.transaction() as tx:
        resolve(tx, "i1", at=START, text="over")
        with pytest.raises(Conflict, match="already"):
            resolve(tx, "i1", at=START, text="over")


def test_an_unknown_incident_is_not_found() -> None:
    with kept().stores.metadata.transaction() as tx, pytest.raises(NotFound):
        add_to_timeline(tx, "nobody", at=START, text="")


def test_after_an_end_by_hand_the_next_unhealthy_look_opens_another() -> None:
    scene = Scene()
    scene.predict(scene.live(), draw(scene.random, 500, mean=22))
    scene.look()
    with scene.stores.metadata.transaction() as tx:
        [first] = open_incidents(tx, "eta")
        resolve(tx, first.id, at=scene.clock.now(), text="resolved by ada")
    scene.go(timedelta(hours=1))
    scene.look()
    with scene.stores.metadata.transaction() as tx:
        [second] = open_incidents(tx, "eta")
    assert second.id != first.id
