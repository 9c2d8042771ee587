"""Skew: predictions that were given other values than the events say, so that training and serving differ.

Late data and changed code are in the nature of things, and only remarked on; a store that is wrong is not.
"""

from datetime import datetime, timedelta

from octavo.definitions.types import seconds
from octavo.features.audit.reasons import ALARMING, FeatureAudit, Reason
from octavo.monitoring.audits import FeaturesAudit, audit_features, audit_key, newest_audits
from octavo.monitoring.findings import Finding, Verdict
from octavo.monitoring.incidents import IncidentKind
from octavo.monitoring.lifecycle import Subject, follow
from octavo.monitoring.wording import percent
from octavo.operations import Context
from octavo.release.releases import DeploymentState
from octavo.stores.ports import Notice

_MOST_NAMED = 3
_REPAIR = "Stop the worker and build the online features anew: octavo materialize --force"
_STEADY = "See what an on-demand function goes by beside its inputs"


def audit_deployment(
    context: Context, deployment: str, *, at: datetime, since: datetime | None, limit: int
) -> FeaturesAudit:
    """Audit a deployment's features, keep what was found, and open or resolve its incident of skew.

    Idempotent: a second audit at the same moment is the first one. One at a moment before the newest audit is kept, but
    changes no incident. Without predictions nothing is kept.
    """
    with context.transaction() as tx:
        made = tx.get(FeaturesAudit, audit_key(deployment, at))
    if made is not None:
        return made
    lag = timedelta(seconds=seconds(context.config.audit.lag, what="[audit] lag"))
    audit = audit_features(context, deployment, at=at, since=since, limit=limit, lag=lag)
    return _keep(context, audit) if audit.versions else audit


def judge_skew(audit: FeaturesAudit) -> Finding:
    """Whether values were served that the events do not explain; unknown if no prediction could be audited."""
    wrong = sorted((f for f in audit.features if f.wrong), key=lambda f: f.wrong / f.values, reverse=True)
    judged = f"{audit.values:,} values of {audit.predictions:,} predictions"
    verdict = Verdict.UNHEALTHY if wrong else Verdict.HEALTHY if audit.predictions else Verdict.UNKNOWN
    return Finding(
        kind=IncidentKind.SKEW,
        verdict=verdict,
        subject=wrong[0].name if wrong else "features",
        value=float(audit.wrong) if audit.predictions else None,
        threshold=0.0,
        summary=f"{audit.wrong:,} of {judged} are not what the events say",
        cause=_cause(audit, wrong) if wrong else "",
    )


def remarks_on(audit: FeaturesAudit, *, late: float) -> tuple[str, ...]:
    """What else is worth knowing, in words.

    Parameters
    ----------
    late : float
        Share of late values of one feature from which that is remarked on.
    """
    said = list(audit.problems)
    for feature in audit.features:
        share = feature.count(Reason.LATE_DATA) / feature.values if feature.values else 0.0
        if share > late:
            said.append(f"{feature.name}: {percent(share)} of its values lacked events that came late")
    if changed := [feature.name for feature in audit.features if feature.is_changed]:
        said.append(f"the project declares otherwise today: {', '.join(changed)}")
    if unread := audit.count(Reason.STORE_UNREACHABLE):
        said.append(f"{unread:,} values are defaults, because the online store could not be read")
    return tuple(said)


def _cause(audit: FeaturesAudit, wrong: list[FeatureAudit]) -> str:
    named = "; ".join(_described(feature) for feature in wrong[:_MOST_NAMED])
    more = f"; and {len(wrong) - _MOST_NAMED} features more" if len(wrong) > _MOST_NAMED else ""
    fixes = [_REPAIR] if audit.count(Reason.STORE_WRONG) else []
    fixes += [_STEADY] if audit.count(Reason.FUNCTION_UNSTEADY) else []
    return ". ".join([f"{named}{more}", *fixes])


def _described(feature: FeatureAudit) -> str:
    """``takings__spent_mean_24h, wrong in 3 of 1,000 values, as in prediction 0198…: served 12.5, recomputed 13``."""
    text = f"{feature.name}, wrong in {feature.wrong:,} of {feature.values:,} values"
    example = next((example for example in feature.examples if example.reason in ALARMING), None)
    if example is None:
        return text
    served, recomputed = (
        status if value is None else f"{value:.6g}"
        for value, status in (
            (example.served, example.served_status),
            (example.recomputed, example.recomputed_status),
        )
    )
    return f"{text}, as in prediction {example.prediction}: served {served}, recomputed {recomputed}"


def _keep(context: Context, audit: FeaturesAudit) -> FeaturesAudit:
    """Record an audit, with what follows from it; another process may have been faster."""
    notices: list[Notice] = []
    with context.transaction() as tx:
        made = tx.get(FeaturesAudit, audit.key)
        if made is not None:
            return made
        before = newest_audits(tx, audit.deployment, limit=1)
        tx.add(audit)
        if not before or before[0].at < audit.at:
            state = tx.get(DeploymentState, audit.deployment)
            version = state.live if state is not None and state.live is not None else audit.versions[-1]
            subject = Subject(deployment=audit.deployment, model=audit.model, version=version, at=audit.at)
            notices = follow(tx, [judge_skew(audit)], subject, clock=context.clock)
    for notice in notices:
        context.stores.notifier.send(notice)
    return audit
