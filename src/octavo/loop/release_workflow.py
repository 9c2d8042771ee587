"""A release as a durable workflow: verified, approved, shadow, canary, live, or back again.

Each turn decides by the records and the evidence of the moment, publishes what follows, waits until predictors serve by
it, and then until the release is to be looked at again. Under a replay the clock stands from the decision until
predictors serve by it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from octavo.loop.agenda import Agenda, Appointment
from octavo.loop.durable import Execution
from octavo.loop.retrainings import tell
from octavo.monitoring.stages import divided_outcomes, paired_outcomes
from octavo.operations import Context
from octavo.processes import PREDICTOR, find_running
from octavo.registry.registration import verify_version
from octavo.registry.versions import ModelVersion
from octavo.release import lifecycle
from octavo.release.acknowledgement import acknowledgement
from octavo.release.guards import ArmStatistics, Verdict, judge, measure, together
from octavo.release.outcomes import DividedOutcomes, PairedOutcomes, greatest_loss, judge_outcomes
from octavo.release.publish import publish_current
from octavo.release.releases import DeploymentState, Release, ReleaseState, is_frozen
from octavo.release.rollout import Evidence, entered_at, is_going, look_again_at
from octavo.stores.ports import Notice, Transaction

log = logging.getLogger(__name__)

REFUSED_AFTER_S = 5.0
"""A predictor that complains for so long will not come round: it tries again every few seconds by itself."""

_TOLD_TO_PEOPLE = (ReleaseState.WAITING_FOR_APPROVAL, ReleaseState.REJECTED, ReleaseState.ROLLED_BACK)
_HOLD_CLOCK_S = 30.0
_LAST_WORD_S = 5.0
_FIRST_POLL_S, _LONGEST_POLL_S = 0.002, 0.1


_Seen = tuple[object, ...]


class _Waiting(NamedTuple):
    """A release that waits for its next look, and what people could do about it, as it was when it began to wait."""

    appointment: Appointment
    seen: _Seen


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
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def run(self, execution: Execution) -> None:
        """Take one release on until it has ended, is live, or waits for a person without an end."""
        while True:
            decided = execution.step("decide", lambda: self.decide(execution.id))
            if not decided:
                return
            state = ReleaseState(decided)
            if state.has_traffic or state.is_final:
                state = ReleaseState(execution.step("serve", lambda: self._serve(execution)))
            if not state.in_progress:
                return
            if state.has_traffic or state is ReleaseState.WAITING_FOR_APPROVAL:
                execution.step("wait", lambda: self._wait(execution))

    def decide(self, release_id: str) -> str:
        """Take the step that is due, if one is; the state that the release is in then, or empty if it waits."""
        before = self._release(release_id)
        after = lifecycle.advance(self._context, release_id, evidence=self._evidence(before))
        self._tell(after, is_new=after.history != before.history)
        if after.state.in_progress and not self._is_going(after):
            return ""
        return after.state

    def see(self, tx: Transaction) -> None:
        """Look at once at releases that wait for their next look, if people have done something about them meanwhile.

        Also at those that they have brought to their end, which are no deployment's release in progress any more.
        """
        with self._lock:
            waiting = dict(self._waiting)
        for release_id, known in waiting.items():
            release = tx.get(Release, release_id)
            if release is not None and known.seen != _seen(release, lifecycle.deployment_state(tx, release.deployment)):
                known.appointment.wake()

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
        with self._context.transaction() as tx:
            state = lifecycle.deployment_state(tx, release.deployment)
        moment = look_again_at(release, rollout, now=now, is_frozen=is_frozen(release, state))
        if moment is not None:
            with self._waiting_as(execution, _seen(release, state)):
                execution.appointment.wait_until(moment)
        return ""

    @contextmanager
    def _waiting_as(self, execution: Execution, seen: _Seen) -> Iterator[None]:
        with self._lock:
            self._waiting[execution.id] = _Waiting(execution.appointment, seen)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.pop(execution.id, None)

    def _is_going(self, release: Release) -> bool:
        with self._context.transaction() as tx:
            state = lifecycle.deployment_state(tx, release.deployment)
        return is_going(release, state)

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
        guards = self._context.project.deployment(release.deployment).rollout.guards
        verdict = judge(live, candidate, is_shadow=release.state is ReleaseState.SHADOW, limits=guards)
        return together(verdict, self._outcomes(release, state))

    def _outcomes(self, release: Release, state: DeploymentState) -> Verdict:
        """What the guard on outcomes says."""
        declared = self._context.project.deployment(release.deployment)
        guards, label = declared.rollout.guards, declared.model.label
        if guards.worse is None or state.live is None:
            return Verdict(complaint="", summary="")
        with self._context.transaction() as tx:
            live = tx.get(ModelVersion, f"{state.model}/{state.live}")
        most = greatest_loss(label, live)
        if most is None:
            return Verdict(complaint="", summary="outcomes are not judged, since the live version has no mae or rmse")
        tables, versions = self._context.stores.tables, (release.version, state.live)
        period = (entered_at(release), self._context.clock.now())
        unit = state.rules.unit if state.rules else declared.unit
        found: PairedOutcomes | DividedOutcomes
        if release.state is ReleaseState.SHADOW:
            found = paired_outcomes(
                tables, release.deployment, versions=versions, period=period, label=label, unit=unit
            )
        else:
            share = release.percent / 100
            found = divided_outcomes(
                tables, release.deployment, versions=versions, period=period, label=label, unit=unit, share=share
            )
        return judge_outcomes(found, label=label, most=most, guards=guards, stages=declared.rollout.stages)

    def _tell(self, release: Release, *, is_new: bool) -> None:
        """Tell of a release's last transition: its incident and, once, people if it needs them or went wrong."""
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
            if last.state in _TOLD_TO_PEOPLE:
                notice = Notice(subject=f"{release.model} {text}", text=last.reason, at=last.at)
                self._context.stores.notifier.send(notice)

    def _release(self, release_id: str) -> Release:
        with self._context.transaction() as tx:
            return lifecycle.release_of(tx, release_id)


def _seen(release: Release, state: DeploymentState) -> _Seen:
    """What people do about a release changes this."""
    return release.state, release.percent, release.held, state.stopped is None
