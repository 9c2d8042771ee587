"""demo trips: real flights of 2013, from the first event to a retrained model that has taken over."""

import os
import signal
import time
import tomllib
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, NoReturn

import typer

from octavo.access import issue_login
from octavo.cli.demo.background import running_project
from octavo.cli.demo.display import Display, Step, Traffic
from octavo.cli.demo.driver import Driver
from octavo.cli.demo.folder import TEMPLATE, DemoFolder, Stage, opened
from octavo.cli.demo.journal import Journal
from octavo.cli.demo.news import News
from octavo.cli.demo.outcome import show_outcome
from octavo.cli.demo.plan import HISTORY_DAYS, REPLAY_DAYS, Plan
from octavo.cli.demo.recovery import recover
from octavo.cli.demo.setup import FirstVersion, ingest_history, materialize, put_into_force, train_and_release
from octavo.cli.demo.summary import Outcome, sum_up
from octavo.cli.demo.timeline import Moment, Timeline, load_flights
from octavo.cli.failures import INTERRUPTED
from octavo.cli.measures import number
from octavo.cli.options import Json
from octavo.cli.output import console, note
from octavo.cli.session import open_session
from octavo.client import Client
from octavo.config import FILE_NAME, Config, load_config
from octavo.loop.supervisor import RunningProject
from octavo.templates import template_files

_REFRESH_S = 0.2


def trips(
    folder: Annotated[
        Path,
        typer.Option("--folder", "-f", metavar="FOLDER", help="Where the demo lives; its project is written there."),
    ] = Path("demo") / TEMPLATE,
    exit: Annotated[bool, typer.Option("--exit", help="End after the summary; else the console stays open.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start clean, whatever was done before.")] = False,
    days: Annotated[
        int, typer.Option("--days", min=1, max=28, help="How many days of traffic to replay.")
    ] = REPLAY_DAYS,
    history_days: Annotated[
        int, typer.Option("--history-days", min=21, max=300, help="How many days before them to learn from.")
    ] = HISTORY_DAYS,
    json: Json = False,
) -> None:
    """Run the whole loop on the flights of 2013 from New York.

    It writes a project, ingests three months of flights and weather as events, trains and releases two models, starts
    the project's processes and replays the next weeks as live traffic over HTTP. What happens then happens by itself:
    the weather turns, an incident opens, the models are retrained and replaced. At the end the console stays open.

    Nothing is simulated but the clock. Interrupted, it goes on where it was when it is run again, or says why it starts
    clean. All of it is in one folder; to be rid of it, remove that.

    \b
    Examples:
      octavo demo trips
      octavo demo trips --exit --json

    \b
    Next:
      open the printed address
      octavo new trips my-project
    """
    signal.signal(signal.SIGTERM, _interrupt)
    demo = _Demo(Display(console), _plan(days=days, history_days=history_days))
    with opened(folder, demo.plan, fresh=fresh) as place:
        try:
            demo.run(place, stays_open=not exit, as_json=json)
        except KeyboardInterrupt as interrupt:
            note("interrupted; nothing of it is left running, and the same command goes on from here")
            raise typer.Exit(INTERRUPTED) from interrupt


