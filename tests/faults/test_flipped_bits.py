"""A file of the metadata that is not as it was written: an error of ours, or no harm; never another failure."""

from pathlib import Path

import pytest

from octavo.errors import OctavoError
from octavo.stores.chain import AuditEvent, check_chain
from octavo.stores.sql import SqlMetadata
from octavo.training.runs import Run
from tests.faults import diary
from tests.showrooms.moments import NOW

FLIPS = 80


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with some records and a trail."""
    place = tmp_path_factory.mktemp("written") / "metadata.db"
    metadata = SqlMetadata(f"sqlite:///{place}")
    with metadata.transaction() as tx:
        for number in range(20):
            tx.add(diary.entry(number, f"sha256:{number:064d}"))
            tx.append_audit(AuditEvent(at=NOW, actor="ada", operation="write", target=str(number), outcome="done"))
    metadata.close()
    return place.read_bytes()


def looked_at(place: Path) -> tuple[list[Run], bool]:
    """All records, and whether the trail holds."""
    metadata = SqlMetadata(f"sqlite:///{place}")
    try:
        with metadata.transaction() as tx:
            runs = tx.find(Run)
            entries, head = tx.audit_entries(), tx.audit_head()
        return runs, check_chain(entries) == head
    finally:
        metadata.close()


def test_whatever_byte_changes_is_an_error_of_ours_or_does_no_harm(written: bytes, tmp_path: Path) -> None:
    place, refused = tmp_path / "metadata.db", 0
    step = len(written) // FLIPS
    for number in range(FLIPS):
        at = (number * step + number * 37) % len(written)
        place.write_bytes(written[:at] + bytes([written[at] ^ 0xFF]) + written[at + 1 :])
        for beside in tmp_path.glob("metadata.db-*"):
            beside.unlink()
        try:
            runs, holds = looked_at(place)
        except OctavoError:
            refused += 1
            continue
        assert len(runs) <= 20
        assert holds in (True, False)
    assert refused > 0


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_is_refused_or_empty_and_left_as_it_is(written: bytes, tmp_path: Path, share: float) -> None:
    place = tmp_path / "metadata.db"
    cut = written[: int(len(written) * share)]
    place.write_bytes(cut)
    if share == 0:
        assert looked_at(place) == ([], True)  # a database that was never written to
        return
    with pytest.raises(OctavoError):
        looked_at(place)
    assert place.read_bytes()[: len(cut)] == cut


def test_an_event_that_was_changed_in_the_file_is_found(written: bytes, tmp_path: Path) -> None:
    place = tmp_path / "metadata.db"
    at = written.rindex(b"ada")
    place.write_bytes(written[:at] + b"eve" + written[at + 3 :])
    with pytest.raises(OctavoError):
        assert looked_at(place)[1]
