"""A disk of eight megabytes that fills: what was kept stays and is read, and once there is room it goes on."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from octavo.errors import Unavailable
from octavo.stores.chain import check_chain
from octavo.training.runs import Run
from tests.faults import diary
from tests.servers import program


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = [program("mount"), "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run([program("umount"), "-l", str(place)], check=True)


def test_nothing_is_lost_when_it_is_full_and_it_goes_on_when_there_is_room(small_disk: Path) -> None:
    metadata, artifacts, log = diary.open_stores(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 1_500_000)
    kept, refusals = [], 0
    for number in range(500):
        try:
            digest = artifacts.put(os.urandom(60_000))
            with metadata.transaction() as tx:
                tx.add(diary.entry(number, digest))
            log.publish(diary.TOPIC, [os.urandom(20_000)])
            kept.append((number, digest))
        except Unavailable:
            refusals += 1
            if refusals == 5:
                break
    assert (len(kept) > 20, refusals) == (True, 5)

    def check() -> None:
        with metadata.transaction() as tx:
            found = {run.name: run.artifacts["text"] for run in tx.find(Run)}
            assert check_chain(tx.audit_entries()) == tx.audit_head()
        for number, digest in kept:
            assert found[f"entry {number}"] == digest
            assert len(artifacts.get(digest)) == 60_000
        assert len(log.read(diary.TOPIC, start=0)) >= 1

    check()  # while it is full
    ballast.unlink()
    digest = artifacts.put(b"afterwards")
    with metadata.transaction() as tx:
        tx.add(diary.entry(999, digest))
    assert log.publish(diary.TOPIC, [b"afterwards"]) > 0
    check()
    metadata.close()
    log.close()
    metadata, artifacts, log = diary.open_stores(small_disk)  # and after a start anew
    check()
    metadata.close()
    log.close()
