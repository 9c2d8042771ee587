"""A release as a durable workflow: verified, approved, shadow, canary, live, or back again.

Each turn decides by the records and the evidence of the moment, publishes what follows, waits until predictors serve by
it, and then until the release is to be looked at again. Under a replay the clock stands from the decision until
predictors serve by it.
"""

import logging
import time
from collections.abc import Callable

from octavo.errors import NotFound
from octavo.loop.agenda import Agenda, Appointment
from octavo.loop.durable import Execution
from octavo.loop.retrainings import tell
from octavo.operations import Context
from octavo.processes import PREDICTOR, find_running
from octavo.registry.registration import verify_version
from octavo.registry.versions import ModelVersion
from octavo.release import lifecycle
from octavo.release.acknowledgement import acknowledgement
from octavo.release.guards import ArmStatistics, Verdict, judge, measure
from octavo.release.publish import publish_current
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.release.rollout import Evidence, entered_at, look_again_at
from octavo.stores.ports import Notice

log = logging.getLogger(__name__)

REFUSED_AFTER_S = 5.0
"""A predictor that complains for so long will not come round: it tries again every few seconds by itself."""

_HOLD_CLOCK_S = 30.0
_LAST_WORD_S = 5.0
_FIRST_POLL_S, _LONGEST_POLL_S = 0.002, 0.1


class ReleaseWorkflow:
    """Takes releases through their stages.

    Parameters
    ----------
    ship : callable
        Brings all that was recorded up to now into the tables.
    """

    def __init__(self, context: Context, agenda: Agenda, *, ship: Callable[[], None]) -> None:
        self._context = context
        self._agenda = agenda
        self._ship = ship

    def run(self, execution: Execution) -> None:
        """Take one release on until it has ended, is live, or waits for a person."""
        while True:
            state = ReleaseState(execution.step("decide", lambda: self.decide(execution.id)))
            if state.has_traffic or state.is_final:
                state = ReleaseState(execution.step("serve", lambda: self._serve(execution)))
            if not state.in_progress or state is ReleaseState.WAITING_FOR_APPROVAL:
                return
            if state.has_traffic:
                execution.step("wait", lambda: self._wait(execution))

    def decide(self, release_id: str) -> str:
        """Take the step that is due, if one is; the state that the release is in then."""
        before = self._release(release_id)
        after = lifecycle.advance(self._context, release_id, evidence=self._evidence(before))
        self._tell(after, is_new=after.history != before.history)
        return after.state

    def _serve(self, execution: Execution) -> str:
        """Have predictors serve by what is decided; a release that they refuse ends."""
        release = self._release(execution.id)
        sequence = publish_current(self._context, release.deployment)
        refusal = self._refusal(release, sequence, execution.appointment)
        if not refusal:
            return lifecycle.note_served(self._context, release).state
        ended = lifecycle.refuse(self._context, release.id, reason=f"a predictor refuses it: {refusal}")
        self._tell(ended, is_new=True)
        publish_current(self._context, release.deployment)
        return ended.state

    def _wait(self, execution: Execution) -> str:
        release, now = self._release(execution.id), self._context.clock.now()
        rollout = self._context.project.deployment(release.deployment).rollout
        moment = look_again_at(release, rollout, now=now)
        if moment is not None:
            execution.appointment.wait_until(moment)
        return ""

    def _refusal(self, release: Release, sequence: int, appointment: Appointment) -> str:
        """Wait until the predictor serves by a manifest; why it will not, or empty.

        One that is not running is waited for. What has changed meanwhile, or has ended, is not waited for long.
        """
        config, began_s, pause_s = self._context.config, time.monotonic(), _FIRST_POLL_S
        complaining_since_s: float | None = None
        while not (said := acknowledgement(config, release.deployment, sequence=sequence)).is_applied:
            now_s = time.monotonic()
            if now_s - began_s > _LAST_WORD_S and self._has_moved_on(release):
                return ""
            complains = bool(said.complaint) and find_running(config.home, PREDICTOR) is not None
            complaining_since_s = (complaining_since_s or now_s) if complains else None
            if complaining_since_s is not None and now_s - complaining_since_s > REFUSED_AFTER_S:
                return said.complaint
            if now_s - began_s > _HOLD_CLOCK_S:
                appointment.let_go()
            self._agenda.pause(pause_s)
            pause_s = min(pause_s * 1.2, _LONGEST_POLL_S)
        appointment.move_to(self._context.clock.now())
        return ""

    def _has_moved_on(self, release: Release) -> bool:
        found = self._release(release.id)
        return found.state.is_final or (found.state, found.percent) != (release.state, release.percent)

    def _evidence(self, release: Release) -> Evidence:
        with self._context.transaction() as tx:
            state = lifecycle.deployment_state(tx, release.deployment)
            version = tx.get(ModelVersion, f"{release.model}/{release.version}")
        has_live = state.live is not None
        if release.state is ReleaseState.REQUESTED:
            missing = f"model version {release.model}/{release.version} is not in the registry"
            return Evidence(has_live=has_live, refusal=verify_version(self._context, version) if version else missing)
        if release.state not in (ReleaseState.SHADOW, ReleaseState.CANARY):
            return Evidence(has_live=has_live)
        verdict = self._verdict(release, state)
        return Evidence(has_live=has_live, complaint=verdict.complaint, summary=verdict.summary)

    def _verdict(self, release: Release, state: DeploymentState) -> Verdict:
        self._ship()
        found = measure(
            self._context.stores.tables,
            release.deployment,
            candidate=release.version,
            since=entered_at(release),
            until=self._context.clock.now(),
        )
        live = found.get(state.live or 0, ArmStatistics())
        candidate = found.get(release.version, ArmStatistics())
        return judge(live, candidate, is_shadow=release.state is ReleaseState.SHADOW)

    def _tell(self, release: Release, *, is_new: bool) -> None:
        """Tell of a release's last transition: the incident that it is about and, once, people if it went wrong."""
        if not release.history:
            return
        last = release.history[-1]
        share = f" at {last.percent} %" if last.state is ReleaseState.CANARY else ""
        text = f"version {release.version} in {release.deployment}: {last.state.replace('_', ' ')}{share}"
        with self._context.transaction() as tx:
            version = tx.get(ModelVersion, f"{release.model}/{release.version}")
        if version is not None:
            tell(self._context, model=release.model, run=version.run, text=f"{text} ({last.reason})")
        if is_new:
            log.info("%s %s (%s)", release.model, text, last.reason)
            if last.state in (ReleaseState.REJECTED, ReleaseState.ROLLED_BACK):
                notice = Notice(subject=f"{release.model} {text}", text=last.reason, at=last.at)
                self._context.stores.notifier.send(notice)

    def _release(self, release_id: str) -> Release:
        with self._context.transaction() as tx:
            release = tx.get(Release, release_id)
        if release is None:
            raise NotFound("release", release_id)
        return release
