"""Predictions that were made for a moment which was interrupted before it was noted in the journal."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from octavo.cli.demo.journal import Journal
from octavo.cli.demo.timeline import Moment
from octavo.client import Client

_ENTITIES = ("origin", "carrier", "dest", "tailnum")
_NEWEST = 200
_CARRIED_S, _LONGEST_WAIT_S, _POLL_S = 1.5, 30.0, 0.1
"""The worker brings the predictor's records into their table about twice a second."""


class Recovered:
    """What had been predicted at one moment.

    Parameters
    ----------
    at : datetime or None
    predictions : mapping of deployment to predictions as ``predictions.list`` answers them
    """

    def __init__(self, at: datetime | None, predictions: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._at = at
        self._predictions = predictions

    def of(self, deployment: str, moment: Moment) -> dict[str, str]:
        """The predictions of a moment's flights that a deployment had made, by flight."""
        if moment.at != self._at:
            return {}
        unused = {row["id"]: row["entities"] for row in self._predictions.get(deployment, ())}
        found = {}
        for flight, request in moment.flights.items():
            entities = {name: request[name] for name in _ENTITIES}
            prediction = next((made for made, those in unused.items() if those == entities), None)
            if prediction is not None:
                del unused[prediction]
                found[flight] = prediction
        return found


NOTHING = Recovered(None, {})


def recover(client: Client, journal: Journal, deployments: Sequence[str]) -> Recovered:
    """Look up what was predicted at the moment at which the clock stands, if the journal ends before it."""
    now = datetime.fromisoformat(client.read_clock()["now"])
    if journal.at is None or now <= journal.at:
        return NOTHING
    _wait_until_carried(client, journal, deployments)
    return Recovered(now, {deployment: _predicted(client, deployment, at=now) for deployment in deployments})


def _wait_until_carried(client: Client, journal: Journal, deployments: Sequence[str]) -> None:
    """Wait until the predictions that were noted last are in their table, and then for what may follow them."""
    noted, deadline_s = set(journal.newest_predictions), time.monotonic() + _LONGEST_WAIT_S
    while time.monotonic() < deadline_s:
        if noted <= {row["id"] for deployment in deployments for row in _newest(client, deployment)}:
            break
        time.sleep(_POLL_S)
    time.sleep(_CARRIED_S)


def _predicted(client: Client, deployment: str, *, at: datetime) -> list[Mapping[str, Any]]:
    return [row for row in _newest(client, deployment) if datetime.fromisoformat(row["at"]) == at]


def _newest(client: Client, deployment: str) -> list[Mapping[str, Any]]:
    newest: list[Mapping[str, Any]] = client.call("predictions.list", deployment=deployment, limit=_NEWEST)
    return newest
