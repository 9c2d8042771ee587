"""The local log on a real disk, with other processes and their deaths."""

import errno
import os
import resource
import threading
import time
from pathlib import Path

import pytest

from octavo.errors import IntegrityError, Unavailable
from octavo.stores.log import LocalLog
from tests.integration.stores.processes import python

PUBLISHER = """
import sys
from pathlib import Path
from octavo.stores.log import LocalLog
root, name, sync, exclusive, count = sys.argv[1:]
log = LocalLog(Path(root), sync=sync == "True", exclusive=exclusive == "True", segment_bytes=20_000)
for number in range(int(count)):
    payloads = [b"%s:%d:%d" % (name.encode(), number, part) for part in range(3)]
    print(number, log.publish("outcomes", payloads), flush=True)
"""


def segments(root: Path) -> list[Path]:
    return sorted((root / "outcomes").glob("*.log"))


def torn_files(root: Path) -> list[Path]:
    return sorted((root / "outcomes").glob("*.torn"))


def open_log(root: Path, *, sync: bool = True) -> LocalLog:
    return LocalLog(root, sync=sync)


def contents(root: Path) -> list[bytes]:
    log = open_log(root)
    found: list[bytes] = []
    while page := log.read("outcomes", start=len(found)):
        found += [payload for _, payload in page]
    log.close()
    return found


@pytest.mark.parametrize(("sync", "exclusive"), [(True, False), (False, True)])
@pytest.mark.parametrize("after", [1, 40, 400])
def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path, sync: bool, exclusive: bool, after: int) -> None:
    with python(PUBLISHER, tmp_path, "a", sync, exclusive, 10**9) as child:
        acknowledged = [child.line() for _ in range(after)] + child.kill()
    last = int(acknowledged[-1].split()[0])
    found = contents(tmp_path)
    assert len(found) >= 3 * (last + 1)
    assert found == [b"a:%d:%d" % divmod(i, 3) for i in range(len(found))]
    assert len(found) % 3 == 0
    assert open_log(tmp_path).publish("outcomes", [b"next"]) == len(found) + 1


def test_processes_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    with (
        python(PUBLISHER, tmp_path, "a", False, False, 300) as a,
        python(PUBLISHER, tmp_path, "b", False, False, 300) as b,
        python(PUBLISHER, tmp_path, "c", True, False, 100) as c,
    ):
        for child in (a, b, c):
            child.finish()
    found = contents(tmp_path)
    assert len(segments(tmp_path)) > 1
    for name, count in ((b"a", 300), (b"b", 300), (b"c", 100)):
        mine = [payload for payload in found if payload.startswith(name)]
        assert mine == [b"%s:%d:%d" % (name, *divmod(i, 3)) for i in range(3 * count)]


def test_batches_of_several_processes_stay_together(tmp_path: Path) -> None:
    with (
        python(PUBLISHER, tmp_path, "a", False, False, 200) as a,
        python(PUBLISHER, tmp_path, "b", False, False, 200) as b,
    ):
        a.finish()
        b.finish()
    found = contents(tmp_path)
    assert all(len({payload.rpartition(b":")[0] for payload in found[i : i + 3]}) == 1 for i in range(0, 1200, 3))