class _Demo:
    """One run of the demo.

    Parameters
    ----------
    display : Display
    plan : Plan
    """

    def __init__(self, display: Display, plan: Plan) -> None:
        self.plan = plan
        self._display = display
        self._started_s = time.monotonic()

    def run(self, place: DemoFolder, *, stays_open: bool, as_json: bool) -> None:
        """All steps, from where the folder is."""
        self._display.say(f"The demo in {place.path} {place.origin}.")
        config = _with_free_ports(load_config(place.path.resolve()))
        with ExitStack() as until_the_end:
            with self._display.running():
                flights = load_flights(place.path)
                self._set_up(place, config, flights)
                running = self._start(config, until_the_end)
                self._train(place)
                self._replay(place, flights)
                console = f"{running.control.url}/login?token={issue_login(config.home)}"
                outcome = self._sum_up(place, console)
            show_outcome(outcome, config, as_json=as_json)
            if stays_open:
                _stay_open(console)

    def _set_up(self, place: DemoFolder, config: Config, flights: ModuleType) -> None:
        """Everything before the first process: definitions, history, features."""
        with self._display.step("Write the project and apply it") as step, open_session(config=config) as session:
            step.note = f"{put_into_force(session)} definitions in {place.path}"
        if not place.is_done(Stage.HISTORY):
            with self._display.step("Ingest the history") as step, open_session(config=config) as session:
                accepted = ingest_history(session, flights, self.plan)
                step.note = ", ".join(f"{rows:,} {source}" for source, rows in accepted.items())
                place.finish(Stage.HISTORY, history=sum(accepted.values()))
        if not place.is_done(Stage.FEATURES):
            with self._display.step("Materialize the features") as step:
                with open_session(config=config, writes_online=True) as session:
                    step.note = f"{materialize(session)} feature views"
                place.finish(Stage.FEATURES)

    def _start(self, config: Config, until_the_end: ExitStack) -> RunningProject:
        with self._display.step("Start control, worker and predictor") as step:
            running = until_the_end.enter_context(running_project(config))
            step.note = f"{running.control.url} and {running.predictor.url}"
        return running

    def _train(self, place: DemoFolder) -> None:
        if place.is_done(Stage.MODELS):
            return
        with self._display.step("Train, evaluate, pack, sign, release") as step, Client.here(place.path) as client:

            def tell(text: str) -> None:
                step.note = text

            versions = train_and_release(client, tell=tell)
            step.note = "; ".join(map(_brief, versions))
        place.finish(Stage.MODELS)

    def _replay(self, place: DemoFolder, flights: ModuleType) -> None:
        with self._display.step(f"Replay {self.plan.start:%d %B} to {self.plan.end:%d %B %Y} as live traffic") as step:
            timeline = Timeline(flights, self.plan)
            traffic = self._display.traffic = Traffic()
            with Client.here(place.path) as client, Journal(place.journal) as journal:
                deployments = [state["state"]["deployment"] for state in client.call("deployments.list")]
                recovered = recover(client, journal, deployments)
                watch = _Watch(self._display, traffic, step, journal=journal, plan=self.plan)
                with (
                    News(place.path, deployments, tell=self._display.happened),
                    Driver(place.path, deployments, recovered=recovered) as driver,
                ):
                    driver.drive(timeline.after(journal.at), journal, tell=watch.over)
                watch.refresh(self.plan.end)
                step.note = (
                    f"{traffic.predictions:,} predictions in {journal.requests:,} requests, {journal.failed:,} failed"
                )
        place.finish(Stage.REPLAY)

    def _sum_up(self, place: DemoFolder, console: str) -> Outcome:
        with (
            self._display.step("Compare with the models that were never retrained") as step,
            Client.here(place.path, timeout_s=300.0) as client,
            Journal(place.journal) as journal,
        ):
            outcome = sum_up(client, journal, self.plan, history=place.history, console=console)
            step.note = f"over {outcome.errors[0].rows:,} flights that have landed"
        seconds = round(time.monotonic() - self._started_s, 1)
        return replace(outcome, summary=replace(outcome.summary, seconds=seconds))


class _Watch:
    """Keeps the display up to date with the replay.

    Parameters
    ----------
    traffic : Traffic
    step : Step
    """

    def __init__(self, display: Display, traffic: Traffic, step: Step, *, journal: Journal, plan: Plan) -> None:
        self._display, self._traffic, self._step = display, traffic, step
        self._journal, self._plan = journal, plan
        self._day = (journal.at or plan.start).date()
        self._refresh_at_s = 0.0

    def over(self, moment: Moment) -> None:
        """A moment of the replay is over."""
        is_new_day = moment.at.date() != self._day
        if not is_new_day and time.monotonic() < self._refresh_at_s:
            return
        self.refresh(moment.at)
        if is_new_day:
            self._display.passed(self._day)
            self._day = moment.at.date()

    def refresh(self, now: datetime) -> None:
        """Show how things stand."""
        journal, traffic = self._journal, self._traffic
        self._refresh_at_s = time.monotonic() + _REFRESH_S
        self._step.fraction = (now - self._plan.start) / (self._plan.end - self._plan.start)
        traffic.now, traffic.predictions, traffic.failed = now, journal.predictions, journal.failed
        traffic.outcomes = journal.outcomes
        traffic.p50_ms, traffic.p99_ms = (journal.percentile_ms(q, recent=True) for q in (50, 99))


def _plan(*, days: int, history_days: int) -> Plan:
    """The plan that begins where the template's clock does."""
    settings = tomllib.loads(template_files(TEMPLATE, name=TEMPLATE)[FILE_NAME])
    start = datetime.fromisoformat(settings["clock"]["start"]).astimezone(UTC)
    return Plan(start=start, history_days=history_days, days=days)


def _with_free_ports(config: Config) -> Config:
    """Free ports, unless the environment says which: the demo's ports are nobody's bookmark, and may be taken."""
    control, predictor = config.control, config.predictor
    if "OCTAVO_CONTROL_PORT" not in os.environ:
        control = replace(control, port=0)
    if "OCTAVO_PREDICTOR_PORT" not in os.environ:
        predictor = replace(predictor, port=0, grpc_port=0)
    return replace(config, control=control, predictor=predictor)


def _brief(version: FirstVersion) -> str:
    best = min(version.baselines.values(), default=None)
    beside = f", the best guess {number(best)}" if best is not None else ""
    return f"{version.model} {version.metric} {number(version.value)}{beside}"


def _stay_open(console: str) -> None:
    note(f"\nThe console is open at {console}")
    note("[dim]Ctrl-C ends it.[/]")
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600.0)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
