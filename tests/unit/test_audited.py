"""What the dispatcher writes down of each call, however it ended."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from tests.showrooms import empty_showroom

from octavo.errors import ConfigurationError, Conflict, NotAllowed
from octavo.operations import Context, Dispatcher, Operations, Principal
from octavo.stores.chain import AuditEvent, check_chain
from octavo.stores.commitments import Commitments

ADA = Principal(name="ada/1f3a09c2", subject="ada", permissions=frozenset({"*"}))
EVE = Principal(name="eve/00000000", subject="eve", permissions=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    model: str
    customer: str
    how: str = "well"


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseLong(Erase):
    """The same, without a transaction around it."""


def erase(request: Erase, context: Context) -> None:
    """Erase what is known of a customer."""
    if request.how == "refused":
        raise Conflict("not now")
    if request.how == "failed":
        raise ZeroDivisionError


def dispatcher(folder: Path) -> Dispatcher:
    operations = Operations()
    operations.operation("customers.erase", request=Erase, permission="p", changes=True)(erase)
    operations.operation("customers.erase_long", request=EraseLong, permission="p", changes=True, long=True)(erase)
    return Dispatcher(operations, empty_showroom(folder).context)


def events(doors: Dispatcher) -> list[AuditEvent]:
    with doors.context.transaction() as tx:
        assert check_chain(tx.audit_entries()) == tx.audit_head()
        return tx.audit(newest_first=False)


@pytest.mark.parametrize("kind", [Erase, EraseLong])
@pytest.mark.parametrize(
    ("how", "principal", "error", "outcome"),
    [
        ("well", ADA, None, "done"),
        ("refused", ADA, Conflict, "refused: conflict"),
        ("failed", ADA, ZeroDivisionError, "failed"),
        ("well", EVE, NotAllowed, "denied"),
    ],
)
def test_however_a_change_ends_it_is_written_down_with_who_and_by_which_call(
    tmp_path: Path, kind: type[Erase], how: str, principal: Principal, error: type[Exception] | None, outcome: str
) -> None:
    doors = dispatcher(tmp_path)
    ask: Callable[[], object] = lambda: doors.call(kind(model="m", customer="4711", how=how), principal, trace="c-1")  # noqa: E731
    if error is None:
        ask()
    else:
        with pytest.raises(error):
            ask()
    [event] = events(doors)
    assert (event.actor, event.subject, event.trace) == (principal.name, principal.subject, "c-1")
    assert (event.outcome, event.target) == (outcome, "model=m")


def test_of_a_long_operation_that_dies_it_is_known_that_it_began(tmp_path: Path) -> None:
    def work(request: EraseLong, context: Context) -> None:
        """Erase step by step."""
        for _ in range(2):
            with context.transaction():
                pass
        if request.how == "killed":
            raise KeyboardInterrupt

    operations = Operations()
    operations.operation("customers.erase_long", request=EraseLong, permission="p", changes=True, long=True)(work)
    doors = Dispatcher(operations, empty_showroom(tmp_path).context)
    with pytest.raises(KeyboardInterrupt):
        doors.call(EraseLong(model="m", customer="4711", how="killed"), ADA)
    doors.call(EraseLong(model="m", customer="4711"), ADA)
    assert [event.outcome for event in events(doors)] == ["begun", "begun", "done"]


def test_that_it_began_is_written_again_if_its_first_transaction_is_not_made(tmp_path: Path) -> None:
    def work(request: EraseLong, context: Context) -> None:
        """Erase at the second attempt."""
        with pytest.raises(Conflict), context.transaction():
            raise Conflict("not now")
        with context.transaction():
            pass

    operations = Operations()
    operations.operation("customers.erase_long", request=EraseLong, permission="p", changes=True, long=True)(work)
    doors = Dispatcher(operations, empty_showroom(tmp_path).context)
    doors.call(EraseLong(model="m", customer="4711"), ADA)
    assert [event.outcome for event in events(doors)] == ["begun", "done"]


def test_who_it_was_about_is_not_in_the_trail_but_can_be_proven(tmp_path: Path) -> None:
    doors = dispatcher(tmp_path)
    request = Erase(model="m", customer="4711")
    doors.call(request, ADA)
    doors.call(replace(request, customer="4712"), ADA)
    first, second = events(doors)
    assert "4711" not in repr(first).replace(first.request, "")
    assert first.request != second.request
    key = tmp_path / ".octavo" / "keys" / "audit.key"
    assert Commitments(key).of("customers.erase", request) == first.request
    assert key.stat().st_mode & 0o777 == 0o600


def test_nobody_without_the_key_finds_it_by_trying_all(tmp_path: Path) -> None:
    doors = dispatcher(tmp_path)
    doors.call(Erase(model="m", customer="4711"), ADA)
    digest = events(doors)[0].request.partition(":")[2]
    for number in range(4_700, 4_720):
        asked = msgspec.json.encode(
            ["customers.erase", {"model": "m", "customer": str(number), "how": "well"}], order="deterministic"
        )
        assert hashlib.sha256(asked).hexdigest() != digest
    other = Commitments(tmp_path / "other.key").of("customers.erase", Erase(model="m", customer="4711"))
    assert other.partition(":")[2] != digest


def test_a_digest_depends_on_all_that_was_asked_and_on_nothing_else(tmp_path: Path) -> None:
    made = Commitments(tmp_path / "k" / "audit.key")
    one = made.of("a", Erase(model="m", customer="x"))
    assert re.fullmatch(r"[0-9a-f]{8}:[0-9a-f]{64}", one)
    assert one == Commitments(tmp_path / "k" / "audit.key").of("a", Erase(model="m", customer="x"))
    assert len({one, made.of("b", Erase(model="m", customer="x")), made.of("a", Erase(model="n", customer="x"))}) == 3


def test_what_is_no_plain_data_stands_by_its_type(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Send:
        rows: pa.Table

    assert Commitments(tmp_path / "audit.key").of("a", Send(rows=pa.table({"x": [1]})))


def test_a_key_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "audit.key").write_text("no key")
    with pytest.raises(ConfigurationError, match="holds no key for the audit trail"):
        Commitments(tmp_path / "audit.key").of("a", Erase(model="m", customer="x"))
