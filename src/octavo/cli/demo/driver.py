"""Feeds a running project with live traffic as it once came, moment by moment, over HTTP.

At each time of decision: what has become known since is sent, the clock is moved on, the flights of the moment are
predicted by every deployment, and what the events say of earlier flights is sent as outcomes. A moment that is over is
noted in the journal. One that was interrupted is done again, which doubles nothing: events and outcomes are known by
their content, and predictions that were made already are looked up.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from octavo.cli.demo.journal import Entry, Journal
from octavo.cli.demo.recovery import Recovered
from octavo.cli.demo.timeline import Landing, Moment, Row
from octavo.client import Client
from octavo.clock import to_micros
from octavo.errors import OctavoError, Unavailable

_AT_ONCE = 4
_PATIENCE_S, _PAUSE_S, _TIMEOUT_S = 120.0, 0.1, 660.0

Message = tuple[str, object]
"""A path of the control process, and a body."""


@dataclass(slots=True)
class _Count:
    """What happens during one moment."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    requests: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0


class Driver:
    """Drives the project in a folder.

    Parameters
    ----------
    folder : Path
        Of a project that is up.
    deployments : sequence of str
        Each predicts every flight.
    recovered : Recovered
        Predictions of a moment that was interrupted.
    """

    def __init__(self, folder: Path, deployments: Sequence[str], *, recovered: Recovered) -> None:
        self._clients = [Client.here(folder, timeout_s=_TIMEOUT_S) for _ in range(_AT_ONCE)]
        self._controls = [client.control for client in self._clients]
        self._predictor = self._clients[0].predictor
        self._deployments = tuple(deployments)
        self._recovered = recovered

    def drive(self, moments: Iterable[Moment], journal: Journal, *, tell: Callable[[Moment], None]) -> None:
        """Live through moments; `tell` hears of each that is over.

        A request for a prediction that fails is counted and not sent again. Anything else that fails is counted, and
        sent again for two minutes.

        Raises
        ------
        OctavoError
            If a request is wrong, or the control process does not come back.
        """
        for moment in moments:
            journal.add(self._live_through(moment, journal))
            tell(moment)

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _live_through(self, moment: Moment, journal: Journal) -> Entry:
        count = _Count()
        self._deliver([(f"/events/{source}", {"rows": rows}) for source, rows in moment.events.items()], count)
        self._deliver([("/api/clock", {"to": moment.at})], count)
        landed = [landing for landing in moment.landings if landing.flight in journal.in_the_air]
        outcomes = _outcomes(landed, journal.in_the_air)
        self._deliver(outcomes, count, meanwhile=lambda: self._predict(moment, count))
        return Entry(
            at_us=to_micros(moment.at),
            events=sum(map(len, moment.events.values())),
            scored=count.ids,
            requests=count.requests,
            latencies_ms=count.latencies_ms,
            failed=count.failed,
            landed=[landing.flight for landing in landed],
        )

    def _predict(self, moment: Moment, count: _Count) -> None:
        """One request to each deployment, with all flights of the moment that it has not predicted yet."""
        for deployment in self._deployments:
            known = self._recovered.of(deployment, moment)
            for flight, prediction in known.items():
                count.ids.setdefault(flight, []).append(prediction)
            asked = {flight: row for flight, row in moment.flights.items() if flight not in known}
            if asked:
                for flight, prediction in zip(asked, self._ask(deployment, list(asked.values()), count), strict=False):
                    count.ids.setdefault(flight, []).append(prediction)

    def _ask(self, deployment: str, rows: list[Row], count: _Count) -> list[str]:
        """Ids of the predictions for rows; none if the request fails."""
        count.requests += 1
        started = time.perf_counter()
        try:
            answer = self._predictor.call("POST", f"/predict/{deployment}", {"rows": rows})
        except OctavoError:
            count.failed += 1
            self._wait_for_predictor()
            return []
        count.latencies_ms.append((time.perf_counter() - started) * 1000)
        return [prediction["id"] for prediction in answer["predictions"]]

    def _wait_for_predictor(self) -> None:
        """A second in which it starts again is an hour of the replay: the flights of that hour wait for it."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while not self._answers() and time.monotonic() < deadline_s:
            time.sleep(_PAUSE_S)

    def _answers(self) -> bool:
        try:
            self._predictor.call("GET", "/readyz")
        except OctavoError:
            return False
        return True

    def _deliver(
        self, messages: Sequence[Message], count: _Count, *, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Send messages to the control process, all at once, until each is accepted."""
        waiting, deadline_s = list(messages), time.monotonic() + _PATIENCE_S
        errors = self._exchange(waiting, meanwhile)
        while waiting := [message for message, error in zip(waiting, errors, strict=True) if error is not None]:
            count.failed += len(waiting)
            if time.monotonic() > deadline_s:
                raise next(error for error in errors if error is not None)
            time.sleep(_PAUSE_S)
            errors = self._exchange(waiting, lambda: None)

    def _exchange(self, messages: Sequence[Message], meanwhile: Callable[[], None]) -> list[Unavailable | None]:
        """Send each message on a connection of its own, then receive all answers; why each has none."""
        errors: list[Unavailable | None] = [None] * len(messages)
        for place, (path, body) in enumerate(messages):
            try:
                self._controls[place].send("POST", path, body)
            except Unavailable as error:
                errors[place] = error
        meanwhile()
        for place, found in enumerate(errors):
            if found is None:
                try:
                    self._controls[place].receive()
                except Unavailable as error:
                    errors[place] = error
        return errors


def _outcomes(landed: Sequence[Landing], predictions: dict[str, list[str]]) -> list[Message]:
    rows = [
        {"prediction": prediction, "value": landing.delay, "known_at": landing.known_at}
        for landing in landed
        for prediction in predictions[landing.flight]
    ]
    return [("/outcomes", {"rows": rows})] if rows else []
