"""Killed, or told of a disk that fails, at every call of the system by which something is written.

What was told to be kept is there exactly once, nothing is there by halves, the trail holds, and the next life goes on
without anybody's help.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from octavo.errors import NotFound
from octavo.stores.chain import check_chain
from octavo.stores.names import digest_of
from octavo.stores.sql import SqlMetadata
from octavo.training.runs import Run
from tests.faults import diary
from tests.servers import program

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores in which nothing is, so that no life is spent on making them."""
    place = tmp_path_factory.mktemp("template")
    SqlMetadata(f"sqlite:///{place / 'metadata.db'}").close()
    return place


def lives(kind: str, fault: str, template: Path, folder: Path) -> list[Path]:
    """The places of all lives."""
    strace = [program("strace"), "-f", "-qq", "-o", os.devnull, "-e", f"trace={kind}"]
    strace += ["-e", f"inject={kind}:{fault}:when={diary.STRUCK}"]
    command = [*strace, sys.executable, "-m", "tests.faults.diary", kind, str(template), str(folder)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(path for path in folder.iterdir() if path.is_dir())


def check(place: Path) -> None:
    """The four promises, in one life's stores."""
    told = (place / "told").read_text().splitlines()
    assert not [line for line in told if line.startswith("failed")], told
    kept = {int(line.split()[1]) for line in told if line.startswith("record")}
    sent = [int(line.split()[1]) for line in told if line.startswith("message")]
    metadata, artifacts, log = diary.open_stores(place)
    with metadata.transaction() as tx:
        found, entries = tx.find(Run), tx.audit_entries()
        head = tx.audit_head()
    numbers = [int(run.name.split()[1]) for run in found]
    assert kept <= set(numbers), (place.name, told, numbers)
    assert len(numbers) == len(set(numbers)) <= len(kept) + 1
    for run in found:  # no record without its bytes
        assert artifacts.get(run.artifacts["text"]) == diary.text_of(int(run.name.split()[1]))
    assert check_chain(entries) == head
    assert [entry.event.target for entry in entries] == [str(number) for number in numbers]
    texts = [payload for _, payload in log.read(diary.TOPIC, start=0)]
    assert [diary.text_of(number) for number in sent] == [text for text in texts if text in map(diary.text_of, sent)]
    assert len(texts) == len(set(texts)) <= len(sent) + 1
    digest = artifacts.put(b"afterwards")  # and it goes on
    with metadata.transaction() as tx:
        tx.add(diary.entry(99, digest))
    log.publish(diary.TOPIC, [b"afterwards"])
    assert log.read(diary.TOPIC, start=len(texts))[-1][1] == b"afterwards"
    metadata.close()
    log.close()


@pytest.mark.parametrize("kind", ["pwrite64", "fdatasync", "writev"])
def test_killed_at_every_call_it_keeps_what_it_told(kind: str, template: Path, tmp_path: Path) -> None:
    found = lives(kind, "signal=KILL", template, tmp_path)
    assert len(found) > 2, "it was struck at least once"
    ends = ["the end" in (place / "told").read_text() for place in found]
    assert ends == [False] * (len(found) - 1) + [True]
    for place in found:
        check(place)


@pytest.mark.parametrize(
    ("kind", "fault"), [("fdatasync", "error=EIO"), ("pwrite64", "error=ENOSPC"), ("writev", "error=ENOSPC")]
)
def test_told_that_the_disk_failed_it_tells_nobody_that_all_is_well(
    kind: str, fault: str, template: Path, tmp_path: Path
) -> None:
    found = lives(kind, fault, template, tmp_path)
    refused = [place for place in found if "refused" in (place / "told").read_text()]
    assert refused, "the failure is told, as an error of ours"
    for place in found:
        check(place)


def test_killed_before_an_artifact_is_in_its_place_it_is_not_there_by_halves(template: Path, tmp_path: Path) -> None:
    """The store writes in a thread of its own: its first renaming is struck."""
    strace = [program("strace"), "-f", "-qq", "-o", os.devnull, "-e", "trace=rename,renameat,renameat2,link,linkat"]
    strace += ["-e", "inject=rename,renameat,renameat2,link,linkat:signal=KILL:when=1"]
    code = (
        "import sys; from pathlib import Path; from octavo.stores.objects import ObjectArtifacts;"
        "ObjectArtifacts(Path(sys.argv[1])).put(b'x' * 100_000); print('kept')"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*strace, sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert "kept" not in done.stdout
    _, artifacts, log = diary.open_stores(tmp_path)
    log.close()
    with pytest.raises(NotFound):
        artifacts.get(digest_of(b"x" * 100_000))
    assert artifacts.get(artifacts.put(b"x" * 100_000)) == b"x" * 100_000
