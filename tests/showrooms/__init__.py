"""A project in memory in which something of everything has happened, for tests of the pages and of the API."""

from dataclasses import dataclass
from pathlib import Path

from octavo.clock import ManualClock
from octavo.config import Config, ProjectSettings
from octavo.operations import SYSTEM, Context
from octavo.release.releases import DeploymentState
from octavo.stores.ports import Stores
from tests.plants import memory_stores
from tests.showrooms.admitted import admitted
from tests.showrooms.answered import record_predictions, send_events
from tests.showrooms.composed import composites
from tests.showrooms.declared import arrival_delay, arrives_late, make_project
from tests.showrooms.experimented import experiments
from tests.showrooms.moments import HOSTILE, NOW, incident_id, made_id, prediction_id, run_id
from tests.showrooms.releases import ROC, audit, metric_points, releases, runs
from tests.showrooms.versions import versions
from tests.showrooms.watched import audits, incidents, looks

__all__ = ["HOSTILE", "NOW", "Showroom", "empty_showroom", "full_showroom", "incident_id", "prediction_id", "run_id"]


@dataclass(frozen=True, kw_only=True)
class Showroom:
    """The project with its stores; `text` stands wherever a person's or a caller's words do."""

    context: Context
    text: str

    @property
    def stores(self) -> Stores:
        return self.context.stores


def empty_showroom(root: Path) -> Showroom:
    """The project as it is declared, with nothing in force."""
    return Showroom(context=_context(root), text="")


def full_showroom(root: Path, *, text: str = "storms over the north-east") -> Showroom:
    """The project after some weeks."""
    room = Showroom(context=_context(root), text=text)
    regressions = versions(room.stores.artifacts, arrival_delay, text)
    made = [*regressions, *versions(room.stores.artifacts, arrives_late, text)]
    for data in (ROC, text.encode()):
        room.stores.artifacts.put(data)
    with room.stores.metadata.transaction() as tx:
        tx.append_points(metric_points())
        for record in (
            *made,
            *runs(text),
            *releases(text),
            *experiments(text),
            *incidents(text),
            *looks(text),
            *audits(text),
            *admitted(text),
            *composites(text),
        ):
            tx.add(record)
        tx.add(
            DeploymentState(deployment="eta", model="arrival_delay", live=2, previous=1, release=made_id(5), sequence=7)
        )
        tx.add(
            DeploymentState(
                deployment="late", model="arrives_late", live=1, release=made_id(8), sequence=1, experiment=made_id(21)
            )
        )
        tx.add(DeploymentState(deployment="spare", model="arrives_late"))
        for event in audit(text):
            tx.append_audit(event)
    record_predictions(room.stores, {v.version: v.digest for v in regressions}, text)
    send_events(room.stores, text)
    return room


def _context(root: Path) -> Context:
    config = Config(root=root, project=ProjectSettings(name="flights"))
    return Context(
        config=config, clock=ManualClock(NOW), stores=memory_stores(), project=make_project(), principal=SYSTEM
    )
