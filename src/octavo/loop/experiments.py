"""Experiments under way: noted as served once the predictor serves by them, ended if it will not."""

import logging
import time

from octavo.loop.release_workflow import REFUSED_AFTER_S
from octavo.operations import Context
from octavo.processes import PREDICTOR, find_running
from octavo.release import experiment_lifecycle
from octavo.release.acknowledgement import acknowledgement
from octavo.release.experiments import StartedExperiment
from octavo.release.publish import publish_current

log = logging.getLogger(__name__)


class ExperimentWatch:
    """Sees to experiments that the predictor has not taken up yet."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._complaining_since_s: dict[str, float] = {}

    def look(self, experiment: StartedExperiment) -> None:
        """Look at one that runs."""
        if experiment.served_at is not None:
            return
        config = self._context.config
        said = acknowledgement(config, experiment.deployment, sequence=experiment.sequence)
        if said.is_applied:
            experiment_lifecycle.note_served(self._context, experiment.id)
        if not said.complaint or find_running(config.home, PREDICTOR) is None:
            self._complaining_since_s.pop(experiment.id, None)
            return
        since_s = self._complaining_since_s.setdefault(experiment.id, time.monotonic())
        if time.monotonic() - since_s > REFUSED_AFTER_S:
            self._end(experiment, reason=f"a predictor refuses it: {said.complaint}")

    def _end(self, experiment: StartedExperiment, *, reason: str) -> None:
        if experiment_lifecycle.refuse(self._context, experiment.id, reason=reason):
            log.error("experiment %s in %s ends: %s", experiment.name, experiment.deployment, reason)
            publish_current(self._context, experiment.deployment)
