"""Which runs: filtered, sorted, some at a time."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from octavo.errors import InvalidRequest, LimitExceeded
from octavo.stores.ports import Transaction
from octavo.stores.searches import Comparing, Condition, Order, Search, Value
from octavo.training.runs import Run
from octavo.training.tracking.filters import conditions_of, orders_of

MOST_AT_ONCE = 50_000
SHOWN = ("active", "deleted", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of the runs on record.

    Attributes
    ----------
    where, sort : str
        As `octavo.training.tracking.filters` reads them.
    show : str
        ``active``, ``deleted`` or ``all``.
    after : str
        Where the page before ended, as `RunsPage.next` told it.
    """

    model: str | None = None
    experiments: Sequence[str] = ()
    where: str = ""
    sort: str = ""
    limit: int = 50
    show: str = "active"
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """Some of the runs that were asked for.

    Attributes
    ----------
    next : str
        To be sent as `after` for those that follow; empty if none do.
    """

    runs: tuple[Run, ...]
    next: str = ""


def page_of(tx: Transaction, wanted: Wanted) -> RunsPage:
    """The runs that are asked for; the newest first unless sorted.

    Raises
    ------
    InvalidRequest
        If the filter, the order or the page cannot be read.
    """
    if not 1 <= wanted.limit <= MOST_AT_ONCE:
        raise LimitExceeded(f"limit is {wanted.limit:,}", field="limit", fix=f"ask for 1 to {MOST_AT_ONCE:,} at once")
    where, order = [*_scope(wanted), *conditions_of(wanted.where)], orders_of(wanted.sort)
    mark = _mark(where, order)
    search = Search(where=where, order=order, limit=wanted.limit, after=_place(wanted.after, mark, len(order)))
    found = tx.search(Run, search)
    return RunsPage(runs=tuple(found.records), next=_token(found.last, mark))


def _scope(wanted: Wanted) -> list[Condition]:
    if wanted.show not in SHOWN:
        raise InvalidRequest(f"show is {wanted.show!r}", field="show", fix=f"send one of: {', '.join(SHOWN)}")
    scope = []
    if wanted.show != "all":
        comparing = Comparing.ABSENT if wanted.show == "active" else Comparing.PRESENT
        scope.append(Condition(path=("deleted_at",), comparing=comparing))
    if wanted.model is not None:
        scope.append(Condition(path=("model",), comparing=Comparing.EQUAL, values=(wanted.model,)))
    if wanted.experiments:
        scope.append(Condition(path=("experiment",), comparing=Comparing.IN, values=tuple(wanted.experiments)))
    return scope


def _mark(where: Sequence[Condition], order: Sequence[Order]) -> str:
    """What tells a page of one question from that of another."""
    return hashlib.sha256(msgspec.json.encode([where, order])).hexdigest()[:16]


def _token(last: tuple[Value, ...] | None, mark: str) -> str:
    if last is None:
        return ""
    written = [value.hex() if isinstance(value, float) else value for value in last]
    kinds = ["f" if isinstance(value, float) else "-" for value in last]
    return base64.urlsafe_b64encode(msgspec.json.encode([mark, "".join(kinds), written])).decode("ascii")


def _place(token: str, mark: str, orders: int) -> tuple[Value, ...] | None:
    if not token:
        return None
    try:
        made_for, kinds, written = msgspec.json.decode(
            base64.urlsafe_b64decode(token.encode("ascii")), type=tuple[str, str, tuple[str | int | None, ...]]
        )
        place = tuple(float.fromhex(str(v)) if kind == "f" else v for kind, v in zip(kinds, written, strict=True))
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidRequest("after is no page", field="after", fix="send what the page before told as next") from error
    if made_for != mark or len(place) != orders + 1 or not isinstance(place[-1], int):
        raise InvalidRequest(
            "after is a page of another question",
            field="after",
            fix="send the same filter and order as for the page before",
        )
    return place
