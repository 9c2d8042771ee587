"""Whether a version that is released by itself still stands on what it was judged against.

What finishes while people take back or stop must not undo what they did, and what was compared with a version that is
live no more has not been compared.
"""

from datetime import datetime

from octavo.errors import Conflict
from octavo.release.releases import DeploymentState, Release, ReleaseState
from octavo.stores.ports import Transaction


def check_base(tx: Transaction, deployment: str, *, since: datetime, is_automatic: bool) -> None:
    """Refuse a release that follows from a training, if something has happened in the deployment since it began.

    Parameters
    ----------
    is_automatic : bool
        Whether no person asked for the training; then another version must not have become live either.

    Raises
    ------
    Conflict
        If the deployment is stopped, or if since then something was rolled back or another version has become live.
    """
    state = tx.get(DeploymentState, deployment)
    if state is None:
        return
    if state.stopped is not None:
        raise _refused(deployment, f"it is stopped ({state.stopped.reason})")
    for release in tx.find(Release, deployment=deployment):
        for step in release.history:
            if step.at <= since:
                continue
            if step.state is ReleaseState.ROLLED_BACK:
                raise _refused(deployment, f"version {release.version} was rolled back ({step.reason})")
            if step.state is ReleaseState.LIVE and is_automatic:
                raise _refused(deployment, f"version {release.version} has become live")


def _refused(deployment: str, why: str) -> Conflict:
    return Conflict(f"since the training began, {why}; whether to release it to {deployment!r} is a person's decision")