def test_a_reader_follows_a_writer_in_another_process_across_segments(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    seen: list[bytes] = []
    with python(PUBLISHER, tmp_path, "a", False, False, 500) as child:
        while len(seen) < 1500:
            seen += [payload for _, payload in log.read("outcomes", start=len(seen))]
        child.finish()
    assert seen == [b"a:%d:%d" % divmod(i, 3) for i in range(1500)]
    assert len(segments(tmp_path)) > 1


def test_a_second_exclusive_writer_is_refused(tmp_path: Path) -> None:
    first = LocalLog(tmp_path, sync=False, exclusive=True)
    first.publish("outcomes", [b"x"])
    second = LocalLog(tmp_path, sync=False, exclusive=True)
    with pytest.raises(Unavailable, match="written by another process"):
        second.publish("outcomes", [b"y"])
    first.close()
    assert second.publish("outcomes", [b"y"]) == 2


def test_a_topic_that_is_held_is_read_before_its_first_publication_not_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LocalLog(tmp_path, sync=False, exclusive=True, segment_bytes=2_000)
    ends = [first.publish("outcomes", [b"x" * 100] * 3) for _ in range(20)]
    first.close()
    [*_, last] = segments(tmp_path)
    with last.open("ab") as file:
        file.write(b"torn")
    second = LocalLog(tmp_path, sync=False, exclusive=True, segment_bytes=2_000)
    second.hold("outcomes")
    assert [path.read_bytes() for path in torn_files(tmp_path)] == [b"torn"]
    with pytest.raises(Unavailable, match="written by another process"):
        LocalLog(tmp_path, sync=False, exclusive=True).hold("outcomes")
    with monkeypatch.context() as patch:
        patch.setattr("octavo.stores.log.segments.SegmentReader.batch", None)
        assert second.publish("outcomes", [b"y"]) == ends[-1] + 1
    assert contents(tmp_path)[-2:] == [b"x" * 100, b"y"]


def test_a_batch_torn_at_any_byte_is_unseen_and_set_aside(tmp_path: Path) -> None:
    log = open_log(tmp_path, sync=False)
    log.publish("outcomes", [b"whole"])
    [segment] = segments(tmp_path)
    whole = segment.stat().st_size
    log.publish("outcomes", [b"torn", b"batch"])
    log.close()
    batch = segment.read_bytes()
    for size in range(whole + 1, len(batch)):
        segment.write_bytes(batch[:size])
        assert contents(tmp_path) == [b"whole"]
        assert open_log(tmp_path).publish("outcomes", [b"next"]) == 2
        assert contents(tmp_path) == [b"whole", b"next"]
        assert torn_files(tmp_path).pop().read_bytes() == batch[whole:size]


def test_a_tail_of_zeros_is_unseen_and_set_aside(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.publish("outcomes", [b"whole"])
    with segments(tmp_path)[0].open("ab") as file:
        file.write(bytes(4096))
    assert contents(tmp_path) == [b"whole"]
    assert open_log(tmp_path).publish("outcomes", [b"next"]) == 2
    assert contents(tmp_path) == [b"whole", b"next"]


def damage_the_second_of_three(root: Path) -> None:
    log = open_log(root)
    for payload in (b"first", b"second", b"third"):
        log.publish("outcomes", [payload])
    [segment] = segments(root)
    segment.write_bytes(segment.read_bytes().replace(b"second", b"sECond"))


def test_a_byte_that_changed_is_noticed_by_readers(tmp_path: Path) -> None:
    damage_the_second_of_three(tmp_path)
    log = open_log(tmp_path)
    with pytest.raises(IntegrityError, match="has changed since it was written"):
        log.read("outcomes", start=0)


def test_a_synced_log_that_was_damaged_takes_no_more(tmp_path: Path) -> None:
    damage_the_second_of_three(tmp_path)
    before = segments(tmp_path)[0].read_bytes()
    with pytest.raises(IntegrityError, match="restore it from a copy"):
        open_log(tmp_path).publish("outcomes", [b"fourth"])
    assert segments(tmp_path)[0].read_bytes() == before


def test_an_unsynced_log_that_was_damaged_goes_on_and_keeps_what_it_cut(tmp_path: Path) -> None:
    damage_the_second_of_three(tmp_path)
    assert open_log(tmp_path, sync=False).publish("outcomes", [b"new"]) == 2
    assert contents(tmp_path) == [b"first", b"new"]
    assert b"third" in torn_files(tmp_path)[0].read_bytes()


def test_a_full_disk_loses_nothing_and_publishing_can_go_on_later(tmp_path: Path) -> None:
    log = LocalLog(tmp_path, sync=False, exclusive=True)
    log.publish("outcomes", [b"x" * 1000])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))
    try:
        with pytest.raises(Unavailable, match="cannot take"):
            log.publish("outcomes", [b"y" * 1000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.publish("outcomes", [b"z"]) == 2
    assert contents(tmp_path) == [b"x" * 1000, b"z"]


def test_a_crash_between_the_end_of_a_segment_and_the_next_is_mended(tmp_path: Path) -> None:
    log = LocalLog(tmp_path, sync=True, segment_bytes=1)
    log.publish("outcomes", [b"a"])
    log.publish("outcomes", [b"b"])
    log.close()
    segments(tmp_path)[-1].unlink()
    assert contents(tmp_path) == [b"a"]
    assert open_log(tmp_path).publish("outcomes", [b"b"]) == 2
    assert contents(tmp_path) == [b"a", b"b"]


def count_flushes(monkeypatch: pytest.MonkeyPatch, *, seconds: float = 0.0) -> list[int]:
    flushed: list[int] = []
    flush = os.fdatasync

    def counting(descriptor: int) -> None:
        time.sleep(seconds)
        flush(descriptor)
        flushed.append(descriptor)

    monkeypatch.setattr(os, "fdatasync", counting)
    return flushed


@pytest.mark.parametrize(("sync", "flushes"), [(True, 3), (False, 0)])
def test_only_a_synced_log_flushes_every_publication(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool, flushes: int
) -> None:
    flushed = count_flushes(monkeypatch)
    log = open_log(tmp_path, sync=sync)
    for _ in range(3):
        log.publish("outcomes", [b"x"])
    assert len(flushed) == flushes


def test_publications_at_once_share_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = count_flushes(monkeypatch, seconds=0.02)
    log = open_log(tmp_path)
    threads = [threading.Thread(target=log.publish, args=("outcomes", [b"x"])) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.end("outcomes") == 16
    assert 1 <= len(flushed) < 10


def test_what_is_appended_waits_for_no_disk_and_one_flush_covers_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = count_flushes(monkeypatch)
    log = LocalLog(tmp_path, sync=True, exclusive=True)
    ends = [log.append("outcomes", [b"x"]) for _ in range(3)]
    assert (ends, flushed) == ([1, 2, 3], [])
    for end in reversed(ends):
        log.flush("outcomes", end)
    assert len(flushed) == 1


def test_a_flush_comes_after_all_that_was_appended_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    log = LocalLog(tmp_path, sync=True, exclusive=True)
    for number in range(3):
        log.flush("outcomes", log.append("outcomes", [b"x" * number]))
        assert sizes[-1] == segments(tmp_path)[0].stat().st_size
    assert len(sizes) == 3


def test_flushing_what_was_never_written_here_does_nothing(tmp_path: Path) -> None:
    LocalLog(tmp_path, sync=True).flush("outcomes", 5)
    assert contents(tmp_path) == []


def fail(descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_after_a_disk_failed_nothing_is_promised_until_the_process_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LocalLog(tmp_path, sync=True, exclusive=True)
    log.publish("outcomes", [b"kept"])
    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", fail)
        with pytest.raises(Unavailable, match="Input/output error"):
            log.publish("outcomes", [b"unknown"])
    with pytest.raises(Unavailable, match="start this process again"):
        log.publish("outcomes", [b"never"])
    with pytest.raises(Unavailable, match="start this process again"):
        log.flush("outcomes", 2)
    log.close()
    assert open_log(tmp_path).publish("outcomes", [b"again"]) == 3
    assert contents(tmp_path) == [b"kept", b"unknown", b"again"]
