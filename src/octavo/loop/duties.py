"""What one worker does for all: it writes online features, carries what is accepted, looks at the clock.

Two of these at once would double events, looks and trainings by the calendar. Trainings and releases are no duties:
each goes to whichever worker claims it.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial

from octavo.errors import Unavailable
from octavo.features.events.payloads import topic_of
from octavo.features.online.materialize import materialize, pending_views
from octavo.features.online.seen import shipped_ends
from octavo.loop.agenda import Agenda
from octavo.loop.bookkeeping import Bookkeeping, chores_of
from octavo.loop.carrier import Carrier
from octavo.loop.experiments import ExperimentWatch
from octavo.loop.predictor_logs import PredictorLogs
from octavo.loop.watch import Watch
from octavo.monitoring.messages import MessageWriter
from octavo.monitoring.outcomes import TOPIC as OUTCOMES
from octavo.monitoring.outcomes import WRITER as OUTCOMES_WRITER
from octavo.monitoring.prediction_log import TABLE as PREDICTIONS_TABLE
from octavo.monitoring.prediction_log import writer_of
from octavo.monitoring.publication import PredictionPublisher
from octavo.operations import Context
from octavo.release.experiments import StartedExperiment
from octavo.serving.fellows import predictor_folder
from octavo.serving.recorder import TOPIC as PREDICTIONS
from octavo.stores.open import join_workers, open_online, open_published, open_stream
from octavo.stores.partitions import ends
from octavo.stores.ports import EventStream, Tables

log = logging.getLogger(__name__)

DUTIES = "duties"
"""Under which name a worker claims them."""

_JOIN_S = 1.0
_SHIPPED_WITHIN_S, _POLL_S = 60.0, 0.05


class Duties:
    """The duties of one worker, from `begin_carrying` to `end`.

    Parameters
    ----------
    context : Context
        Its metadata refuse what is done once another worker has the duties. Its online store is not for writing.
    requested : callable
        Told of the ids of runs that were requested; returns when the clock may go on.

    Raises
    ------
    Conflict
        If another process writes online features.
    """

    def __init__(self, context: Context, agenda: Agenda, *, requested: Callable[[Collection[str]], None]) -> None:
        config = context.config
        context.stores.online.close()  # one process has a local store open once
        with ExitStack() as opened:
            online = open_online(config)
            opened.callback(online.close)
            self._context = context = replace(context, stores=replace(context.stores, online=online))
            shipping = open_stream(config)
            opened.callback(shipping.close)
            records, published = PredictorLogs(config.home), PredictorLogs(config.home)
            opened.callback(records.close)
            opened.callback(published.close)
            group = join_workers(config, [topic_of(source) for source in context.project.sources])
            if group is not None:
                opened.callback(group.close)
            publisher = publisher_of(context, records=published.all)
            self._carrier = Carrier(context, shipping=shipping, records=records.all, group=group, publisher=publisher)
            self.ship = self._carrier.ship_all
            self._watch = Watch(context, agenda, ship=self.ship, requested=requested)
            self._experiments = ExperimentWatch(context)
            self._bookkeeping = Bookkeeping(chores_of(context))
            self._held = opened.pop_all()

    def begin_carrying(self) -> None:
        """Begin with what others wait for."""
        pending = pending_views(self._context.stores.online, self._context.project)
        if pending:
            log.info("materializing %s", ", ".join(view.name for view in pending))
            materialize(self._context.stores, pending, clock=self._context.clock)
        self._carrier.start()

    def begin_watching(self) -> None:
        """Begin with what happens by the clock."""
        self._watch.start()
        self._bookkeeping.start()

    def look_at_experiment(self, experiment: StartedExperiment) -> None:
        """See to an experiment that predictors may not have taken up."""
        self._experiments.look(experiment)

    def end(self) -> None:
        """End, once the agenda is stopped; another worker may take over then."""
        self._watch.join(timeout_s=_JOIN_S)
        self._bookkeeping.stop(timeout_s=_JOIN_S)
        self._carrier.stop()
        self._held.close()


def wait_until_shipped(context: Context) -> None:
    """Wait until the worker that has the duties has brought all into the tables that was accepted before this call.

    Raises
    ------
    Unavailable
        If it has not done so within a minute.
    """
    deadline_s, logs = time.monotonic() + _SHIPPED_WITHIN_S, PredictorLogs(context.config.home)
    with closing(logs):
        accepted = _accepted(context, logs.all())
    while behind := [what for what, is_shipped in accepted if not is_shipped()]:
        if time.monotonic() > deadline_s:
            raise Unavailable(
                f"{behind[0]} are not in the tables after {_SHIPPED_WITHIN_S:g} s; "
                "the worker that carries them may be gone"
            )
        time.sleep(_POLL_S)


def _accepted(context: Context, records: Mapping[int, EventStream]) -> list[tuple[str, Callable[[], bool]]]:
    """What is accepted by now, and how to see whether all of it is in a table."""
    stream, tables = context.stores.stream, context.stores.tables
    accepted: list[tuple[str, Callable[[], bool]]] = []
    for source in context.project.sources:
        wanted = ends(stream, topic_of(source))
        accepted.append((f"events of {source!r}", partial(_reaches, tables, source, wanted)))
    shippers = [("outcomes", OUTCOMES, OUTCOMES_WRITER, stream.end(OUTCOMES))]
    shippers += [("predictions", PREDICTIONS_TABLE, writer_of(n), log.end(PREDICTIONS)) for n, log in records.items()]
    for what, table, writer, end in shippers:
        accepted.append((what, partial(_has_written, tables, table, writer, end)))
    return accepted


def _reaches(tables: Tables, source: str, wanted: tuple[int, ...]) -> bool:
    shipped = shipped_ends(tables, source, partitions=len(wanted))
    return all(at >= end for at, end in zip(shipped, wanted, strict=True))


def _has_written(tables: Tables, table: str, writer: str, end: int) -> bool:
    return max(tables.written(table, writer), 0) >= end


def publisher_of(context: Context, *, records: Callable[[], Mapping[int, EventStream]]) -> PredictionPublisher | None:
    """What sends predictions to the topic that the settings name; None if they name none."""
    topic = open_published(context.config)
    if topic is None:
        return None
    folder = predictor_folder(context.config.home)
    return PredictionPublisher(topic, records=records, folder=folder, write=MessageWriter(context.stores).write)
