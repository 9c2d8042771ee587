"""Who did what, and where everything is kept."""

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.showrooms import Showroom, empty_showroom, full_showroom

from octavo.config import StoreSettings
from octavo.errors import InvalidRequest, NotAllowed
from octavo.governance.operations import ListAudit, ShowSystem, operations
from octavo.governance.system import SystemDetails, without_password
from octavo.operations import SYSTEM, Dispatcher, Principal
from octavo.processes import announce
from octavo.serving.status import ModelStatus, PredictorStatus, write_atomically
from octavo.stores.ports import AuditEvent


def dispatcher(room: Showroom) -> Dispatcher:
    return Dispatcher(operations, room.context)


def test_the_audit_trail_is_listed_newest_first(tmp_path: Path) -> None:
    events: tuple[AuditEvent, ...] = dispatcher(full_showroom(tmp_path)).call(ListAudit(limit=2), SYSTEM)
    assert [event.operation for event in events] == ["releases.start", "releases.start"]
    assert events[0].at > events[1].at


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_an_absurd_limit_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(InvalidRequest, match="out of range"):
        dispatcher(empty_showroom(tmp_path)).call(ListAudit(limit=limit), SYSTEM)


def test_the_audit_trail_is_for_those_who_may_read_it(tmp_path: Path) -> None:
    with pytest.raises(NotAllowed, match="audit:read"):
        dispatcher(empty_showroom(tmp_path)).call(ListAudit(), Principal(name="eve", permissions=frozenset()))


def test_the_system_says_where_everything_is_kept_and_what_runs(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    announce(room.context.config.home, "control", host="127.0.0.1", port=8080)
    found: SystemDetails = dispatcher(room).call(ShowSystem(), SYSTEM)
    assert found.stores["metadata"] == "sqlite:///.octavo/metadata.db"
    control, worker, predictor = found.processes
    assert (control.is_running, control.pid, control.address) == (True, os.getpid(), "http://127.0.0.1:8080")
    assert not worker.is_running
    assert not predictor.is_running


def in_memory(*called: str, size_bytes: int) -> bytes:
    """What a worker says that has one model."""
    model = ModelStatus(model="m", version=1, digest="sha256:1", size_bytes=size_bytes, called=called)
    return msgspec.json.encode(PredictorStatus(pid=1, models=(model,)))


def test_the_models_in_memory_are_told_of_all_workers_together_while_they_run(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    home = room.context.config.home
    write_atomically(home / "predictor" / "status.json", in_memory("m@a", size_bytes=10))
    write_atomically(home / "predictor" / "status-1.json", in_memory("m@b", size_bytes=20))
    assert dispatcher(room).call(ShowSystem(), SYSTEM).models == ()
    announce(home, "predictor", host="127.0.0.1", port=8081)
    (model,) = dispatcher(room).call(ShowSystem(), SYSTEM).models
    assert (model.size_bytes, model.called) == (30, ("m@a", "m@b"))


def test_a_stores_password_is_not_shown(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    settings = replace(room.context.config, stores=StoreSettings(online="redis://user:secret@cache:6379/0"))
    found: SystemDetails = dispatcher(Showroom(context=replace(room.context, config=settings), text="")).call(
        ShowSystem(), SYSTEM
    )
    assert found.stores["online"] == "redis://user:***@cache:6379/0"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@cache/0", "redis://***@cache/0"),
        ("sqlite:///.octavo/metadata.db", "sqlite:///.octavo/metadata.db"),
        ("lmdb:.octavo/online", "lmdb:.octavo/online"),
        (".octavo/tables", ".octavo/tables"),
        ("redis://cache/0?password=secret", "redis://cache/0?***"),
    ],
)
def test_no_secret_of_a_url_is_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
