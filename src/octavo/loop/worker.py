"""The worker: everything of the loop that happens by itself, in one process."""

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack

from octavo.errors import OctavoError
from octavo.features.events.payloads import topic_of
from octavo.features.online.materialize import materialize, pending_views
from octavo.loop.agenda import Agenda
from octavo.loop.carrier import Carrier
from octavo.loop.durable import DurableWorkflows
from octavo.loop.experiments import ExperimentWatch
from octavo.loop.predictor_logs import PredictorLogs
from octavo.loop.release_workflow import ReleaseWorkflow
from octavo.loop.training_workflow import TrainingWorkflow
from octavo.loop.trainings import UNDER_WAY, is_held, record_interrupted
from octavo.loop.watch import Watch
from octavo.monitoring.messages import MessageWriter
from octavo.monitoring.publication import PredictionPublisher
from octavo.operations import Context
from octavo.processes import WORKER, announce, run_file, withdraw
from octavo.release.aliases import ModelAliases, publish_aliases
from octavo.release.composites import CompositeState, publish_composite
from octavo.release.experiments import StartedExperiment
from octavo.release.publish import publish_current
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.serving.fellows import predictor_folder
from octavo.stores.open import join_workers, open_published, open_stream
from octavo.stores.ports import EventStream
from octavo.stores.urls import local_path
from octavo.training.runs import Run

log = logging.getLogger(__name__)

TRAIN, RELEASE = "train", "release"
_RECONCILE_EVERY_S = 0.1
_HEARTBEAT_EVERY_S = 1.0
_RESUME_TIMEOUT_S = 15.0
_JOIN_S = 1.0


class Worker:
    """Carries, watches, trains and releases, as the metadata and the definitions say.

    Parameters
    ----------
    context : Context
        Its online store is open for writing.
    """

    def __init__(self, context: Context) -> None:
        config = context.config
        self._context = context
        self._agenda = Agenda(context.clock)
        self._shipping = open_stream(config)
        self._records = PredictorLogs(config.home)
        self._group = join_workers(config, [topic_of(source) for source in context.project.sources])
        self._published_records = PredictorLogs(config.home)
        self._carrier = Carrier(
            context,
            shipping=self._shipping,
            records=self._records.all,
            group=self._group,
            publisher=publisher_of(context, records=self._published_records.all),
        )
        ship = self._carrier.ship_all
        releases = ReleaseWorkflow(context, self._agenda, ship=ship)
        trainings = TrainingWorkflow(context, self._agenda, ship=ship, released=self._see_begun)
        self._workflows = DurableWorkflows(
            local_path(config, "workflows", config.stores.workflows, prefix="sqlite:///"),
            {TRAIN: trainings.run, RELEASE: releases.run},
            agenda=self._agenda,
        )
        self._watch = Watch(context, self._agenda, ship=ship, requested=self._see_begun)
        self._experiments = ExperimentWatch(context)
        self._news = threading.Event()
        self._published: dict[str, int] = {}

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until `stop` says so; then nothing of it goes on."""
        with ExitStack() as ending:
            ending.callback(self._end)
            self._begin()
            log.info("the worker is ready")
            heartbeat_s = 0.0
            while not stop():
                self._reconcile_patiently()
                if time.monotonic() > heartbeat_s:
                    os.utime(run_file(self._context.config.home, WORKER))
                    heartbeat_s = time.monotonic() + _HEARTBEAT_EVERY_S
                self._news.wait(_RECONCILE_EVERY_S)
                self._news.clear()

    def _begin(self) -> None:
        """Begin where the last worker ended; until all is under way again, a replay's clock stands."""
        context = self._context
        with self._agenda.appointment("beginning"):
            pending = pending_views(context.stores.online, context.project)
            if pending:
                log.info("materializing %s", ", ".join(view.name for view in pending))
                materialize(context.stores, pending, clock=context.clock)
            self._carrier.start()
            self._workflows.start()
            if not self._workflows.wait_until_begun(self._reconcile(), timeout_s=_RESUME_TIMEOUT_S):
                log.error("not all workflows go on after %g s; they are begun again", _RESUME_TIMEOUT_S)
            self._watch.start()
            announce(context.config.home, WORKER)

    def _end(self) -> None:
        withdraw(self._context.config.home, WORKER)
        self._agenda.stop()
        self._watch.join(timeout_s=_JOIN_S)
        self._workflows.stop()
        self._carrier.stop()
        if self._group is not None:
            self._group.close()
        self._records.close()
        self._published_records.close()
        self._shipping.close()

    def _see_begun(self, record_ids: Collection[str]) -> None:
        """Have work begun that was just recorded, and wait for that, so that its own appointment bounds the clock."""
        if record_ids:
            self._news.set()
            self._workflows.wait_until_begun(record_ids, timeout_s=_RESUME_TIMEOUT_S)

    def _reconcile_patiently(self) -> None:
        try:
            self._reconcile()
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
        with self._context.transaction() as tx:
            states, composites = tx.find(DeploymentState), tx.find(CompositeState)
            aliases = tx.find(ModelAliases)
            releases = [tx.get(Release, state.release) for state in states if state.release]
            experiments = [tx.get(StartedExperiment, state.experiment) for state in states if state.experiment]
            requested, running = (tx.find(Run, status=status) for status in UNDER_WAY)
        project = self._context.project
        work = [(TRAIN, run.id) for run in requested if run.model in project.models]
        work += [(TRAIN, run.id) for run in running if run.model in project.models and self._is_ours(run)]
        work += [(RELEASE, r.id) for r in releases if r and r.deployment in project.deployments and _is_going(r)]
        for workflow, record_id in work:
            if not self._workflows.is_live(record_id):
                self._workflows.begin(workflow, record_id)
        for state in states:
            self._publish(state)
        for experiment in experiments:
            if experiment is not None and experiment.deployment in project.deployments:
                self._experiments.look(experiment)
        for composite in composites:
            if composite.sequence > self._published.get(composite.composite, 0):
                self._published[composite.composite] = publish_composite(self._context, composite.composite)
        for named in aliases:
            if named.sequence > self._published.get(f"{named.model}@", 0):
                self._published[f"{named.model}@"] = publish_aliases(self._context, named.model)
        return [record_id for _, record_id in work]

    def _publish(self, state: DeploymentState) -> None:
        is_declared = state.deployment in self._context.project.deployments
        if is_declared and state.sequence > self._published.get(state.deployment, 0):
            self._published[state.deployment] = publish_current(self._context, state.deployment)

    def _is_ours(self, run: Run) -> bool:
        """Whether a run that is under way is the worker's; one that nobody works on any more is recorded as failed."""
        if self._workflows.is_live(run.id) or self._workflows.knows(run.id):
            return True
        if not is_held(self._context.config.home, run.id):
            record_interrupted(self._context, run, error="its process ended before it was done; train again")
        return False


def publisher_of(context: Context, *, records: Callable[[], Mapping[int, EventStream]]) -> PredictionPublisher | None:
    """What sends predictions to the topic that the settings name; None if they name none."""
    topic = open_published(context.config)
    if topic is None:
        return None
    folder = predictor_folder(context.config.home)
    return PredictionPublisher(topic, records=records, folder=folder, write=MessageWriter(context.stores).write)


def _is_going(release: Release) -> bool:
    """Whether a release in progress waits for nobody."""
    return release.state is not ReleaseState.WAITING_FOR_APPROVAL
