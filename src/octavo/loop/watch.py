"""What happens at its times as long as the worker runs: looks at deployments, audits, trainings by the calendar."""

import logging
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from croniter import croniter

from octavo.clock import EPOCH
from octavo.definitions.deployments import Deployment
from octavo.definitions.derived import SQLSource
from octavo.definitions.models import Model
from octavo.definitions.triggers import Trigger, TriggerKind
from octavo.errors import OctavoError
from octavo.loop.agenda import Agenda, Appointment, Stopping
from octavo.loop.audits import audit_by_clock, interval
from octavo.loop.refreshes import refresh_alone
from octavo.loop.triggers import after_look, by_calendar
from octavo.monitoring.looks import look
from octavo.operations import Context
from octavo.training.runs import Run

log = logging.getLogger(__name__)


class Watch:
    """Looks at each deployment at the times of its monitor, audits it, retrains by the calendar; each in a thread.

    Parameters
    ----------
    ship : callable
        Brings all that was recorded up to now into the tables.
    requested : callable
        Told of the ids of runs that were requested; returns when the clock may go on.
    """

    def __init__(
        self,
        context: Context,
        agenda: Agenda,
        *,
        ship: Callable[[], None],
        requested: Callable[[Collection[str]], None],
    ) -> None:
        self._context = context
        self._agenda = agenda
        self._ship = ship
        self._requested = requested
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, with the looks that were due last: the process before may have died over one.

        When it returns all appointments are made, so that a replay's clock passes none of them by.
        """
        for name, deployment in self._context.project.deployments.items():
            self._begin(f"monitor {name}", self._watch_deployment, deployment)
            if (every := interval(self._context)) is not None:
                self._begin(f"audit {name}", self._audit_deployment, name, every)
        for source in self._context.project.sources.values():
            if isinstance(source, SQLSource):
                self._begin(f"refresh {source.name}", self._refresh_source, source)
        for model in self._context.project.models.values():
            for trigger in model.retrain:
                if trigger.kind is TriggerKind.CRON:
                    self._begin(f"calendar {model.name}", self._follow_calendar, model, trigger)

    def join(self, *, timeout_s: float) -> None:
        """Wait for what is under way, once the agenda is stopped."""
        for thread in self._threads:
            thread.join(timeout_s)

    def look(self, deployment: Deployment, *, at: datetime) -> list[Run]:
        """Look at a deployment, and request the retrainings that follow."""
        self._ship()
        look(self._context, deployment, at=at)
        return after_look(self._context, deployment, at=at)

    def _watch_deployment(self, appointment: Appointment, deployment: Deployment) -> None:
        every = timedelta(seconds=deployment.monitor.every_s)
        moment = on_grid(self._context.clock.now(), every)
        while True:
            appointment.wait_until(moment)
            self._do(f"look at {deployment.name}", partial(self.look, deployment, at=moment))
            moment = max(moment + every, on_grid(self._context.clock.now(), every))

    def _audit_deployment(self, appointment: Appointment, name: str, every: timedelta) -> None:
        moment = on_grid(self._context.clock.now(), every)
        while True:
            appointment.wait_until(moment)
            self._do(f"audit {name}", partial(self._audit, name, at=moment, every=every))
            moment = max(moment + every, on_grid(self._context.clock.now(), every))

    def _audit(self, name: str, *, at: datetime, every: timedelta) -> list[Run]:
        """Audit the features of a deployment; this by itself retrains nothing."""
        self._ship()
        audit_by_clock(self._context, name, at=at, every=every)
        return []

    def _refresh_source(self, appointment: Appointment, source: SQLSource) -> None:
        every = timedelta(seconds=source.every_s)
        moment = on_grid(self._context.clock.now(), every)
        while True:
            appointment.wait_until(moment)
            self._do(f"refresh {source.name}", partial(self._refresh, source))
            moment = max(moment + every, on_grid(self._context.clock.now(), every))

    def _refresh(self, source: SQLSource) -> list[Run]:
        """Make the events of a source by its SQL; this by itself retrains nothing."""
        refresh_alone(self._context, source, ship=self._ship)
        return []

    def _follow_calendar(self, appointment: Appointment, model: Model, trigger: Trigger) -> None:
        moment = next_time(trigger, after=self._context.clock.now() - timedelta(microseconds=1))
        while True:
            appointment.wait_until(moment)
            self._do(f"train {model.name} by the calendar", partial(self._by_calendar, model, trigger))
            moment = next_time(trigger, after=self._context.clock.now())

    def _by_calendar(self, model: Model, trigger: Trigger) -> list[Run]:
        run = by_calendar(self._context, model, trigger)
        return [run] if run else []

    def _do(self, what: str, action: Callable[[], list[Run]]) -> None:
        """Do what is due; whatever fails, the next time comes."""
        try:
            self._requested([run.id for run in action()])
        except OctavoError as error:
            log.error("cannot %s: %s", what, error.message)
        except Exception:  # the edge of a thread that must not die
            log.exception("cannot %s", what)

    def _begin(self, name: str, run: Callable[..., None], *arguments: object) -> None:
        """Run something that keeps an appointment in a thread of its own, until the agenda is stopped."""
        made = self._agenda.appointment(name)

        def until_stopped() -> None:
            with made, suppress(Stopping):
                try:
                    run(made, *arguments)
                except Exception:  # a calendar that cannot be read stops nothing else
                    log.exception("%s has ended", name)

        thread = threading.Thread(target=until_stopped, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def on_grid(moment: datetime, every: timedelta) -> datetime:
    """The last multiple of an interval since 1970 that is not after a moment."""
    return moment - (moment - EPOCH) % every


def next_time(trigger: Trigger, *, after: datetime) -> datetime:
    """The first time of a calendar trigger after a moment.

    Of an hour that there is twice, as clocks go back, the second counts only for calendars of every hour or every few.
    """
    assert trigger.cron is not None, "a calendar trigger has a calendar"
    zone = ZoneInfo(trigger.zone)
    times = croniter(trigger.cron, after.astimezone(zone))
    is_hourly = trigger.cron.split()[1].startswith("*")
    while True:
        found: datetime = times.get_next(datetime)
        moment = found.astimezone(UTC)
        if is_hourly or not moment.astimezone(zone).fold:
            return moment.astimezone(after.tzinfo)
