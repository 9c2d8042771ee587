"""Whatever single thing is done to an exported audit trail, the check finds it; and it finds nothing where none was."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from octavo.clock import to_micros
from octavo.errors import IntegrityError
from octavo.governance.checkpoints import PURPOSE, Checkpoint, SignedCheckpoint
from octavo.governance.exports import ExportHead, Verdict, export_lines, verify_lines
from octavo.registry.signing import Signer
from octavo.stores.chain import AuditEntry, AuditEvent, AuditHead, head_at, link

NOON = datetime(2013, 1, 1, 12, 0, tzinfo=UTC)
TEXT = st.text(max_size=8)
EVENTS = st.lists(
    st.builds(
        AuditEvent,
        at=st.datetimes(timezones=st.just(UTC)),
        actor=TEXT,
        operation=TEXT,
        target=TEXT,
        outcome=TEXT,
        detail=TEXT,
        subject=TEXT,
        request=TEXT,
        trace=TEXT,
    ),
    min_size=2,
    max_size=8,
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder: Path = tmp_path_factory.mktemp("keys")
    return Signer(folder / "release.key")


def chained(events: list[AuditEvent]) -> list[AuditEntry]:
    head, entries = AuditHead(), []
    for event in events:
        entries.append(link(event, head))
        head = head_at(entries[-1])
    return entries


def export(events: list[AuditEvent], signer: Signer, *, stated: int) -> list[bytes]:
    """An export of these events, with a checkpoint of entry `stated`."""
    entries = chained(events)
    point = Checkpoint(project="shop", sequence=stated, digest=entries[stated - 1].digest, at_us=to_micros(NOON))
    payload = msgspec.json.encode(point, order="deterministic")
    checkpoint = SignedCheckpoint(payload=payload, signature=signer.sign(PURPOSE, payload))
    head = ExportHead(
        project="shop",
        first=1,
        last=len(entries),
        previous=AuditHead().digest,
        digest=entries[-1].digest,
        checkpoints=1,
        complete=True,
        exported_at_us=to_micros(NOON + timedelta(days=1)),
    )
    return list(export_lines(head, entries, [checkpoint], signer))


def problem(lines: list[bytes], signer: Signer) -> str:
    try:
        verdict: Verdict = verify_lines(lines, key=signer.verifier.public_key)
    except IntegrityError as error:
        return error.message
    return verdict.problem


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, data=st.data())
def test_what_nobody_touched_holds(signer: Signer, events: list[AuditEvent], data: st.DataObject) -> None:
    assert problem(export(events, signer, stated=data.draw(st.integers(1, len(events)))), signer) == ""


def _swap(lines: list[bytes], data: st.DataObject) -> list[bytes]:
    one, other = data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def _remove(lines: list[bytes], data: st.DataObject) -> list[bytes]:
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    return lines


def _cut(lines: list[bytes], data: st.DataObject) -> list[bytes]:
    whole = b"".join(lines)
    return whole[: data.draw(st.integers(0, len(whole) - 1))].splitlines(keepends=True)


def _flip(lines: list[bytes], data: st.DataObject) -> list[bytes]:
    whole = bytearray(b"".join(lines))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(whole).splitlines(keepends=True)


def _insert(lines: list[bytes], data: st.DataObject) -> list[bytes]:
    lines.insert(data.draw(st.integers(0, len(lines))), data.draw(st.sampled_from([*lines, b"\n", b"{}\n"])))
    return lines


@pytest.mark.parametrize("damage", [_swap, _remove, _cut, _flip, _insert])
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, data=st.data())
def test_any_single_damage_is_found(
    signer: Signer,
    damage: Callable[[list[bytes], st.DataObject], list[bytes]],
    events: list[AuditEvent],
    data: st.DataObject,
) -> None:
    lines = export(events, signer, stated=data.draw(st.integers(1, len(events))))
    damaged = damage(list(lines), data)
    assume(b"".join(damaged) != b"".join(lines))
    assert problem(damaged, signer)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, data=st.data())
def test_the_first_entry_that_was_changed_is_named(
    signer: Signer, events: list[AuditEvent], data: st.DataObject
) -> None:
    lines = export(events, signer, stated=len(events))
    place = data.draw(st.integers(1, len(events)))
    lines[place] = lines[place].replace(b'"outcome":"', b'"outcome":"x', 1)
    found = verify_lines(lines, key=signer.verifier.public_key)
    assert (found.sequence, found.last) == (place, place - 1)


@settings(max_examples=60)
@given(events=EVENTS, data=st.data())
def test_no_two_events_have_the_same_digest_at_the_same_place(events: list[AuditEvent], data: st.DataObject) -> None:
    one, other = data.draw(st.sampled_from(events)), data.draw(st.sampled_from(events))
    same = link(one, AuditHead()).digest == link(other, AuditHead()).digest
    assert same == (link(one, AuditHead()).event == link(other, AuditHead()).event)
