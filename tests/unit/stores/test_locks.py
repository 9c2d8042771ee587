"""Locks between processes, and the one writer of online features."""

import subprocess
import sys
from pathlib import Path

import pytest

from octavo.config import Config
from octavo.errors import Conflict
from octavo.stores.locks import FileLock
from octavo.stores.memory import MemoryOnlineStore
from octavo.stores.ownership import OwnedOnlineStore, online_lock, own_online

_HOLDS = """
import sys
from pathlib import Path
from octavo.stores.locks import FileLock
assert FileLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "a" / "lock"), FileLock(tmp_path / "a" / "lock")
    assert not first.is_taken()
    assert first.acquire()
    assert (first.is_taken(), second.is_taken(), second.acquire(timeout_s=0.0)) == (True, True, False)
    first.release()
    first.release()
    assert not second.is_taken()
    assert second.acquire()
    second.release()


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", _HOLDS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lock = FileLock(path)
        assert (lock.is_taken(), lock.holder) == (True, str(holder.pid))
        holder.kill()
    assert lock.acquire()
    lock.release()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_on_the_new_file(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()
    lock.release(remove=True)
    assert list(tmp_path.iterdir()) == []
    assert lock.acquire()
    assert FileLock(tmp_path / "lock").is_taken()
    lock.release()


def test_a_lock_that_was_never_taken_has_no_holder(tmp_path: Path) -> None:
    assert FileLock(tmp_path / "lock").holder == ""


def test_one_process_writes_online_features_until_it_closes_the_store(tmp_path: Path) -> None:
    config = Config(root=tmp_path)
    owned = OwnedOnlineStore(MemoryOnlineStore(), own_online(config))
    owned.write({b"k": b"v"}, marks={"m": 7})
    assert (owned.read([b"k"]), owned.mark("m")) == ([b"v"], 7)
    with pytest.raises(Conflict, match="stop that process first"):
        own_online(config)
    owned.close()
    assert not online_lock(config).is_taken()
