"""Several workers over one PostgreSQL: one is killed in a release, or stands still; and the database goes away."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from octavo.client import Client
from octavo.config import Config, load_config
from octavo.errors import ConfigurationError, Unavailable
from octavo.loop.backups import BackUp, back_up, restore
from octavo.loop.definitions import ApplyProject
from octavo.loop.duties import DUTIES
from octavo.loop.membership import Claim, Member
from octavo.loop.supervisor import check_workers
from octavo.operations import SYSTEM
from octavo.processes import CONTROL, find_running
from octavo.release.releases import Release
from octavo.stores.chain import check_chain
from octavo.stores.open import open_metadata
from octavo.stores.ports import Metadata
from octavo.wiring import build_dispatcher, open_context
from tests.integration.projects import MODULE, SETTINGS, Running, until, up, write_project
from tests.postgres import PostgresServer, running_postgres

STAGES = ["verified", "approved", "shadow", "canary", "live"]
_QUICK = MODULE.replace('shadow="2h", steps=[50, 100], bake="2h"', 'shadow="3s", steps=[50, 100], bake="2s"')
_WORKERS = """
[worker]
processes = 2
dead_after = "2s"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that these tests may stop."""
    with running_postgres() as started:
        yield started


@pytest.fixture(scope="module")
def project(server: PostgresServer, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A project that was moved to PostgreSQL, up by the system's clock with two workers; version 1 is live."""
    folder = tmp_path_factory.mktemp("replicas") / "deliveries"
    shutil.copytree(prepared, folder)
    url = server.url(server.address())
    stores = f'[stores]\nmetadata = "{url}&timeout_s=2"\nworkflows = "{url}"\n'
    before = open_context(load_config(folder, {}))
    back_up(BackUp(folder=str(folder / "backup")), before)
    settings = SETTINGS.partition("[clock]")[0] + stores + _WORKERS
    config = write_project(folder, module=_QUICK, settings=settings)
    restore(config, folder / "backup")
    context = open_context(config)
    build_dispatcher(context).call(ApplyProject(), SYSTEM)
    for opened in (before, context):
        opened.stores.metadata.close()
        opened.stores.stream.close()
    with up(config) as running:
        until(lambda: len(living(config)) == 2, what="both workers have joined")
        take_live(running, 1)
        yield running


@pytest.fixture
def running(project: Running) -> Iterator[Running]:
    """The project, which is left as it was found."""
    yield project
    project.client.call("releases.rollback", deployment="eta", reason="the next test begins with version 1")
    until(lambda: live_version(project.client) == 1, what="version 1 is live again")


@contextmanager
def metadata_of(config: Config) -> Iterator[Metadata]:
    metadata = open_metadata(config)
    try:
        yield metadata
    finally:
        metadata.close()


@contextmanager
def another_control(config: Config) -> Iterator[Client]:
    """A second control process of the project, on a port of its own, and a client of it."""
    environment = {**os.environ, "OCTAVO_CONTROL_PORT": "0"}
    with subprocess.Popen([sys.executable, "-m", "octavo.api"], cwd=config.root, env=environment) as process:
        try:
            until(lambda: getattr(find_running(config.home, CONTROL), "pid", 0) == process.pid, what="it listens")
            with Client.here(config.root) as client:
                yield client
        finally:
            process.terminate()


def living(config: Config) -> dict[str, Member]:
    with metadata_of(config) as metadata, metadata.transaction() as tx:
        return {member.name: member for member in tx.find(Member, ended="")}


def who_has(config: Config, subject: str) -> Member:
    """The worker that has a piece of work, and lives."""

    def found() -> Member | None:
        with metadata_of(config) as metadata, metadata.transaction() as tx:
            claim = tx.get(Claim, subject)
            member = tx.get(Member, claim.worker.partition(".")[0]) if claim else None
        return member if member and claim and member.name == claim.worker and not member.ended else None

    return until(found, what=f"somebody has {subject}")


