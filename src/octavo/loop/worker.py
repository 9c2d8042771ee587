"""The worker: everything of the loop that happens by itself, in one process, or shared by several."""

import logging
import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from dataclasses import replace

from octavo.definitions.types import seconds
from octavo.errors import Conflict, OctavoError
from octavo.loop.agenda import Agenda, Stopping
from octavo.loop.durable import DurableWorkflows
from octavo.loop.duties import DUTIES, Duties, wait_until_shipped
from octavo.loop.membership import Membership, Superseded, is_claimed_elsewhere
from octavo.loop.release_workflow import ReleaseWorkflow
from octavo.loop.training_workflow import TrainingWorkflow
from octavo.loop.trainings import UNDER_WAY, is_held, record_interrupted
from octavo.operations import Context
from octavo.processes import WORKER, announce, run_file, withdraw
from octavo.release.aliases import ModelAliases, publish_aliases
from octavo.release.composites import CompositeState, publish_composite
from octavo.release.experiments import StartedExperiment
from octavo.release.publish import publish_current
from octavo.release.releases import DeploymentState, Release
from octavo.release.rollout import is_going
from octavo.stores.open import workflows_database
from octavo.stores.ports import Transaction
from octavo.stores.sql.postgres import PostgresAddress
from octavo.training.runs import Run

log = logging.getLogger(__name__)

TRAIN, RELEASE = "train", "release"
_RECONCILE_EVERY_S, _TEND_EVERY_S = 0.1, 0.25
_HEARTBEAT_EVERY_S = 1.0
_RESUME_TIMEOUT_S = 15.0
_DUTIES_AGAIN_S = 0.5
_SEEN_WITHIN_S = 2.0


