"""Backups of real stores, made while others write, and what is brought back from them."""

import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from octavo.clock import SystemClock
from octavo.config import Config, StoreSettings, WorkerSettings
from octavo.definitions.project import load_project
from octavo.errors import Conflict, IntegrityError, InvalidRequest
from octavo.loop.backups import BackUp, Backup, back_up, read_backup, restore
from octavo.loop.duties import DUTIES
from octavo.loop.membership import Claim, Member
from octavo.loop.worker import Worker
from octavo.operations import SYSTEM, Context
from octavo.processes import CONTROL, announce
from octavo.registry.signing import Signer
from octavo.release.documents import signed
from octavo.release.manifests import PURPOSE, DeploymentManifest, document_name
from octavo.release.releases import DeploymentState
from octavo.stores.chain import check_chain
from octavo.stores.open import open_artifacts, open_metadata, open_stores
from tests.integration.stores.test_postgres import Count, event
from tests.postgres import PostgresServer


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """A project with keys, two records and two events."""
    config = Config(root=tmp_path / "project")
    (config.home / "keys").mkdir(parents=True)
    config.module_path.write_text("", encoding="utf-8")
    (config.home / "keys" / "release.key").write_bytes(b"secret")
    stores = open_stores(config, writes_online=False)
    with stores.metadata.transaction() as tx:
        tx.put(Count(name="a", value=0))
        tx.put(Count(name="b", value=0))
        tx.append_audit(event("first"))
    project = load_project(config.module_path, name="counts")
    yield Context(config=config, clock=SystemClock(), stores=stores, project=project, principal=SYSTEM)
    stores.metadata.close()
    stores.stream.close()


def make(context: Context, folder: Path) -> Backup:
    return back_up(BackUp(folder=str(folder)), context)


def elsewhere(context: Context, metadata: str = StoreSettings().metadata, *, name: str = "other") -> Config:
    """A project without anything, whose metadata are to be kept by a URL."""
    return Config(root=context.config.root.with_name(name), stores=replace(context.config.stores, metadata=metadata))


def test_backups_that_are_made_while_others_write_are_each_of_one_moment(context: Context, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        value = 0
        while not stop.is_set():
            value += 1
            with context.stores.metadata.transaction() as tx:
                tx.put(Count(name="a", value=value))
                tx.append_audit(event(str(value)))
                tx.put(Count(name="b", value=value))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    made = [make(context, tmp_path / f"backup {n}") for n in range(4)]
    stop.set()
    for writer in writers:
        writer.join()
    for number, backup in enumerate(made):
        config = elsewhere(context, name=f"other {number}")
        restore(config, tmp_path / f"backup {number}")
        metadata = open_metadata(config)
        with metadata.transaction() as tx:
            entries = tx.audit_entries(limit=100_000)
            a, b = tx.get(Count, "a"), tx.get(Count, "b")
        metadata.close()
        assert a is not None
        assert b is not None
        assert a.value == b.value
        check_chain(entries)
        assert len(entries) == backup.audit_events + 1, "and that it was restored"
    assert made[-1].audit_events > made[0].audit_events, "others did write meanwhile"


def test_a_backup_is_for_its_owners_eyes_and_holds_the_keys(context: Context, tmp_path: Path) -> None:
    made = make(context, tmp_path / "backup")
    assert set(made.files) == {"metadata.db", "keys/release.key"}
    for path in (tmp_path / "backup").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert made == read_backup(tmp_path / "backup")
    config = elsewhere(context)
    restore(config, tmp_path / "backup")
    assert (config.home / "keys" / "release.key").read_bytes() == b"secret"


def test_a_project_is_moved_to_postgres_and_back(postgres: PostgresServer, context: Context, tmp_path: Path) -> None:
    there = elsewhere(context, postgres.url(postgres.address()), name="there")
    make(context, tmp_path / "first")
    restore(there, tmp_path / "first")
    stores = open_stores(there, writes_online=False)
    with stores.metadata.transaction() as tx:
        tx.put(Count(name="c", value=0))
        assert [count.name for count in tx.find(Count)] == ["a", "b", "c"], "what is added comes after what was moved"
        tx.append_audit(event("there"))
    make(replace(context, config=there, stores=stores), tmp_path / "second")
    stores.metadata.close()
    stores.stream.close()
    back = elsewhere(context, name="back")
    restore(back, tmp_path / "second")
    metadata = open_metadata(back)
    with metadata.transaction() as tx:
        assert [count.name for count in tx.find(Count)] == ["a", "b", "c"]
        entries = tx.audit_entries()
    metadata.close()
    assert [entry.event.operation for entry in entries] == ["first", "system.restore", "there", "system.restore"]
    check_chain(entries)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "metadata.db").write_bytes(b"x"), r"metadata\.db was changed"),
        (lambda folder: (folder / "keys" / "release.key").write_bytes(b"other"), r"release\.key was changed"),
        (lambda folder: (folder / "keys" / "release.key").unlink(), r"release\.key is missing"),
        (lambda folder: (folder / "keys" / "more.key").write_bytes(b""), r"more\.key was added"),
    ],
)
def test_a_backup_that_is_not_as_it_was_made_is_refused(
    context: Context, tmp_path: Path, damage: object, told: str
) -> None:
    make(context, tmp_path / "backup")
    damage(tmp_path / "backup")  # type: ignore[operator]  # a function of the folder
    config = elsewhere(context)
    with pytest.raises(IntegrityError, match=told):
        restore(config, tmp_path / "backup")
    assert not config.home.exists()


