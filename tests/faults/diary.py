"""A child that keeps a diary in all stores, in as many lives as there are calls at which it can be struck.

Run under strace, which strikes at the `STRUCK`-th call of a kind that a process makes: life number n makes so many
idle calls first that the n-th of its own is the one. What was kept it tells its parent, which writes it down.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from octavo.errors import OctavoError
from octavo.stores.chain import AuditEvent
from octavo.stores.log import LocalLog
from octavo.stores.objects import ObjectArtifacts
from octavo.stores.sql import SqlMetadata
from octavo.training.runs import Run, RunStatus
from tests.showrooms.moments import NOW

STRUCK = 60
ENTRIES = 2
TOPIC = "outcomes"


def open_stores(place: Path) -> tuple[SqlMetadata, ObjectArtifacts, LocalLog]:
    """The stores of a life."""
    log = LocalLog(place / "log", sync=True)
    return SqlMetadata(f"sqlite:///{place / 'metadata.db'}"), ObjectArtifacts(place / "artifacts"), log


def text_of(number: int) -> bytes:
    """What an entry says."""
    return b"entry %d of the diary" % number


def entry(number: int, digest: str) -> Run:
    """The record of an entry."""
    return Run(
        id=f"018f0000-0000-7000-8000-{number:012d}",
        model="",
        status=RunStatus.SUCCEEDED,
        trigger="user",
        as_of=NOW,
        started_at=NOW,
        name=f"entry {number}",
        artifacts={"text": digest},
    )


def live(place: Path, tell: Callable[[str], None]) -> None:
    """Write one entry after the other; tell of each that was kept, and of each that was not."""
    try:
        metadata, artifacts, log = open_stores(place)
    except OctavoError as error:
        tell(f"refused to begin: {error.code}")
        return
    for number in range(ENTRIES):
        try:
            digest = artifacts.put(text_of(number))
            with metadata.transaction() as tx:
                tx.add(entry(number, digest))
                tx.append_audit(AuditEvent(at=NOW, actor="ada", operation="write", target=str(number), outcome="done"))
            tell(f"record {number}")
            log.publish(TOPIC, [text_of(number)])
            tell(f"message {number}")
        except OctavoError as error:
            tell(f"refused {number} {error.code}")


def idle_calls(kind: str, count: int, place: Path) -> None:
    """Make calls that change nothing."""
    idle = os.open(place / "idle", os.O_RDWR | os.O_CREAT)
    for _ in range(count):
        if kind == "pwrite64":
            os.pwrite(idle, b"x", 0)
        elif kind == "fdatasync":
            os.fdatasync(idle)
        elif kind == "fsync":
            os.fsync(idle)
        elif kind == "writev":
            os.writev(idle, [b"x"])
    os.close(idle)


def main(kind: str, template: Path, lives: Path) -> None:
    """Lives, until one is not struck any more."""
    for number in range(1, STRUCK):
        place = lives / f"{number:03d}"
        _copy(template, place)
        ear, mouth = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ear)
            idle_calls(kind, STRUCK - number, place)
            _live_and_end(place, mouth)
        os.close(mouth)
        with os.fdopen(ear) as heard:
            told = heard.read()
        os.waitpid(child, 0)
        (place / "told").write_text(told)
        if "the end" in told and "refused" not in told:
            return


def _live_and_end(place: Path, mouth: int) -> None:
    """Whatever happens, the life ends here, and does not go on as another parent."""
    try:
        live(place, lambda told: _say(mouth, told))
        _say(mouth, "the end")
    except BaseException as error:
        _say(mouth, f"failed {error!r}")
    finally:
        os._exit(0)


def _say(mouth: int, told: str) -> None:
    os.write(mouth, f"{told}\n".encode())  # by another call than those that are struck


def _copy(template: Path, place: Path) -> None:
    place.mkdir()
    for name in ("metadata.db",):
        (place / name).write_bytes((template / name).read_bytes())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
