"""A clock that goes back an hour, or forward a day: ids stay unique, the trail stays in order, nothing opens again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from octavo.clock import SystemClock, to_micros
from octavo.identifiers import new_id
from octavo.stores.chain import AuditEvent, check_chain
from tests.security.sites import key_of, program_of, visitor_of
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import api

NOW = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
JUMPS = [timedelta(0), timedelta(hours=-1), timedelta(days=1), timedelta(days=-1), timedelta(seconds=-1), timedelta(0)]


class Jumping(SystemClock):
    """Says whatever it is told to."""

    at = NOW

    def now(self) -> datetime:
        return self.at

    def now_us(self) -> int:
        return to_micros(self.at)


def test_ids_are_unique_whatever_the_clock_says() -> None:
    clock, made = Jumping(), []
    for jump in JUMPS * 20:
        clock.at = NOW + jump
        made += [new_id(clock) for _ in range(50)]
    assert len(set(made)) == len(made)


def test_the_trail_is_in_the_order_of_what_happened(tmp_path: Path) -> None:
    room = empty_showroom(tmp_path)
    with room.stores.metadata.transaction() as tx:
        for number, jump in enumerate(JUMPS):
            event = AuditEvent(at=NOW + jump, actor="ada", operation="write", target=str(number), outcome="done")
            tx.append_audit(event)
        entries, head = tx.audit_entries(), tx.audit_head()
    assert [entry.event.target for entry in entries] == [str(number) for number in range(len(JUMPS))]
    assert check_chain(entries) == head


def test_what_was_ended_does_not_come_back_with_the_hour(tmp_path: Path) -> None:
    """A key and a session that were ended stay so: by what is on record, not by what the clock says."""
    room: Showroom = empty_showroom(tmp_path)
    key = key_of(room, "ada", {"role": "viewer"})
    visitor, program = visitor_of(room, key), program_of(room, key)
    assert program.post("/api/models.list", json={}).status_code == 200
    assert api(room).post("/api/access.revoke_key", json={"key": key.split("_")[1]}).status_code == 200
    for hours in (0, 5, 30):
        vars(room.context.clock)["_now_us"] = to_micros(NOW - timedelta(hours=hours))  # the project's, whatever it says
        assert program.post("/api/models.list", json={}).status_code == 401
        assert visitor.get("/models").status_code == 303
