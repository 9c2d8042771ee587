"""runs download and runs deliver: files of runs, and what could not be delivered when a run ended."""

import json as json_
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, plain, say
from octavo.cli.session import Session, open_session
from octavo.errors import InvalidRequest, NotFound
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.artifacts import (
    ArtifactEntry,
    GetRunArtifact,
    ListRunArtifacts,
    PutRunArtifact,
    RunArtifact,
)
from octavo.training.tracking.names import MOST_PARAMS_AT_ONCE, MOST_POINTS, check_artifact
from octavo.training.tracking.numbers import plain as json_value
from octavo.training.tracking.operations import EndRun, LoggedPoint, LogToRun, ShowRun


def download(
    run: Annotated[str, typer.Argument(metavar="ID", help="The run's id, or the end of it.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="A file or folder of it; all unless given.")] = "",
    to: Annotated[Path, typer.Option(help="The folder to write them to.")] = Path(),
    json: Json = False,
) -> None:
    """Fetch the files of a run, each verified by its digest; none that is there is overwritten.

    \b
    Examples:
      octavo runs download 7a6d40
      octavo runs download 7a6d40 plots --to /tmp/plots

    \b
    Next:
      octavo runs show ID
    """
    with open_session() as session:
        found: Run = session.call(ShowRun(run=run))
        entries: tuple[ArtifactEntry, ...] = session.call(ListRunArtifacts(run=found.id))
        wanted = [one.name for one in entries if not name or one.name == name or one.name.startswith(f"{name}/")]
        if not wanted:
            raise NotFound("file", name, [one.name for one in entries]) if name else NotFound("file of run", found.id)
        places = [place_of(to, one) for one in wanted]
        if taken := next((place for place in places if place.exists()), None):
            raise InvalidRequest(f"{taken} is there already", field="to", fix="name another folder with --to")
        for one, place in zip(wanted, places, strict=True):
            kept: RunArtifact = session.call(GetRunArtifact(run=found.id, name=one))
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                file.write(kept.data)
    if json:
        emit_json([str(place) for place in places])
        return
    for place in places:
        say(plain(place))


def place_of(to: Path, name: str) -> Path:
    """Where a file of a run is written, which is below a folder whatever the server says that it is called.

    Raises
    ------
    InvalidRequest
        If it would be elsewhere, by its name or by a link that is there.
    """
    place = to / check_artifact(name)
    if not place.parent.resolve().is_relative_to(to.resolve()):
        raise InvalidRequest(f"{place} leads out of {to}", field="to", fix="name another folder with --to")
    return place


def deliver(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Such as octavo-run-0198a3f2-...")],
    json: Json = False,
) -> None:
    """Deliver what a run had logged when its end came and Octavo could not be reached.

    What arrived before is not doubled. The folder stays; remove it when you have seen the run.

    \b
    Example:
      octavo runs deliver octavo-run-0198a3f2-7c11-7d3a-9c55-1f0e2b7a6d40

    \b
    Next:
      octavo runs show ID
    """
    left = _left(folder)
    with open_session() as session:
        _deliver(session, folder, left)
        found: Run = session.call(ShowRun(run=left["run"]))
    if json:
        emit_json(found)
        return
    there = f"{len(found.metrics)} metrics, {len(found.artifacts)} files"
    say(f"Run {plain(found.id)} has arrived: {found.status}, {there}.")


def _left(folder: Path) -> dict[str, Any]:
    try:
        left = json_.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{folder} holds no run.json that can be read: {error}", field="folder", fix="name the folder of a run"
        ) from error
    if not isinstance(left, dict) or not {"run", "params", "tags", "points", "end"} <= set(left):
        raise InvalidRequest(f"{folder / 'run.json'} is of nothing that a run left", field="folder", fix="name another")
    return left


def _deliver(session: Session, folder: Path, left: dict[str, Any]) -> None:
    run = left["run"]
    params, tags = list(left["params"].items()), list(left["tags"].items())
    for start in range(0, max(len(params), len(tags)), MOST_PARAMS_AT_ONCE):
        here = slice(start, start + MOST_PARAMS_AT_ONCE)
        session.call(LogToRun(run=run, params=dict(params[here]), tags=dict(tags[here])))
    points = [_point(point) for point in left["points"]]
    for start in range(0, len(points), MOST_POINTS):
        session.call(LogToRun(run=run, points=tuple(points[start : start + MOST_POINTS])))
    files = folder / "artifacts"
    for file in sorted(files.rglob("*")) if files.is_dir() else ():
        if file.is_file():
            name = file.relative_to(files).as_posix()
            session.call(PutRunArtifact(run=run, name=name, data=file.read_bytes()))
    end = left["end"]
    finished_at = datetime.fromisoformat(end["finished_at"])
    session.call(EndRun(run=run, status=RunStatus(end["status"]), error=end["error"], finished_at=finished_at))


def _point(point: dict[str, Any]) -> LoggedPoint:
    at = datetime.fromisoformat(point["at"])
    return LoggedPoint(name=point["name"], value=json_value(float(point["value"])), step=point["step"], at=at)
