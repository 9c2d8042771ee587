"""A release from its request to its end, over real durable workflows and a predictor's own words."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import msgspec
import pytest
from tests.stages import DEPLOYMENT, HOUR, MODEL, START, Stage, set_stage

import octavo as oc
from octavo.clock import ReplayClock
from octavo.loop import release_workflow
from octavo.loop.agenda import Agenda
from octavo.loop.durable import DurableWorkflows
from octavo.loop.release_workflow import ReleaseWorkflow
from octavo.loop.retrainings import started
from octavo.monitoring.incidents import Incident, IncidentKind
from octavo.operations import Context, Principal
from octavo.processes import PREDICTOR, announce
from octavo.release import interventions, lifecycle
from octavo.release.publish import published_sequence
from octavo.release.releases import Release, ReleaseState
from octavo.release.rollout import is_going
from octavo.serving.status import DeploymentStatus, PredictorStatus, write_atomically

S = ReleaseState
PATIENCE_S = 60.0
ROLLOUT = oc.Rollout(shadow="1h", steps=[50, 100], bake="1h")


@pytest.fixture(autouse=True)
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The versions of the stage have no bundles; what a bundle must be is tested with the registry."""
    monkeypatch.setattr(release_workflow, "verify_version", lambda context, version: "")


class Predictor:
    """Says of each manifest that it serves by it, as a predictor does, or why not."""

    def __init__(self, stage: Stage) -> None:
        self.refuses = ""
        self._stage = stage
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        announce(self._stage.context.config.home, PREDICTOR, host="127.0.0.1", port=1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        served = 0
        while not self._stop.wait(0.005):
            published = published_sequence(self._stage.context.stores.artifacts, DEPLOYMENT)
            served = served if self.refuses else published
            status = DeploymentStatus(sequence=served, error=self.refuses or None)
            document = msgspec.json.encode(PredictorStatus(pid=1, deployments={DEPLOYMENT: status}))
            write_atomically(self._stage.context.config.home / "predictor" / "status.json", document)


@contextmanager
def releasing(stage: Stage) -> Iterator[DurableWorkflows]:
    """A worker that releases."""
    agenda = Agenda(stage.clock)
    work = ReleaseWorkflow(stage.context, agenda, ship=lambda: None)
    stop, watcher = threading.Event(), threading.Thread(target=lambda: watch(stage, work, stop))
    database = stage.context.config.root / "workflows.db"
    workflows = DurableWorkflows(database, {"release": work.run}, agenda=agenda)
    workflows.start()
    watcher.start()
    try:
        yield workflows
    finally:
        stop.set()
        watcher.join()
        agenda.stop()
        workflows.stop()


def watch(stage: Stage, work: ReleaseWorkflow, stop: threading.Event) -> None:
    """Have releases looked at when people have done something about them, as a worker does."""
    while not stop.wait(0.01):
        with stage.context.transaction() as tx:
            work.see(tx)


def ask(stage: Stage, version: int) -> Release:
    stage.add_version(version)
    return lifecycle.request(stage.context, DEPLOYMENT, version=version, cause="user")


def by_ada(stage: Stage) -> Context:
    return replace(stage.context, principal=Principal(name="user:ada", permissions=frozenset({"*"})))


def now(stage: Stage, release: Release) -> Release:
    [found] = [r for r in stage.releases() if r.id == release.id]
    return found


def until(holds: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, "in vain"
        time.sleep(0.005)


def is_at(stage: Stage, release: Release, state: ReleaseState, percent: int = 0) -> bool:
    found = now(stage, release)
    return (found.state, found.percent) == (state, percent) and found.served_at is not None


def test_a_first_version_goes_live_and_a_second_through_all_stages(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    with Predictor(stage), releasing(stage) as workflows:
        first = ask(stage, 1)
        workflows.begin("release", first.id)
        until(lambda: is_at(stage, first, S.LIVE, 100))
        second = ask(stage, 2)
        workflows.begin("release", second.id)
        for state, percent in ((S.SHADOW, 100), (S.CANARY, 50), (S.LIVE, 100)):
            until(lambda state=state, percent=percent: is_at(stage, second, state, percent))  # type: ignore[misc]
            stage.wait(HOUR)
    assert [t.at - START for t in now(stage, second).history[2:]] == [0 * HOUR, HOUR, 2 * HOUR]


def test_a_release_waits_for_a_predictor_that_does_not_run(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    with releasing(stage) as workflows:
        release = ask(stage, 1)
        workflows.begin("release", release.id)
        until(lambda: now(stage, release).state is S.LIVE)
        time.sleep(0.1)
        assert now(stage, release).served_at is None
        with Predictor(stage):
            until(lambda: is_at(stage, release, S.LIVE, 100))


def test_a_version_that_the_predictor_refuses_is_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_workflow, "REFUSED_AFTER_S", 0.1)
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    with Predictor(stage) as predictor, releasing(stage) as workflows:
        first = ask(stage, 1)
        workflows.begin("release", first.id)
        until(lambda: is_at(stage, first, S.LIVE, 100))
        predictor.refuses = "golden row 7 differs"
        second = ask(stage, 2)
        workflows.begin("release", second.id)
        until(lambda: now(stage, second).state is S.ROLLED_BACK)
    assert now(stage, second).history[-1].reason == "a predictor refuses it: golden row 7 differs"
    assert stage.state().live == 1


def test_a_shadow_that_fails_is_rolled_back_at_the_next_look(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    with Predictor(stage), releasing(stage) as workflows:
        first = ask(stage, 1)
        workflows.begin("release", first.id)
        until(lambda: is_at(stage, first, S.LIVE, 100))
        second = ask(stage, 2)
        workflows.begin("release", second.id)
        until(lambda: is_at(stage, second, S.SHADOW, 100))
        stage.predict(1, [1.0] * 100)
        stage.predict(2, [math.nan] * 100, arm="shadow")
        until(lambda: stage.wait(HOUR / 60) and now(stage, second).state is S.ROLLED_BACK)
    assert "more than 1% of its predictions failed" in now(stage, second).history[-1].reason
    [notice] = stage.context.stores.notifier.sent  # type: ignore[attr-defined]  # in memory
    assert notice.subject == f"{MODEL} version 2 in eta: rolled back"


def test_a_release_that_waits_for_a_person_goes_on_when_it_is_approved(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(approval="manual"))
    with Predictor(stage), releasing(stage) as workflows:
        release = ask(stage, 1)
        workflows.begin("release", release.id)
        until(lambda: now(stage, release).state is S.WAITING_FOR_APPROVAL and not workflows.is_live(release.id))
        [notice] = stage.context.stores.notifier.sent  # type: ignore[attr-defined]  # in memory
        assert (notice.subject, notice.text) == (
            f"{MODEL} version 1 in eta: waiting for approval",
            "it needs 1 person",
        )
        interventions.approve(by_ada(stage), release.id)
        until(lambda: workflows.begin("release", release.id) or is_at(stage, release, S.LIVE, 100))


@pytest.mark.parametrize("is_held", [False, True])
def test_one_that_nobody_approves_in_time_ends_at_that_moment_under_a_clock_that_jumps(
    tmp_path: Path, is_held: bool
) -> None:
    clock = ReplayClock(tmp_path / "clock", start=START)
    staged = set_stage(tmp_path, rollout=oc.Rollout(approval=oc.Approval(expires="1d")))
    stage = Stage(replace(staged.context, clock=clock), clock)  # type: ignore[arg-type]  # it is advanced alike
    with Predictor(stage), releasing(stage) as workflows:
        release = ask(stage, 1)
        workflows.begin("release", release.id)
        until(lambda: now(stage, release).state is S.WAITING_FOR_APPROVAL)
        if is_held:
            interventions.hold(by_ada(stage), DEPLOYMENT, reason="let us see")
            until(lambda: not workflows.is_live(release.id))
            interventions.resume(by_ada(stage), DEPLOYMENT)
            until(lambda: workflows.begin("release", release.id) and workflows.is_live(release.id))
        stage.wait(90 * HOUR)
        until(lambda: now(stage, release).state is S.REJECTED)
    assert now(stage, release).history[-1].at == START + 24 * HOUR


def test_one_that_is_approved_in_time_does_not_wait_any_longer(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(approval=oc.Approval(expires="1d")))
    with Predictor(stage), releasing(stage) as workflows:
        release = ask(stage, 1)
        workflows.begin("release", release.id)
        until(lambda: now(stage, release).state is S.WAITING_FOR_APPROVAL)
        interventions.approve(by_ada(stage), release.id)
        until(lambda: is_at(stage, release, S.LIVE, 100))
    assert stage.clock.now() == START, "no time has passed"


def test_a_release_goes_on_in_the_next_process(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    with Predictor(stage):
        with releasing(stage) as workflows:
            first = ask(stage, 1)
            workflows.begin("release", first.id)
            until(lambda: is_at(stage, first, S.LIVE, 100))
            second = ask(stage, 2)
            workflows.begin("release", second.id)
            until(lambda: is_at(stage, second, S.SHADOW, 100))
        stage.wait(HOUR)
        with releasing(stage):
            until(lambda: is_at(stage, second, S.CANARY, 50))


def test_the_incident_that_a_version_answers_tells_of_its_way(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    incident = Incident(
        id="i1", deployment=DEPLOYMENT, model=MODEL, version=1, incident_kind=IncidentKind.DRIFT, subject="inputs",
        value=1.0, threshold=0.2, opened_at=START,
    )  # fmt: skip
    with stage.context.transaction() as tx:
        tx.add(incident)
        started(tx, "i1", model=MODEL, run="run-1")
    with Predictor(stage), releasing(stage) as workflows:
        release = ask(stage, 1)
        workflows.begin("release", release.id)
        until(lambda: is_at(stage, release, S.LIVE, 100))
    with stage.context.transaction() as tx:
        found = tx.get(Incident, "i1")
    assert found is not None
    assert [entry.text.partition(" (")[0] for entry in found.timeline] == [
        "version 1 in eta: verified",
        "version 1 in eta: approved",
        "version 1 in eta: live",
    ]


def test_a_person_who_advances_a_release_does_not_wait_for_its_next_look(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(shadow=None, steps=[10, 50, 100], bake="manual"))
    with Predictor(stage), releasing(stage) as workflows:
        first = ask(stage, 1)
        workflows.begin("release", first.id)
        until(lambda: is_at(stage, first, S.LIVE, 100))
        second = ask(stage, 2)
        workflows.begin("release", second.id)
        for percent in (10, 50):
            until(lambda percent=percent: is_at(stage, second, S.CANARY, percent))  # type: ignore[misc]
            interventions.advance(by_ada(stage), DEPLOYMENT)
        until(lambda: is_at(stage, second, S.LIVE, 100) and not workflows.is_live(second.id))
    assert stage.clock.now() == START, "no time has passed"


def test_a_held_release_is_still_guarded_and_one_that_is_resumed_goes_on(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    with Predictor(stage), releasing(stage) as workflows:
        first = ask(stage, 1)
        workflows.begin("release", first.id)
        until(lambda: is_at(stage, first, S.LIVE, 100))
        second = ask(stage, 2)
        workflows.begin("release", second.id)
        until(lambda: is_at(stage, second, S.SHADOW, 100))
        interventions.hold(by_ada(stage), DEPLOYMENT, reason="lunch")
        stage.wait(9 * HOUR)
        assert workflows.is_live(second.id)
        interventions.resume(by_ada(stage), DEPLOYMENT)
        stage.wait(HOUR)
        until(lambda: is_at(stage, second, S.CANARY, 50))
        interventions.hold(by_ada(stage), DEPLOYMENT, reason="dinner")
        stage.predict(1, [1.0] * 100)
        stage.predict(2, [math.nan] * 100, arm="canary")
        until(lambda: stage.wait(HOUR / 60) and now(stage, second).state is S.ROLLED_BACK)


def test_a_release_that_is_held_before_it_has_traffic_waits_for_nobody_to_work_on_it(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=ROLLOUT)
    with Predictor(stage), releasing(stage) as workflows:
        release = ask(stage, 1)
        interventions.hold(by_ada(stage), DEPLOYMENT, reason="not yet")
        workflows.begin("release", release.id)
        until(lambda: workflows.knows(release.id) and not workflows.is_live(release.id))
        assert now(stage, release).state is S.REQUESTED
        assert not is_going(now(stage, release), stage.state())
        interventions.resume(by_ada(stage), DEPLOYMENT)
        assert is_going(now(stage, release), stage.state())
        until(lambda: workflows.begin("release", release.id) or is_at(stage, release, S.LIVE, 100))


def test_a_canary_with_worse_outcomes_is_taken_back(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, rollout=oc.Rollout(shadow=None, steps=[50, 100], bake="4h"))
    with Predictor(stage), releasing(stage) as workflows:
        first = ask(stage, 1)
        workflows.begin("release", first.id)
        until(lambda: is_at(stage, first, S.LIVE, 100))
        second = ask(stage, 2)
        workflows.begin("release", second.id)
        until(lambda: is_at(stage, second, S.CANARY, 50))
        stage.predict(2, [0.0, 3.0] * 200, arm="canary")
        stage.predict(1, [1.0, 2.0] * 200)
        stage.tell({f"1-{n}": 1.5 for n in range(400)} | {f"2-{n}": 1.5 for n in range(400)})
        until(lambda: stage.wait(HOUR / 6) and now(stage, second).state is S.ROLLED_BACK)
    assert now(stage, second).history[-1].reason.startswith("its outcomes are worse than those of the live version (")
