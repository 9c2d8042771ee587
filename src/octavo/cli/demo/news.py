"""What happens to a project while it runs: incidents, trainings and releases, each told once."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from octavo.client import Client
from octavo.errors import OctavoError

_POLL_S = 0.5
_LIMIT = 50


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Item:
    """Something that happened, in a line."""

    at: datetime
    text: str


class News:
    """Asks a running project for what is new, twice a second, in a thread of its own.

    Parameters
    ----------
    folder : Path
    deployments : sequence of str
    tell : callable
        Hears of each item once, by its time and text, in that thread.
    """

    def __init__(self, folder: Path, deployments: Sequence[str], *, tell: Callable[[datetime, str], None]) -> None:
        self._folder = folder
        self._deployments = tuple(deployments)
        self._tell = tell
        self._told: set[Item] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="news", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        with Client.here(self._folder) as client:
            while True:
                ending = self._stop.wait(_POLL_S)
                try:
                    items = sorted(set(_items(client, self._deployments)) - self._told)
                except OctavoError:  # a process that is starting again; the next time tells it all
                    items = []
                for item in items:
                    self._told.add(item)
                    self._tell(item.at, item.text)
                if ending:
                    return


def _items(client: Client, deployments: Sequence[str]) -> Iterator[Item]:
    for incident in client.call("incidents.list", limit=_LIMIT):
        yield from _of_incident(incident)
    for run in client.call("runs.list", limit=_LIMIT):
        yield from _of_run(run)
    for deployment in deployments:
        for release in client.call("deployments.show", deployment=deployment)["releases"]:
            yield from _of_release(release)


def _of_incident(incident: dict[str, Any]) -> Iterator[Item]:
    what = f"{incident['incident_kind']} incident of {incident['deployment']}"
    yield Item(at=_time(incident["opened_at"]), text=f"! {what}: {incident['timeline'][0]['text'].partition(': ')[2]}")
    if incident["resolved_at"]:
        yield Item(at=_time(incident["resolved_at"]), text=f"✓ {what} resolved")


def _of_run(run: dict[str, Any]) -> Iterator[Item]:
    model = run["model"]
    if run["trigger"] != "user":
        yield Item(
            at=_time(run["as_of"]), text=f"↻ {model} is retrained for the {' '.join(run['trigger'].split()[:2])}"
        )
    if run["status"] == "failed":
        yield Item(at=_time(run["finished_at"]), text=f"! training of {model} failed: {run['error'].splitlines()[0]}")


def _of_release(release: dict[str, Any]) -> Iterator[Item]:
    version = f"{release['model']} {release['version']}"
    for step in release["history"]:
        if step["state"] in ("shadow", "canary", "live", "rejected", "rolled_back"):
            share = f" with {step['percent']} %" if step["state"] == "canary" else ""
            why = f": {step['reason']}" if step["state"] in ("rejected", "rolled_back") else ""
            text = f"▸ {version} is {step['state'].replace('_', ' ')}{share} in {release['deployment']}{why}"
            yield Item(at=_time(step["at"]), text=text)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
