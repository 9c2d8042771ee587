"""Who waits for which moment. Everything in the worker that happens at a time happens by an appointment.

Under a replay the appointments bound the clock: it stops at the earliest, and goes on when whoever had it has moved it
on or closed it. So what is due at a moment is done at that moment, however fast the replay runs. An appointment that is
made anew for a moment before the bound that was in force may be passed by; one that is moved on, or made while another
holds the clock, never is.
"""

import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Self

from octavo.clock import FAR_FUTURE_US, Clock, ReplayClock, to_micros

_TICK_S, _IDLE_TICK_S, _LIVELY_S = 0.0005, 0.005, 0.25
_LONGEST_NAP_S = 1.0


class Stopping(BaseException):
    """The agenda stops, so what was waited for will not come in this process.

    No `Exception`, so that a workflow which is waiting ends without an outcome, and goes on in the next process.
    """


class Appointment:
    """A moment for which someone waits; made by `Agenda.appointment`. Closed at the end of its ``with``."""

    def __init__(self, agenda: "Agenda", name: str, at_us: int) -> None:
        self.name = name
        self.at_us = at_us
        self.is_waiting = False
        self.has_come = threading.Event()
        self._agenda = agenda

    def wait_until(self, moment: datetime) -> None:
        """Wait for a moment; at once for one that has passed. From then on the clock stands, until the next call.

        Raises
        ------
        Stopping
            If the agenda is stopped before.
        """
        self._agenda.wait(self, to_micros(moment))

    def move_to(self, moment: datetime) -> None:
        """Let the clock go on up to a moment, without waiting for it."""
        self._agenda.move(self, to_micros(moment))

    def let_go(self) -> None:
        """Hold the clock no longer, until the next call of another method."""
        self._agenda.move(self, FAR_FUTURE_US)

    def wake(self) -> None:
        """Have whoever waits here go on now, before the moment has come."""
        self.has_come.set()

    def close(self) -> None:
        """End the appointment; nothing happens if it has ended."""
        self._agenda.close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Agenda:
    """All appointments of the worker; safe to use from several threads.

    Parameters
    ----------
    clock : Clock
        Under a replay this process must be the one that publishes its horizon.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._appointments: set[Appointment] = set()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="agenda", daemon=True)
        self._thread.start()

    @property
    def is_stopping(self) -> bool:
        return self._stopped.is_set()

    def appointment(self, name: str, *, at: datetime | None = None) -> Appointment:
        """Make an appointment: now, so that the clock stands from the first moment on, or at a later moment."""
        made = Appointment(self, name, to_micros(at) if at else self._clock.now_us())
        with self._changed:
            self._appointments.add(made)
            self._publish()
        return made

    def pause(self, seconds: float) -> None:
        """Wait for real time to pass.

        Raises
        ------
        Stopping
            If the agenda is stopped before or meanwhile.
        """
        if self._stopped.wait(seconds):
            raise Stopping

    def stop(self) -> None:
        """Wake all who wait, with `Stopping`; under a replay the clock goes no further than it was allowed to."""
        with self._changed:
            self._stopped.set()
            for appointment in self._appointments:
                appointment.has_come.set()
            self._changed.notify_all()
        self._thread.join()

    def wait(self, appointment: Appointment, moment_us: int) -> None:
        """See `Appointment.wait_until`."""
        with self._changed:
            appointment.has_come.clear()
            appointment.is_waiting = True
            self._move(appointment, moment_us)
        if self._clock.now_us() < moment_us and not self._stopped.is_set():
            appointment.has_come.wait()
        with self._changed:
            appointment.is_waiting = False
        if self._stopped.is_set():
            raise Stopping

    def move(self, appointment: Appointment, moment_us: int) -> None:
        """See `Appointment.move_to`."""
        with self._changed:
            self._move(appointment, moment_us)

    def close(self, appointment: Appointment) -> None:
        """See `Appointment.close`."""
        with self._changed:
            self._appointments.discard(appointment)
            self._publish()

    def _move(self, appointment: Appointment, moment_us: int) -> None:
        appointment.at_us = moment_us
        self._publish()
        self._changed.notify_all()

    def _publish(self) -> None:
        """Bound the clock, except once the agenda is stopping: what then closes is not done."""
        if isinstance(self._clock, ReplayClock) and not self._stopped.is_set():
            self._clock.set_horizon_us(min((a.at_us for a in self._appointments), default=FAR_FUTURE_US))

    def _keep(self) -> None:
        """Wake whoever's moment has come."""
        moved_at, seen_us = time.monotonic(), -1
        while not self._stopped.is_set():
            with self._changed:
                now_us = self._clock.now_us()
                waiting = [a for a in self._appointments if a.is_waiting and not a.has_come.is_set()]
                for appointment in waiting:
                    if appointment.at_us <= now_us:
                        appointment.has_come.set()
                if not waiting:
                    self._changed.wait()
                elif not self._clock.is_replay:
                    earliest_us = min(a.at_us for a in waiting)
                    self._changed.wait(min(max((earliest_us - now_us) / 1e6, 0.0), _LONGEST_NAP_S))
            if now_us != seen_us:
                moved_at, seen_us = time.monotonic(), now_us
            if self._clock.is_replay and waiting:
                time.sleep(_TICK_S if time.monotonic() - moved_at < _LIVELY_S else _IDLE_TICK_S)
