"""What the forms of the pages do."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.showrooms import Showroom, full_showroom, incident_id
from tests.showrooms.doors import Door, Html, browser
from tests.showrooms.moments import made_id

from octavo.monitoring.incidents import Incident
from octavo.release.experiments import ExperimentState, StartedExperiment
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.training.runs import Run, RunStatus


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    return full_showroom(tmp_path)


def send(door: Door, *, of: str, action: str, **fields: str) -> tuple[int, str]:
    """Send the form of a page; returns the status and where it leads, or what it says."""
    hidden = Html(door.get(of).text).fields(action)
    answer = door.post(action, data={**hidden, **fields})
    return answer.status_code, answer.headers.get("location", Html(answer.text).text)


def release(room: Showroom, number: int) -> Release:
    with room.stores.metadata.transaction() as tx:
        found = tx.get(Release, made_id(number))
    assert found is not None
    return found


def test_a_release_is_approved(room: Showroom) -> None:
    door = browser(room)
    sent = send(door, of="/deployments/late", action="/deployments/late/approve")
    assert sent == (303, "/deployments/late")
    assert release(room, 8).state is ReleaseState.APPROVED
    assert release(room, 8).history[-1].reason.startswith("approved by admin/")


def test_a_button_pressed_twice_does_one_thing(room: Showroom) -> None:
    door = browser(room)
    hidden = Html(door.get("/deployments/late").text).fields("/deployments/late/approve")
    first, second = (door.post("/deployments/late/approve", data=hidden) for _ in range(2))
    assert (first.status_code, second.status_code) == (303, 409)
    assert "does not wait for approval" in second.text
    assert "<h1>late" in second.text


def test_a_release_in_progress_is_ended_with_a_reason(room: Showroom) -> None:
    with room.stores.metadata.transaction() as tx:
        state = tx.get(DeploymentState, "late")
        assert state is not None
        tx.put(replace(state, live=None))
    sent = send(browser(room), of="/deployments/late", action="/deployments/late/rollback", reason=" too risky ")
    assert sent == (303, "/deployments/late")
    assert release(room, 8).state is ReleaseState.REJECTED
    assert release(room, 8).history[-1].reason.endswith(": too risky")


def experiment(room: Showroom) -> StartedExperiment:
    with room.stores.metadata.transaction() as tx:
        [found] = tx.find(StartedExperiment, deployment="late")
    return found


def settle(room: Showroom) -> None:
    """Have no release in progress in the deployment of the experiment that runs."""
    with room.stores.metadata.transaction() as tx:
        state = tx.get(DeploymentState, "late")
        assert state is not None
        tx.replace(state, replace(state, release=None))


def test_an_experiment_is_stopped_with_a_reason(room: Showroom) -> None:
    action = "/deployments/late/experiments/stop"
    assert send(browser(room), of="/deployments/late", action=action, reason="too slow") == (303, "/deployments/late")
    assert experiment(room).state is ExperimentState.STOPPED
    assert experiment(room).reason.endswith(": too slow")


def test_an_arm_is_promoted(room: Showroom) -> None:
    settle(room)
    action = "/deployments/late/experiments/promote"
    assert send(browser(room), of="/deployments/late", action=action, arm="challenger") == (303, "/deployments/late")
    assert experiment(room).promoted == "challenger"


def test_what_keeps_an_experiment_from_starting_is_said(room: Showroom) -> None:
    door = browser(room)
    csrf = Html(door.get("/").text).fields("/logout")
    answer = door.post("/deployments/late/experiments/start", data={**csrf, "experiment": "surer"})
    assert answer.status_code == 409
    assert "one runs at a time" in answer.text


def test_a_version_is_released(room: Showroom) -> None:
    sent = send(browser(room), of="/deployments/spare", action="/deployments/spare/release", version="2")
    assert sent == (303, "/deployments/spare")
    with room.stores.metadata.transaction() as tx:
        [asked] = tx.find(Release, deployment="spare")
    assert (asked.version, asked.state) == (2, ReleaseState.REQUESTED)


def test_a_version_that_failed_is_not_offered_and_not_released(room: Showroom) -> None:
    door = browser(room)
    assert "version 3" not in Html(door.get("/deployments/eta").text).text
    csrf = Html(door.get("/").text).fields("/logout")
    answer = door.post("/deployments/eta/release", data={**csrf, "version": "3"})
    assert answer.status_code == 409
    assert "did not pass better_than_baseline" in Html(answer.text).text


def test_an_incident_is_resolved_with_its_cause(room: Showroom) -> None:
    path = f"/incidents/{incident_id(2)}"
    assert send(browser(room), of=path, action=f"{path}/resolve", cause="a strike") == (303, path)
    with room.stores.metadata.transaction() as tx:
        found = tx.get(Incident, incident_id(2))
    assert found is not None
    assert (found.cause, found.is_open) == ("a strike", False)


def test_a_training_is_asked_for(room: Showroom) -> None:
    status, place = send(browser(room), of="/models/arrives_late", action="/models/arrives_late/train")
    assert status == 303
    with room.stores.metadata.transaction() as tx:
        run = tx.get(Run, place.rpartition("/")[2])
    assert run is not None
    assert (run.model, run.status) == ("arrives_late", RunStatus.REQUESTED)


def test_a_deployment_is_looked_at_now(room: Showroom) -> None:
    assert send(browser(room), of="/monitoring/eta", action="/monitoring/eta/look") == (303, "/monitoring/eta")


def test_a_change_is_audited_under_the_visitors_name(room: Showroom) -> None:
    send(browser(room), of="/deployments/late", action="/deployments/late/approve")
    with room.stores.metadata.transaction() as tx:
        event = tx.audit(limit=1)[0]
    assert (event.operation, event.outcome) == ("releases.approve", "done")
    assert event.actor.startswith("admin/")