def release_of(config: Config, release_id: str) -> Release:
    with metadata_of(config) as metadata, metadata.transaction() as tx:
        found = tx.get(Release, release_id)
    assert found is not None
    return found


def check_once(running: Running, release_id: str) -> None:
    """Assert that a release went through each of its stages once, and that the record is whole."""
    release = release_of(running.config, release_id)
    assert [step.state for step in release.history] == STAGES
    with metadata_of(running.config) as metadata, metadata.transaction() as tx:
        entries = tx.audit_entries(limit=100_000)
    check_chain(entries)


def take_live(running: Running, version: int) -> None:
    release = running.release(version)
    until(lambda: running.is_at(release, "live", 100), what=f"version {version} is live")


def live_version(client: Client) -> int | None:
    live: int | None = client.call("deployments.show", deployment="eta")["summary"]["state"]["live"]
    return live


def release_in_shadow(running: Running) -> str:
    """A release of version 2 that has just begun to answer unseen; its id."""
    release = running.release(2)
    until(lambda: running.is_at(release, "shadow", 100), what="it is in shadow")
    return release


def test_a_release_whose_worker_is_killed_goes_on_in_the_other_and_each_stage_is_taken_once(running: Running) -> None:
    release = release_in_shadow(running)
    before = who_has(running.config, release)
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: who_has(running.config, release).name != before.name, what="another has it")
    until(lambda: running.is_at(release, "canary", 50), what="it is a canary")
    os.kill(who_has(running.config, release).pid, signal.SIGKILL)
    until(lambda: running.is_at(release, "live", 100), what="it is live")
    check_once(running, release)
    assert who_has(running.config, DUTIES).pid in {member.pid for member in living(running.config).values()}
    with another_control(running.config) as other:
        assert other.call("releases.show", release=release)["state"] == "live"
        assert live_version(other) == live_version(running.client) == 2
        other.call("releases.start", deployment="eta", version=1)
        assert running.client.call("deployments.show", deployment="eta")["summary"]["release"]["version"] == 1
        running.client.call("releases.rollback", deployment="eta", reason="it was only to be seen")
        assert other.call("deployments.show", deployment="eta")["summary"]["release"] is None


def test_a_worker_that_stands_still_is_replaced_and_changes_nothing_when_it_goes_on(running: Running) -> None:
    until(lambda: len(living(running.config)) == 2, what="both workers are there")
    release = release_in_shadow(running)
    frozen = who_has(running.config, release)
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        until(lambda: frozen.name not in living(running.config), what="it is taken for dead")
        until(lambda: running.is_at(release, "canary", 50), what="the other takes it on")
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    until(lambda: len(living(running.config)) == 2, what="the other began anew")
    until(lambda: running.is_at(release, "live", 100), what="it is live")
    check_once(running, release)


def test_while_the_database_is_away_predictions_go_on_and_control_says_so_and_all_goes_on_after_it(
    running: Running, server: PostgresServer
) -> None:
    release = release_in_shadow(running)
    server.stop()
    began_s = time.monotonic()
    with pytest.raises(Unavailable):
        running.client.call("releases.show", release=release)
    assert time.monotonic() - began_s < 5.0
    [answer] = running.client.predict("eta", [{"depot": "north", "weight": 1.0}])["predictions"]
    assert answer["version"] == 1
    server.start()
    until(lambda: running.is_at(release, "live", 100), what="it is live")
    check_once(running, release)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("[worker]\nprocesses = 2\n", r"needs \[stores\] metadata in PostgreSQL"),
        (
            '[worker]\nprocesses = 2\n[stores]\nmetadata = "postgresql://db/x"\n',
            r"needs \[stores\] workflows in PostgreSQL",
        ),
        ('[worker]\nprocesses = 2\n[clock]\nmode = "replay"\n', "a replay has one worker"),
        ("[worker]\nprocesses = 0\n", "not a number from 1 on"),
    ],
)
def test_several_workers_are_refused_where_they_cannot_share_what_they_do(
    tmp_path: Path, settings: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        check_workers(write_project(tmp_path, settings=settings))
