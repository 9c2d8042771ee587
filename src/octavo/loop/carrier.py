"""Carries what is accepted to where it is used: events into online states at once, and all records into tables.

Where a topic of the user's own is to have the predictions too, they are sent there beside all that, by a thread that
keeps nobody waiting.

Events are applied within a millisecond or so, because predictions and a replay's clock wait for them. Tables are
written less often, in larger pieces; whoever needs them to hold all that was accepted up to now asks for it by
`ship_all`.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from octavo.errors import Conflict, OctavoError, Unavailable
from octavo.features.events.dead_letters import ship_letters, topic_of_letters
from octavo.features.events.payloads import topic_of
from octavo.features.online.seen import shipped_ends
from octavo.monitoring.outcomes import TOPIC as OUTCOMES
from octavo.monitoring.outcomes import ship_outcomes
from octavo.monitoring.prediction_log import ship_predictions, writer_of
from octavo.monitoring.publication import PredictionPublisher
from octavo.operations import Context
from octavo.serving.recorder import TOPIC as PREDICTIONS
from octavo.stores.ownership import online_lock
from octavo.stores.partitions import ends
from octavo.stores.ports import ConsumerGroup, EventStream, Tables

if TYPE_CHECKING:
    from octavo.features.online.pump import Pump

log = logging.getLogger(__name__)

SHIP_EVERY_S = 0.5
_LIVELY_S, _SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 0.001, 0.02
_PAUSE_AFTER_FAILURE_S = 1.0
_WAIT_FOR_WORKER_S, _WAIT_POLL_S = 60.0, 0.05
_PUBLISH_WAIT_S, _PUBLISH_AT_END_S = 1.0, 3.0
_TELL_AGAIN_S = 60.0


class Carrier:
    """Carries the events, predictions and outcomes of a project. One process at a time may have one.

    Parameters
    ----------
    context : Context
        Its online store is open for writing.
    shipping : EventStream
        The same stream as the context's, opened again: each reads on from its own place.
    records : callable
        The logs of the predictor's workers, by their numbers; asked again each time, because workers may be added.
    group : ConsumerGroup or None
        Says which partitions of the sources are carried here; without one, all.
    publisher : PredictionPublisher or None
        Sends predictions to a topic; None if nobody asked for that.
    """

    def __init__(
        self,
        context: Context,
        *,
        shipping: EventStream,
        records: Callable[[], Mapping[int, EventStream]],
        group: ConsumerGroup | None = None,
        publisher: PredictionPublisher | None = None,
    ) -> None:
        from octavo.features.online.pump import Pump  # loads what compiles loops

        self._stream, self._shipping, self._records = context.stores.stream, shipping, records
        self._tables = context.stores.tables
        self._sources = tuple(context.project.sources)
        self._group, self._publisher = group, publisher
        self._applier = Pump(context.stores, context.project, context.clock, group=group)
        self._shipper = Pump(replace(context.stores, stream=shipping), context.project, context.clock, group=group)
        self._applied: dict[str, tuple[object, ...]] = {}
        self._shipped: dict[str, tuple[object, ...]] = {}
        self._apply_turn, self._ship_turn = threading.Lock(), threading.Lock()
        self._stop = threading.Event()
        self._threads = (
            threading.Thread(target=self._repeat, args=("apply", self._apply_steadily), name="apply", daemon=True),
            threading.Thread(target=self._repeat, args=("ship", self._ship_steadily), name="ship", daemon=True),
        )
        self._publishing = threading.Thread(
            target=self._repeat, args=("publish predictions", self._publish_steadily), name="publish", daemon=True
        )

    def start(self) -> None:
        """Carry from now on, in threads of its own, until `stop`."""
        for thread in self._threads:
            thread.start()
        if self._publisher is not None:
            self._publishing.start()

    def stop(self) -> None:
        """Stop carrying, once all that was accepted is in the tables; a store that is away keeps nobody waiting."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        try:
            self._ship_mine()
        except OctavoError as error:
            log.error("not all is in the tables: %s", error.message)
        if self._publisher is not None:
            self._publish_the_rest(self._publisher)

    def apply_all(self) -> int:
        """Bring all events that were published before this call into the online states; how many there were."""
        with self._apply_turn:
            return sum(self._apply(source) for source in self._sources)

    def ship_all(self) -> None:
        """Bring all that was accepted before this call into the tables.

        Raises
        ------
        Unavailable
            If another worker carries some partitions, and has not done so within a minute.
        """
        wanted = {} if self._group is None else {s: ends(self._stream, topic_of(s)) for s in self._sources}
        deadline_s = time.monotonic() + _WAIT_FOR_WORKER_S
        self._ship_mine()
        while behind := [source for source, end in wanted.items() if not _is_shipped(self._tables, source, end)]:
            if time.monotonic() > deadline_s:
                raise Unavailable(
                    f"another worker, which carries some partitions of {behind[0]!r}, has not brought them into their "
                    f"table within {_WAIT_FOR_WORKER_S:g} s; see whether it runs"
                )
            time.sleep(_WAIT_POLL_S)
            self._ship_mine()

    def _mine(self, topic: str) -> tuple[str, ...]:
        return () if self._group is None else self._group.mine(topic)

    def _ship_mine(self) -> None:
        """Bring all into the tables that is carried here."""
        self.apply_all()
        with self._ship_turn:
            for source in self._sources:
                self._ship(topic_of(source), self._shipping, partial(self._shipper.ship, source))
                if self._group is None or topic_of(source) in self._mine(topic_of(source)):
                    letters = partial(ship_letters, source, self._shipping, self._tables)
                    self._ship(topic_of_letters(source), self._shipping, letters)
            for number, records in self._records().items():
                ship = partial(ship_predictions, records, self._tables, writer=writer_of(number))
                self._ship(PREDICTIONS, records, ship, key=writer_of(number))
            self._ship(OUTCOMES, self._shipping, partial(ship_outcomes, self._shipping, self._tables))

    def _apply(self, source: str) -> int:
        reached = (*ends(self._stream, topic_of(source)), self._mine(topic_of(source)))
        if reached == self._applied.get(source):
            return 0
        applied = 0
        while events := self._applier.apply(source):
            applied += events
        self._applied[source] = reached
        return applied

    def _ship(self, topic: str, stream: EventStream, ship: Callable[[], int], *, key: str = "") -> None:
        """Ship a topic if more was published; the `key` tells topics of the same name apart."""
        reached = (*ends(stream, topic), self._mine(topic))
        if reached == self._shipped.get(key or topic):
            return
        while ship():
            pass
        self._shipped[key or topic] = reached

    def _apply_steadily(self) -> None:
        pause_s, busy_until = _SHORTEST_PAUSE_S, time.monotonic()
        while not self._stop.wait(pause_s):
            now = time.monotonic()
            if self.apply_all():
                busy_until = now + _LIVELY_S
            pause_s = _SHORTEST_PAUSE_S if now < busy_until else min(pause_s * 1.2, _LONGEST_PAUSE_S)

    def _ship_steadily(self) -> None:
        while not self._stop.wait(SHIP_EVERY_S):
            self._ship_mine()

    def _publish_steadily(self) -> None:
        assert self._publisher is not None, "this thread runs for one only"
        while not self._stop.wait(SHIP_EVERY_S):
            while not self._stop.is_set() and self._publisher.publish(wait_s=_PUBLISH_WAIT_S):
                pass

    def _publish_the_rest(self, publisher: PredictionPublisher) -> None:
        """Send what was recorded, for a bounded time: what is not sent now is so when a worker begins."""
        deadline_s = time.monotonic() + _PUBLISH_AT_END_S
        if self._publishing.is_alive():
            self._publishing.join(_PUBLISH_AT_END_S)
        if self._publishing.is_alive():
            return  # it waits for brokers that do not answer
        try:
            while (left_s := deadline_s - time.monotonic()) > 0 and publisher.publish(wait_s=left_s):
                pass
        except OctavoError as error:
            log.error("not all predictions are published; the next worker goes on: %s", error.message)
        publisher.close()

    def _repeat(self, what: str, run: Callable[[], None]) -> None:
        """Run until stopped, through whatever fails: what is away comes back. Until then it is told once a minute."""
        told, told_s = "", 0.0
        while not self._stop.is_set():
            try:
                run()
            except OctavoError as error:
                if error.message != told or time.monotonic() - told_s > _TELL_AGAIN_S:
                    log.error("cannot %s now: %s", what, error.message)
                    told, told_s = error.message, time.monotonic()
            except Exception:  # the edge of a thread that must not die
                log.exception("cannot %s now", what)
            self._stop.wait(_PAUSE_AFTER_FAILURE_S)


