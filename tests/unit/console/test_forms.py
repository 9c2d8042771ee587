"""What the forms of the pages do."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.showrooms import Showroom, full_showroom, incident_id
from tests.showrooms.doors import Door, Html, browser
from tests.showrooms.moments import DAY, NOW, made_id

from octavo.monitoring.incidents import Incident
from octavo.registry.versions import ModelVersion, Waiver
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


def test_a_release_is_approved_with_a_note(room: Showroom) -> None:
    sent = send(browser(room), of="/approvals", action="/approvals/approve", note=" looked at the slices ")
    assert sent == (303, "/approvals")
    assert release(room, 8).state is ReleaseState.APPROVED
    assert release(room, 8).history[-1].reason.endswith("(looked at the slices)")
    assert "No release waits for anybody" in browser(room).get("/approvals").text


def test_a_release_is_rejected_with_a_reason(room: Showroom) -> None:
    sent = send(browser(room), of="/approvals", action="/approvals/reject", reason="worse in the south")
    assert sent == (303, "/approvals")
    assert release(room, 8).state is ReleaseState.REJECTED
    assert release(room, 8).history[-1].reason.endswith(": worse in the south")


def test_a_button_pressed_twice_does_one_thing(room: Showroom) -> None:
    door = browser(room)
    hidden = Html(door.get("/approvals").text).fields("/approvals/approve")
    first, second = (door.post("/approvals/approve", data=hidden) for _ in range(2))
    assert (first.status_code, second.status_code) == (303, 409)
    assert "does not wait for approval" in second.text
    assert "<h1>Approvals" in second.text


def test_who_asked_for_a_release_sees_no_form_to_approve_it(room: Showroom) -> None:
    door = browser(room)
    send(door, of="/approvals", action="/approvals/reject", reason="another is asked for")
    with room.stores.metadata.transaction() as tx:
        found = tx.get(Release, made_id(8))
        state = tx.get(DeploymentState, "late")
        assert found is not None
        assert state is not None
        me = found.history[-1].reason.removeprefix("rejected by ").removesuffix(": another is asked for")
        tx.put(replace(found, state=ReleaseState.WAITING_FOR_APPROVAL, author=me))
        tx.put(replace(state, release=found.id))
    page = door.get("/approvals").text
    assert "another person must approve it" in page
    assert "/approvals/approve" not in page


def test_a_composite_is_taken_back_and_forth(room: Showroom) -> None:
    form = {"of": "/composites/trouble", "action": "/composites/trouble/rollback"}
    assert send(browser(room), **form) == (303, "/composites/trouble")
    assert "Version 1 answers with the value of its last node, eta." in Html(browser(room).get(form["of"]).text).text
    assert send(browser(room), **form) == (303, "/composites/trouble")


def test_a_composite_says_which_of_its_nodes_is_stopped(room: Showroom) -> None:
    door = browser(room)
    send(door, of="/deployments/late", action="/deployments/late/stop", reason="wrong units")
    said = "Version 2 cannot be answered by all of its nodes: late is stopped."
    assert said in Html(door.get("/composites/trouble").text).text


def test_a_release_is_held_advanced_and_resumed(room: Showroom) -> None:
    door = browser(room)
    with room.stores.metadata.transaction() as tx:
        canary = tx.get(Release, made_id(5))
        assert canary is not None
        tx.put(replace(canary, served_at=canary.requested_at))
    assert send(door, of="/deployments/eta", action="/deployments/eta/hold", reason="Friday")[0] == 303
    assert (release(room, 5).held, release(room, 5).percent) == (True, 10)
    page = door.get("/deployments/eta").text
    assert "It is held there until somebody resumes it" in page
    assert "/deployments/eta/advance" not in page
    assert send(door, of="/deployments/eta", action="/deployments/eta/resume")[0] == 303
    assert send(door, of="/deployments/eta", action="/deployments/eta/advance", reason="content")[0] == 303
    assert (release(room, 5).held, release(room, 5).percent) == (False, 50)


def test_a_deployment_is_stopped_and_started(room: Showroom) -> None:
    door = browser(room)
    assert send(door, of="/deployments/eta", action="/deployments/eta/stop", reason="wrong units")[0] == 303
    assert "No model is asked since" in (page := door.get("/deployments/eta").text)
    assert "wrong units" in page
    assert "stopped" in door.get("/deployments").text
    assert send(door, of="/deployments/eta", action="/deployments/eta/start")[0] == 303
    assert "No model is asked" not in door.get("/deployments/eta").text


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
    send(browser(room), of="/approvals", action="/approvals/approve")
    with room.stores.metadata.transaction() as tx:
        event = tx.audit(limit=1)[0]
    assert (event.operation, event.outcome) == ("releases.approve", "done")
    assert event.actor.startswith("admin/")


def waived(room: Showroom) -> Waiver | None:
    with room.stores.metadata.transaction() as tx:
        found = tx.get(ModelVersion, "arrival_delay/3")
    assert found is not None
    return found.gates[0].waiver


def test_a_gate_is_waived_for_a_reason_and_the_waiver_withdrawn(room: Showroom) -> None:
    door, page, action = browser(room), "/models/arrival_delay/3", "/models/arrival_delay/3/waive"
    gate = "better_than_baseline(mae)"
    status, said = send(door, of=page, action=action, gate=gate, reason="too short", length="1d")
    assert (status, "the reason has 9 characters" in said) == (409, True)
    assert send(door, of=page, action=action, gate=gate, reason="a season of strikes", length="1d") == (303, page)
    assert (waived(room).reason, waived(room).until - NOW) == ("a season of strikes", DAY)
    text = Html(door.get(page).text).text
    assert "It did not pass better_than_baseline(mae), which is waived" in text
    assert "Withdraw the waiver" in text
    assert send(door, of=page, action=action, gate=gate, withdraw="yes") == (303, page)
    assert waived(room).until == NOW
    assert "It cannot be released" in Html(door.get(page).text).text


def test_who_may_not_approve_sees_no_form_to_waive(room: Showroom) -> None:
    door = browser(room, permissions=["models:read"])
    assert "Gate to be waived" in Html(browser(room).get("/models/arrival_delay/3").text).text
    assert "Gate to be waived" not in Html(door.get("/models/arrival_delay/3").text).text