def test_what_is_no_backup_is_refused(context: Context, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="holds no backup"):
        restore(elsewhere(context), tmp_path)


def test_nothing_is_overwritten(context: Context, tmp_path: Path) -> None:
    make(context, tmp_path / "backup")
    with pytest.raises(Conflict, match="exists already"):
        make(context, tmp_path / "backup")
    with pytest.raises(Conflict, match="has rows already"):
        restore(context.config, tmp_path / "backup")
    config = elsewhere(context)
    (config.home / "keys").mkdir(parents=True)
    (config.home / "keys" / "release.key").write_bytes(b"another")
    with pytest.raises(Conflict, match="is another than in the backup"):
        restore(config, tmp_path / "backup")
    announce(config.home, CONTROL)
    with pytest.raises(Conflict, match="control runs"):
        restore(config, tmp_path / "backup")


def test_predictors_come_back_to_what_the_backup_says_whatever_was_released_after_it(
    context: Context, tmp_path: Path
) -> None:
    with context.transaction() as tx:
        tx.put(DeploymentState(deployment="eta", model="m", live=1, sequence=3))
        tx.put(DeploymentState(deployment="new", model="m", live=1, sequence=1))
    make(context, tmp_path / "backup")
    later = DeploymentManifest(project="counts", deployment="eta", sequence=9, unit=None, arms=(), published_at_us=0)
    signer = Signer(context.config.home / "keys" / "later.key")
    document = signed(later, signer, purpose=PURPOSE)
    config = replace(elsewhere(context), stores=StoreSettings(artifacts=f"file:{tmp_path}/artifacts"))
    open_artifacts(config).publish(document_name("eta"), document)
    restore(config, tmp_path / "backup")
    metadata = open_metadata(config)
    with metadata.transaction() as tx:
        states = {state.deployment: state.sequence for state in tx.find(DeploymentState)}
    metadata.close()
    assert states == {"eta": 10, "new": 1}


def test_nobody_works_for_a_project_that_was_restored(context: Context, tmp_path: Path) -> None:
    with context.transaction() as tx:
        tx.put(Member(seat=1, term=4, place="another machine", pid=1))
    make(context, tmp_path / "backup")
    config = elsewhere(context)
    restore(config, tmp_path / "backup")
    metadata = open_metadata(config)
    with metadata.transaction() as tx:
        assert not tx.find(Member, ended="")
    metadata.close()


def test_the_only_worker_follows_one_of_whose_death_nothing_tells_but_that_it_stands_still(context: Context) -> None:
    with context.transaction() as tx:
        tx.put(Member(seat=1, term=4, place="the machine before it was started anew", pid=1))
        tx.put(Claim(subject=DUTIES, worker="1.4"))
    config = replace(context.config, worker=WorkerSettings(dead_after="1s"))
    Worker(replace(context, config=config)).run(lambda: True)
    with context.transaction() as tx:
        claim, dead = tx.get(Claim, DUTIES), tx.get(Member, "1")
    assert claim is not None
    assert dead is not None
    assert claim.worker == "2.1"
    assert "stood still" in dead.ended