def bring_events_into_tables(context: Context) -> None:
    """See to it that the tables hold all events that were accepted before this call: here, or by the worker.

    Raises
    ------
    Conflict
        If no worker runs, and this process may not do it itself.
    Unavailable
        If the worker has not done so within a minute.
    """
    from octavo.features.online.pump import Pump  # loads what compiles loops

    pump = Pump(context.stores, context.project, context.clock)
    stores = context.stores
    wanted = {source: ends(stores.stream, topic_of(source)) for source in context.project.sources}
    deadline = time.monotonic() + _WAIT_FOR_WORKER_S
    while behind := [source for source, end in wanted.items() if not _is_shipped(stores.tables, source, end)]:
        try:
            _pump_all(pump, behind)
        except Conflict as error:
            if not online_lock(context.config).is_taken():
                raise Conflict("events wait to be brought into tables; start what does that: octavo up") from error
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the worker has not brought all events of {behind[0]!r} into their table within "
                    f"{_WAIT_FOR_WORKER_S:g} s; see .octavo/logs/worker.log"
                ) from error
            time.sleep(_WAIT_POLL_S)


def _is_shipped(tables: Tables, source: str, wanted: tuple[int, ...]) -> bool:
    shipped = shipped_ends(tables, source, partitions=len(wanted))
    return all(at >= end for at, end in zip(shipped, wanted, strict=True))


def _pump_all(pump: "Pump", sources: list[str]) -> None:
    for source in sources:
        while pump.apply(source):
            pass
        while pump.ship(source):
            pass
