"""The audit trail: checked against its checkpoints, exported, and kept elsewhere."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.showrooms import Showroom, empty_showroom

from octavo.clock import ManualClock
from octavo.errors import Conflict, IntegrityError, InvalidRequest
from octavo.governance import trail
from octavo.governance.checkpoints import AuditCheckpoint, decode_checkpoint
from octavo.governance.exports import Verdict, verify_lines
from octavo.governance.operations import ExportAudit, ListAudit, MakeCheckpoint, VerifyAudit, operations
from octavo.operations import SYSTEM, Context, Dispatcher
from octavo.stores.chain import AuditEvent, AuditHead, digest_of
from octavo.stores.memory import MemoryTransaction

NOON = datetime(2013, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    return empty_showroom(tmp_path)


def append(context: Context, *names: str) -> None:
    with context.transaction() as tx:
        for name in names:
            tx.append_audit(AuditEvent(at=NOON, actor="ada", operation=name, target="model=x", outcome="done"))


def checkpoints(context: Context) -> list[AuditCheckpoint]:
    with context.transaction() as tx:
        return tx.find(AuditCheckpoint)


def tamper(context: Context, place: int, **changes: object) -> None:
    """Change an entry in the store, behind the back of everybody."""
    store = context.stores.metadata
    store._audit[place] = replace(store._audit[place], **changes)  # type: ignore[attr-defined]


def write_anew(context: Context, *names: str) -> None:
    """Write the whole chain anew, as whoever may write to the database can."""
    context.stores.metadata._audit.clear()  # type: ignore[attr-defined]
    append(context, *names)


def test_a_trail_that_nobody_touched_holds(room: Showroom) -> None:
    append(room.context, "a", "b", "c")
    verdict = trail.verify_trail(room.context)
    assert (verdict.holds, verdict.first, verdict.last, verdict.checkpoints) == (True, 1, 3, 0)


def test_a_changed_entry_is_named(room: Showroom) -> None:
    append(room.context, *"abc")
    entry = room.context.stores.metadata._audit[1]  # type: ignore[attr-defined]
    tamper(room.context, 1, event=replace(entry.event, actor="eve"))
    verdict = trail.verify_trail(room.context)
    assert (verdict.sequence, verdict.last) == (2, 1)
    assert "entry 2 is not what was written" in verdict.problem


def test_a_changed_entry_with_a_digest_that_fits_is_found_at_the_next_one(room: Showroom) -> None:
    append(room.context, *"abc")
    entry = room.context.stores.metadata._audit[1]  # type: ignore[attr-defined]
    event = replace(entry.event, actor="eve")
    tamper(room.context, 1, event=event, digest=digest_of(event, sequence=2, previous=entry.previous))
    verdict = trail.verify_trail(room.context)
    assert (verdict.sequence, verdict.problem) == (
        3,
        "audit chain: entry 3 does not follow from entry 2; one of them was put in or exchanged",
    )


def test_a_trail_that_was_written_anew_is_found_by_a_checkpoint(room: Showroom) -> None:
    append(room.context, *"abc")
    trail.checkpoint_now(room.context)
    write_anew(room.context, *"axc")
    verdict = trail.verify_trail(room.context)
    assert verdict.sequence == 3
    assert "it was written anew" in verdict.problem


def test_a_trail_that_was_cut_off_is_found_by_a_checkpoint(room: Showroom) -> None:
    append(room.context, *"abc")
    trail.checkpoint_now(room.context)
    write_anew(room.context, *"ab")
    verdict = trail.verify_trail(room.context)
    assert (verdict.sequence, verdict.last) == (3, 2)
    assert "the rest was cut off" in verdict.problem


def test_a_checkpoint_that_was_kept_elsewhere_outlives_those_on_record(room: Showroom) -> None:
    append(room.context, *"abc")
    trail.checkpoint_now(room.context)
    room.context.stores.metadata._records.clear()  # type: ignore[attr-defined]
    write_anew(room.context, *"axc")
    assert "it was written anew" in trail.verify_trail(room.context).problem


def test_a_checkpoint_is_kept_as_a_file_that_can_be_read_alone(room: Showroom) -> None:
    append(room.context, *"abc")
    made = trail.checkpoint_now(room.context)
    assert made is not None
    folder = room.context.config.root / ".octavo" / "checkpoints"
    [file] = folder.iterdir()
    assert made.delivered_to == f"file://{folder}"
    assert decode_checkpoint(file.read_bytes()).stated.sequence == 3


def test_a_checkpoint_is_made_once_for_each_end_of_the_chain(room: Showroom) -> None:
    assert trail.checkpoint_now(room.context) is None
    append(room.context, "a")
    assert trail.checkpoint_now(room.context) == trail.checkpoint_now(room.context)
    assert len(checkpoints(room.context)) == 1


def test_nothing_is_stated_of_a_chain_that_does_not_hold(room: Showroom) -> None:
    append(room.context, *"ab")
    trail.checkpoint_now(room.context)
    append(room.context, *"cd")
    tamper(room.context, 2, previous="f" * 64)
    with pytest.raises(IntegrityError, match="entry 3 does not follow"):
        trail.checkpoint_now(room.context)
    assert [one.sequence for one in checkpoints(room.context)] == [2]


def test_nothing_is_stated_of_a_chain_whose_end_is_gone(room: Showroom, monkeypatch: pytest.MonkeyPatch) -> None:
    append(room.context, *"abc")
    monkeypatch.setattr(MemoryTransaction, "audit_head", lambda _: AuditHead(sequence=4, digest="f" * 64))
    with pytest.raises(IntegrityError, match="should end with entry 4"):
        trail.checkpoint_now(room.context)
    assert checkpoints(room.context) == []


@pytest.mark.parametrize(
    ("events", "hours", "due"),
    [(0, 100, False), (1, 23, False), (1, 24, True), (9, 0, False), (10, 0, True)],
)
def test_a_checkpoint_is_due_after_so_many_events_and_once_a_day(
    room: Showroom, events: int, hours: int, due: bool
) -> None:
    audit = replace(room.context.config.audit, checkpoint_events=10)
    context = replace(room.context, config=replace(room.context.config, audit=audit))
    append(context, "first")
    trail.keep_checkpoints(context)
    assert isinstance(context.clock, ManualClock)
    context.clock.advance(context.clock.now() + timedelta(hours=hours))
    append(context, *["more"] * events)
    trail.keep_checkpoints(context)
    assert len(checkpoints(context)) == 1 + due


def test_a_checkpoint_that_could_not_be_kept_is_kept_later(room: Showroom) -> None:
    blocked = room.context.config.root / "elsewhere"
    blocked.write_text("a file where the folder should be")
    audit = replace(room.context.config.audit, checkpoints="file:elsewhere")
    context = replace(room.context, config=replace(room.context.config, audit=audit))
    append(context, "a")
    with pytest.raises(Exception, match="cannot be made"):
        trail.checkpoint_now(context)
    assert [one.delivered_to for one in checkpoints(context)] == [""]
    blocked.unlink()
    trail.keep_elsewhere(context)
    assert [one.delivered_to for one in checkpoints(context)] == [f"file://{blocked}"]


def test_another_checkpoint_under_the_same_name_is_never_replaced(room: Showroom) -> None:
    append(room.context, "a")
    trail.checkpoint_now(room.context)
    room.context.stores.metadata._records.clear()  # type: ignore[attr-defined]
    write_anew(room.context, "b")
    made = trail.checkpoint_now(room.context)
    assert made is not None
    assert made.delivered_to == ""
    assert "it was written anew" in trail.verify_trail(room.context).problem


def exported(room: Showroom, **which: int) -> list[bytes]:
    text = trail.export_trail(room.context, **{"first": 1, "last": None, **which}).text
    return text.encode().splitlines(keepends=True)


def public_key(room: Showroom) -> bytes:
    return bytes.fromhex((room.context.config.home / "keys" / "release.pub").read_text())


def test_an_export_proves_itself_without_a_project(room: Showroom) -> None:
    append(room.context, *"ab")
    trail.checkpoint_now(room.context)
    append(room.context, *"cd")
    lines = exported(room)
    assert len(lines) == 1 + 4 + 1
    verdict = verify_lines(lines, key=public_key(room))
    assert (verdict.problem, verdict.last, verdict.checkpoints, verdict.key_given) == ("", 4, 1, True)
    assert not verify_lines(lines).key_given


def test_a_part_of_the_trail_proves_itself_too(room: Showroom) -> None:
    append(room.context, *"abcdef")
    verdict = verify_lines(exported(room, first=3, last=4))
    assert (verdict.problem, verdict.first, verdict.last) == ("", 3, 4)


def test_an_export_of_a_trail_that_was_written_anew_is_found_by_a_checkpoint(room: Showroom) -> None:
    append(room.context, *"abc")
    made = trail.checkpoint_now(room.context)
    assert made is not None
    room.context.stores.metadata._records.clear()  # type: ignore[attr-defined]
    write_anew(room.context, *"axcd")
    assert verify_lines(exported(room)).holds
    verdict = verify_lines(exported(room), checkpoints=[made.signed])
    assert verdict.sequence == 3
    assert "written anew" in verdict.problem


def test_an_export_that_ends_before_a_checkpoint_is_found_unless_it_is_of_a_part(room: Showroom) -> None:
    append(room.context, *"abc")
    short = exported(room)
    part = exported(room, first=1, last=2)
    append(room.context, "d")
    made = trail.checkpoint_now(room.context)
    assert made is not None
    assert "was cut off" in verify_lines(short, checkpoints=[made.signed]).problem
    assert verify_lines(part, checkpoints=[made.signed]).holds


def test_an_export_signed_by_another_key_is_refused(room: Showroom, tmp_path: Path) -> None:
    append(room.context, *"abc")
    append(other := empty_showroom(tmp_path / "other").context, *"abc")
    theirs = trail.export_trail(other, first=1, last=None).text.encode().splitlines(keepends=True)
    exported(room)
    with pytest.raises(IntegrityError, match="is trusted"):
        verify_lines(theirs, key=public_key(room))


def test_a_broken_trail_is_not_exported(room: Showroom) -> None:
    append(room.context, *"abc")
    tamper(room.context, 1, previous="f" * 64)
    with pytest.raises(IntegrityError, match="entry 2 does not follow"):
        exported(room)


@pytest.mark.parametrize("which", [{"first": 0}, {"first": 4}, {"first": 3, "last": 2}, {"last": 0}])
def test_entries_that_are_not_there_cannot_be_exported(room: Showroom, which: dict[str, int]) -> None:
    append(room.context, *"abc")
    with pytest.raises(InvalidRequest, match="there are no entries"):
        exported(room, **which)


def test_the_operations_answer_and_leave_their_own_events(room: Showroom) -> None:
    doors = Dispatcher(operations, room.context)
    first: AuditCheckpoint = doors.call(MakeCheckpoint(), SYSTEM)
    assert first.sequence == 1, "that it began is the first event"
    made: AuditCheckpoint = doors.call(MakeCheckpoint(), SYSTEM, trace="call-1")
    assert made.sequence == 3
    assert doors.call(ExportAudit(), SYSTEM).last == 5
    verdict: Verdict = doors.call(VerifyAudit(checkpoints=(made.signed,)), SYSTEM)
    assert (verdict.holds, verdict.last, verdict.checkpoints) == (True, 6, 2)
    events: tuple[AuditEvent, ...] = doors.call(ListAudit(operation="audit.checkpoint"), SYSTEM)
    assert [(event.trace, event.outcome) for event in events] == [
        ("call-1", "done"),
        ("call-1", "begun"),
        ("", "done"),
        ("", "begun"),
    ]


def test_a_checkpoint_of_another_project_is_refused(room: Showroom) -> None:
    append(room.context, "a")
    made = trail.checkpoint_now(room.context)
    assert made is not None
    other = replace(room.context, project=replace(room.context.project, name="another"))
    assert "of project" in trail.verify_trail(other).problem


def test_a_file_elsewhere_that_differs_is_a_conflict(tmp_path: Path, room: Showroom) -> None:
    folder = trail.open_folder(room.context.config, "audit.checkpoints", f"file:{tmp_path}/kept")
    folder.add("a", b"1")
    folder.add("a", b"1")
    with pytest.raises(Conflict, match="holds another a already"):
        folder.add("a", b"2")
    assert folder.names() == ["a"]
