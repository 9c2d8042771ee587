"""What predictors refuse becomes known, and release statements do not run out."""

from pathlib import Path

import msgspec
import pytest
from tests.stages import DEPLOYMENT, Stage, set_stage

from octavo.loop import refusals
from octavo.loop.attention import needs_attention
from octavo.loop.refusals import RefusalWatch, Renewals
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.processes import PREDICTOR, announce, withdraw
from octavo.serving.status import DeploymentStatus, PredictorStatus, write_atomically

REASON = "the release statement of arrival_delay 2 in 'eta' is about version 2, but the manifest's arm is 3"


class Timer:
    """Seconds in the test's hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def say(stage: Stage, error: str | None) -> None:
    """Have a predictor that runs say what it refuses."""
    home = stage.context.config.home
    announce(home, PREDICTOR, host="127.0.0.1", port=1)
    status = PredictorStatus(pid=1, deployments={DEPLOYMENT: DeploymentStatus(sequence=3, error=error)})
    write_atomically(home / "predictor" / "status.json", msgspec.json.encode(status))


def incidents(stage: Stage) -> list[Incident]:
    with stage.context.transaction() as tx:
        return tx.find(Incident)


def test_a_refusal_that_lasts_opens_an_incident_and_is_audited(stage: Stage) -> None:
    timer = Timer()
    watch = RefusalWatch(stage.context, timer=timer)
    say(stage, REASON)
    watch.look()
    assert incidents(stage) == [], "it tries again by itself"
    timer.now_s += refusals.LASTS_S
    for _ in range(3):
        watch.look()
    [found] = incidents(stage)
    assert (found.incident_kind, found.deployment, found.cause) == (IncidentKind.REFUSAL, DEPLOYMENT, REASON)
    with stage.context.transaction() as tx:
        [event] = [event for event in tx.audit() if event.operation == "releases.refused"]
    assert REASON in event.target


def test_it_is_resolved_once_nothing_is_refused_any_more(stage: Stage) -> None:
    timer = Timer()
    watch = RefusalWatch(stage.context, timer=timer)
    say(stage, REASON)
    watch.look()
    timer.now_s += refusals.LASTS_S
    watch.look()
    say(stage, None)
    watch.look()
    [found] = incidents(stage)
    assert not found.is_open


def test_what_a_dead_predictor_said_last_opens_nothing(stage: Stage) -> None:
    timer = Timer()
    watch = RefusalWatch(stage.context, timer=timer)
    say(stage, REASON)
    withdraw(stage.context.config.home, PREDICTOR)
    watch.look()
    timer.now_s += refusals.LASTS_S
    watch.look()
    assert incidents(stage) == []


def test_the_status_says_what_is_refused(stage: Stage) -> None:
    say(stage, REASON)
    assert needs_attention(stage.context) == (
        f"a predictor refuses what is published for {DEPLOYMENT}, and goes on as before: {REASON}",
    )
    say(stage, None)
    assert needs_attention(stage.context) == ()


def test_renewals_look_now_and_then(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(refusals, "publish_current", lambda context, deployment: looked.append(deployment))
    timer = Timer()
    renewals = Renewals(stage.context, timer=timer)
    for later_s in (0, 1, 600, 601):
        timer.now_s = 100.0 + later_s
        renewals.look()
    assert looked == [DEPLOYMENT, DEPLOYMENT]
