"""What gates may ask of predictions that were served: the log and the audit of features, told to the registry."""

from datetime import datetime, timedelta

import numpy as np

from octavo.clock import EPOCH
from octavo.definitions.types import seconds
from octavo.errors import OctavoError
from octavo.loop.carrier import bring_events_into_tables
from octavo.monitoring.audits import FeaturesAudit, audit_features
from octavo.monitoring.matured import labels_of, outcomes_of
from octavo.monitoring.skew import judge_skew
from octavo.operations import Context
from octavo.registry.gates.served import Backtest, Replayed, SkewFound
from octavo.release.releases import DeploymentState


class ServedHere:
    """The predictions of one model in this project's tables. A `octavo.registry.gates.served.ServedLog`."""

    def __init__(self, context: Context, model: str) -> None:
        self._context = context
        self._model = model

    def skew(self, *, last: int) -> SkewFound:
        """Audit the newest predictions of each deployment of the model; keeps nothing and opens no incident."""
        deployments = self._live()
        if not deployments:
            return SkewFound(predictions=0, values=0, wrong=0, why="no deployment serves the model now")
        try:
            bring_events_into_tables(self._context)
            audits = [self._audit(deployment, last=last) for deployment in deployments]
        except OctavoError as error:
            return SkewFound(predictions=0, values=0, wrong=0, why=error.message)
        causes = [judge_skew(audit).cause for audit in audits if audit.wrong]
        problems = [problem for audit in audits for problem in audit.problems]
        predictions = sum(audit.predictions for audit in audits)
        return SkewFound(
            predictions=predictions,
            values=sum(audit.values for audit in audits),
            wrong=sum(audit.wrong for audit in audits),
            why=next(iter([*causes, *problems]), "" if predictions else "no prediction was recorded yet"),
        )

    def replay(self, digest: str, *, last: int) -> Replayed:
        """Have the version of a bundle answer the newest requests of the model again."""
        return self._replay(digest, since=EPOCH, last=last)

    def backtest(self, digest: str, *, since: datetime, last: int) -> Backtest:
        """Have it answer those from a moment on whose outcome is known."""
        found = self._replay(digest, since=since, last=last)
        known = outcomes_of(self._context.stores.tables, found.ids.tolist())
        order = np.argsort(found.ids.astype(str), kind="stable")  # ids are ordered by time
        chosen = np.array([place for place in order if found.ids[place] in known], np.intp)
        values = np.array([known[found.ids[place]] for place in chosen], np.float64)
        why = found.why or f"no outcome is known of what was asked since {since:%Y-%m-%d %H:%M}"
        return Backtest(
            labels=labels_of(values, self._context.project.model(self._model).label),
            given=found.given[chosen],
            answers=found.answers[chosen],
            why="" if len(chosen) else why,
        )

    def _replay(self, digest: str, *, since: datetime, last: int) -> Replayed:
        from octavo.monitoring.replaying import replay  # loads what compiles loops

        now = self._context.clock.now()
        try:
            return replay(self._context, self._model, digest=digest, since=since, until=now, last=last)
        except OctavoError as error:
            return Replayed(given=np.empty(0), answers=np.empty(0), why=error.message)

    def _audit(self, deployment: str, *, last: int) -> FeaturesAudit:
        lag = timedelta(seconds=seconds(self._context.config.audit.lag, what="[audit] lag"))
        now = self._context.clock.now()
        return audit_features(self._context, deployment, at=now, since=None, limit=last, lag=lag)

    def _live(self) -> list[str]:
        named = [name for name, one in self._context.project.deployments.items() if one.model.name == self._model]
        with self._context.transaction() as tx:
            states = [tx.get(DeploymentState, name) for name in named]
        return [state.deployment for state in states if state is not None and state.live is not None]