class Worker:
    """Trains and releases, as the metadata and the definitions say; one worker of a project also has the duties.

    Parameters
    ----------
    context : Context
    name : str
        Under which its process is announced.

    Raises
    ------
    Conflict
        If there is another worker, and workflows are kept where only one can reach them.
    """

    def __init__(self, context: Context, *, name: str = WORKER) -> None:
        self._name = name
        self._home = context.config.home
        self._plain = context
        self._agenda = Agenda(context.clock)
        self._dead_after_s = seconds(context.config.worker.dead_after, what="[worker] dead_after")
        self._membership = Membership(context.stores.metadata, home=self._home, dead_after_s=self._dead_after_s)
        self._database = workflows_database(context.config)
        self._is_alone = not isinstance(self._database, PostgresAddress)
        self._duties: Duties | None = None
        self._duties_again_s = 0.0
        self._context = self._with_claims(None)
        self._releases = ReleaseWorkflow(self._context, self._agenda, ship=self._ship)
        trainings = TrainingWorkflow(self._context, self._agenda, ship=self._ship, released=self._see_begun)
        self._work = {TRAIN: trainings.run, RELEASE: self._releases.run}
        self._workflows: DurableWorkflows
        self._superseded: Superseded | None = None
        self._news = threading.Event()
        self._published: dict[str, int] = {}

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until `stop` says so; then nothing of it goes on.

        Raises
        ------
        Superseded
            If this worker was taken for dead. What it did is done by others; it may begin anew.
        """
        with ExitStack() as ending:
            ending.callback(self._agenda.stop)
            self._membership.join()
            ending.callback(self._leave)
            tending = threading.Thread(target=self._tend, name="membership", daemon=True)
            tending.start()
            ending.callback(tending.join)
            ending.callback(self._agenda.stop)
            self._workflows = DurableWorkflows(
                self._database,
                self._work,
                agenda=self._agenda,
                worker=self._membership.name,
                claim=self._membership.take,
            )
            ending.callback(self._end)
            self._begin()
            log.info("the worker is ready")
            heartbeat_s = 0.0
            while not stop():
                if self._superseded is not None:
                    raise self._superseded
                self._reconcile_patiently()
                if time.monotonic() > heartbeat_s:
                    os.utime(run_file(self._home, self._name))
                    heartbeat_s = time.monotonic() + _HEARTBEAT_EVERY_S
                self._news.wait(_RECONCILE_EVERY_S)
                self._news.clear()

    def _begin(self) -> None:
        """Begin where the last worker ended; until all is under way again, a replay's clock stands."""
        with self._agenda.appointment("beginning"):
            duties = self._take_duties()
            self._workflows.start()
            if not self._workflows.wait_until_begun(self._reconcile(), timeout_s=_RESUME_TIMEOUT_S):
                log.error("not all workflows go on after %g s; they are begun again", _RESUME_TIMEOUT_S)
            if duties is not None:
                duties.begin_watching()
            announce(self._home, self._name)

    def _take_duties(self) -> Duties | None:
        """Take the duties if nobody has them; a worker that must be the only one refuses to be without."""
        self._duties_again_s = time.monotonic() + _DUTIES_AGAIN_S
        if not self._take_claim():
            if self._is_alone:
                raise Conflict("another worker of this project runs; several need [stores] workflows in PostgreSQL")
            return None
        try:
            duties = Duties(self._with_claims(DUTIES), self._agenda, requested=self._see_begun)
        except Conflict:
            if self._is_alone:
                raise
            log.warning("the duties are free, but another process still writes online features; trying again")
            return None
        try:
            duties.begin_carrying()
        except BaseException:
            duties.end()
            raise
        self._duties = duties
        log.info("this worker has the duties: it carries, watches, and follows the calendar")
        return duties

    def _tend(self) -> None:
        """Show that this worker lives, whatever else keeps it busy, until the agenda is stopped."""
        with suppress(Stopping):
            while True:
                try:
                    self._membership.tend()
                except Superseded as error:
                    self._superseded = error
                    self._news.set()
                    return
                except OctavoError as error:
                    log.error("cannot see who works: %s", error.message)
                except Exception:  # the edge of a thread that must not die
                    log.exception("cannot see who works")
                self._agenda.pause(_TEND_EVERY_S)

    def _end(self) -> None:
        withdraw(self._home, self._name)
        self._agenda.stop()
        self._workflows.stop()
        if self._duties is not None:
            self._duties.end()

    def _take_claim(self) -> bool:
        """Take the claim of the duties; who must be the only worker waits until who has it would be seen to be dead.

        Such is a worker from before the machine was started anew: no process or lock tells what became of it.
        """
        deadline_s = time.monotonic() + self._dead_after_s + _SEEN_WITHIN_S
        while not (taken := self._membership.take(DUTIES)):
            if not self._is_alone or time.monotonic() > deadline_s:
                break
            self._agenda.pause(_TEND_EVERY_S)
        return taken

    def _leave(self) -> None:
        """Give back what this worker has claimed; if that cannot be told to anybody, others will find out."""
        try:
            self._membership.leave()
        except OctavoError as error:
            log.error("cannot give back what this worker has: %s", error.message)
            self._membership.abandon()

    def _with_claims(self, subject: str | None) -> Context:
        """The context for one piece of work, or for that of each thread: without its claim nothing is changed."""
        stores = self._plain.stores
        return replace(
            self._plain,
            stores=replace(stores, metadata=self._membership.claimed(stores.metadata, subject=subject)),
        )

    def _ship(self) -> None:
        """Have all brought into the tables that was accepted before this call."""
        if self._duties is not None:
            self._duties.ship()
        else:
            wait_until_shipped(self._plain)

    def _see_begun(self, record_ids: Collection[str]) -> None:
        """Have work begun that was just recorded, and wait for that, so that its own appointment bounds the clock."""
        if record_ids:
            self._news.set()
        if record_ids and self._context.clock.is_replay:
            self._workflows.wait_until_begun(record_ids, timeout_s=_RESUME_TIMEOUT_S)

    def _reconcile_patiently(self) -> None:
        try:
            self._reconcile()
            is_due = self._duties is None and time.monotonic() > self._duties_again_s
            if is_due and (taken := self._take_duties()):
                taken.begin_watching()
        except OctavoError as error:
            log.error("cannot see what is to be done: %s", error.message)
            time.sleep(_RECONCILE_EVERY_S)

    def _reconcile(self) -> list[str]:
        """Begin what the metadata ask for and nobody does, and publish what they say and is not published.

        Returns
        -------
        list of str
            Ids of the records whose workflows are to be under way here.
        """
        with self._plain.transaction() as tx:
            states, composites = tx.find(DeploymentState), tx.find(CompositeState)
            aliases = tx.find(ModelAliases)
            releases = [tx.get(Release, state.release) for state in states if state.release]
            experiments = [tx.get(StartedExperiment, state.experiment) for state in states if state.experiment]
            requested, running = (tx.find(Run, status=status) for status in UNDER_WAY)
            self._releases.see(tx)
            elsewhere = self._elsewhere(tx, [*requested, *running, *(r for r in releases if r is not None)])
        project = self._context.project
        requested, running = ([r for r in runs if r.id not in elsewhere] for runs in (requested, running))
        work = [(TRAIN, run.id) for run in requested if run.model in project.models]
        work += [(TRAIN, run.id) for run in running if run.model in project.models and self._is_ours(run)]
        for state, release in zip((one for one in states if one.release), releases, strict=True):
            if release is None or release.deployment not in project.deployments or release.id in elsewhere:
                continue
            if is_going(release, state):
                work.append((RELEASE, release.id))
        ours = [record_id for workflow, record_id in work if self._workflows.begin(workflow, record_id)]
        for state in states:
            self._publish(state)
        for experiment in experiments:
            if experiment is not None and experiment.deployment in project.deployments and self._duties is not None:
                self._duties.look_at_experiment(experiment)
        for composite in composites:
            if composite.sequence > self._published.get(composite.composite, 0):
                self._published[composite.composite] = publish_composite(self._context, composite.composite)
        for named in aliases:
            if named.sequence > self._published.get(f"{named.model}@", 0):
                self._published[f"{named.model}@"] = publish_aliases(self._context, named.model)
        return ours

    def _publish(self, state: DeploymentState) -> None:
        is_declared = state.deployment in self._context.project.deployments
        if is_declared and state.sequence > self._published.get(state.deployment, 0):
            self._published[state.deployment] = publish_current(self._context, state.deployment)

    def _elsewhere(self, tx: Transaction, records: list[Run | Release]) -> set[str]:
        """The ids of records that another worker works on."""
        me = self._membership.name
        return {record.id for record in records if is_claimed_elsewhere(tx, record.id, worker=me)}

    def _is_ours(self, run: Run) -> bool:
        """Whether a run that is under way is the worker's; one that nobody works on any more is recorded as failed."""
        if self._workflows.is_live(run.id) or self._workflows.knows(run.id):
            return True
        if self._duties is not None and not is_held(self._context.config.home, run.id):
            record_interrupted(self._context, run, error="its process ended before it was done; train again")
        return False
