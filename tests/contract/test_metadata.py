"""What every metadata store promises."""

import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import pytest

from octavo.errors import Conflict, IntegrityError
from octavo.stores.metrics import MetricPoint
from octavo.stores.ports import AuditEvent, Metadata
from tests.contract.metadata_stores import KINDS, new_metadata

NOON = datetime(2013, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Shade(StrEnum):
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    kind: ClassVar[str] = "paint"

    name: str
    shade: Shade = Shade.LIGHT
    litres: float = 1.0
    coats: int | None = None
    glossy: bool = False
    mixed_at: datetime = NOON
    parts: Mapping[str, float] = field(default_factory=dict)
    seal: bytes = b""
    pigment_note: str = ""

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Brush:
    kind: ClassVar[str] = "brush"

    name: str
    width: int

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class OldPaint:
    """A paint as an earlier release wrote it."""

    kind: ClassVar[str] = "paint"

    name: str
    thinner: str = "water"

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPaint:
    """What cannot be read from any paint."""

    kind: ClassVar[str] = "paint"

    name: str
    pigment: str

    @property
    def key(self) -> str:
        return self.name


@pytest.fixture(params=KINDS)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    store = new_metadata(request, tmp_path)
    yield store
    store.close()


def put(metadata: Metadata, *paints: Paint) -> None:
    with metadata.transaction() as tx:
        for paint in paints:
            tx.put(paint)


def found(metadata: Metadata, **equal: object) -> list[str]:
    with metadata.transaction() as tx:
        return [paint.name for paint in tx.find(Paint, newest_first=False, limit=None, **equal)]


def test_a_record_comes_back_as_it_was_put(metadata: Metadata) -> None:
    red = Paint(name="red", shade=Shade.DARK, coats=2, parts={"a": 0.1}, seal=b"\x00\xff")
    put(metadata, red)
    with metadata.transaction() as tx:
        assert tx.get(Paint, "red") == red


def test_a_key_that_was_never_put_is_none(metadata: Metadata) -> None:
    with metadata.transaction() as tx:
        assert tx.get(Paint, "red") is None


def test_kinds_do_not_share_keys(metadata: Metadata) -> None:
    put(metadata, Paint(name="x"))
    with metadata.transaction() as tx:
        tx.add(Brush(name="x", width=3))
        assert tx.get(Brush, "x") == Brush(name="x", width=3)


def test_numbers_that_are_not_finite_survive(metadata: Metadata) -> None:
    put(metadata, Paint(name="red", litres=math.inf, parts={"low": -math.inf, "none": math.nan}))
    with metadata.transaction() as tx:
        red = tx.get(Paint, "red")
    assert red is not None
    assert (red.litres, red.parts["low"]) == (math.inf, -math.inf)
    assert math.isnan(red.parts["none"])


def test_words_that_json_finds_hard_survive(metadata: Metadata) -> None:
    name = 'ÄÖ "quoted" \\ \n % _ $.x \u2028 🎨'
    put(metadata, Paint(name=name))
    assert found(metadata, name=name) == [name]


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\U0010ffff0000", "\\u0000 \\ud800", "\x00\U0010ffff\udfff"])
def test_text_that_some_databases_refuse_survives(metadata: Metadata, text: str) -> None:
    put(metadata, Paint(name="red", parts={text: -0.0}), Paint(name="blue", pigment_note=text))
    with metadata.transaction() as tx:
        [red, blue] = tx.find(Paint)
    assert (list(red.parts), blue.pigment_note) == ([text], text)
    assert math.copysign(1, red.parts[text]) == -1
    assert found(metadata, name="red") == ["red"], "others are found beside it"


def test_the_order_within_a_field_is_kept(metadata: Metadata) -> None:
    parts = {"zinc": 1.0, "oil": 1e22, "aa": 5e-324}
    put(metadata, Paint(name="red", parts=parts))
    with metadata.transaction() as tx:
        assert list((tx.find(Paint)[0]).parts.items()) == list(parts.items())


@pytest.mark.parametrize("coats", [0, -1, 2**31, 2**53, 2**62])
def test_whole_numbers_of_any_size_are_found(metadata: Metadata, coats: int) -> None:
    put(metadata, Paint(name="red", coats=coats, litres=float(coats)), Paint(name="blue", coats=1))
    assert (found(metadata, coats=coats), found(metadata, litres=float(coats))) == (["red"], ["red"])


def test_adding_a_key_twice_is_a_conflict_and_changes_nothing(metadata: Metadata) -> None:
    put(metadata, Paint(name="red", coats=1))
    with pytest.raises(Conflict, match="paint 'red' is there already"), metadata.transaction() as tx:
        tx.add(Paint(name="red", coats=2))
    assert found(metadata, coats=1) == ["red"]


def test_put_overwrites_and_keeps_the_place_in_the_order(metadata: Metadata) -> None:
    put(metadata, Paint(name="red"), Paint(name="blue"), Paint(name="red", coats=3))
    assert found(metadata) == ["red", "blue"]


def test_newest_first_turns_the_order_and_limit_cuts_it(metadata: Metadata) -> None:
    put(metadata, Paint(name="a"), Paint(name="b"), Paint(name="c"))
    with metadata.transaction() as tx:
        assert [paint.name for paint in tx.find(Paint, newest_first=True, limit=2)] == ["c", "b"]


@pytest.mark.parametrize(
    "equal",
    [
        {"shade": Shade.DARK},
        {"litres": 2.5},
        {"coats": 2},
        {"glossy": True},
        {"mixed_at": NOON + timedelta(days=1)},
        {"shade": Shade.DARK, "coats": 2, "glossy": True},
    ],
    ids=lambda equal: "+".join(equal),
)
def test_records_are_found_by_their_fields(metadata: Metadata, equal: dict[str, object]) -> None:
    odd = Paint(name="odd", shade=Shade.DARK, litres=2.5, coats=2, glossy=True, mixed_at=NOON + timedelta(days=1))
    put(metadata, Paint(name="plain", coats=1), odd)
    assert found(metadata, **equal) == ["odd"]


def test_records_are_found_by_the_absence_of_a_value(metadata: Metadata) -> None:
    put(metadata, Paint(name="some", coats=0), Paint(name="none"))
    assert found(metadata, coats=None) == ["none"]


def test_a_moment_is_found_in_whatever_zone_it_is_told(metadata: Metadata) -> None:
    put(metadata, Paint(name="red", mixed_at=NOON.astimezone(timezone(timedelta(hours=5)))))
    assert found(metadata, mixed_at=NOON) == ["red"]


def test_a_moment_without_a_zone_is_refused(metadata: Metadata) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        put(metadata, Paint(name="red", mixed_at=NOON.replace(tzinfo=None)))


def test_finding_by_a_field_that_is_none_is_a_mistake(metadata: Metadata) -> None:
    with pytest.raises(TypeError, match="Paint has no field 'color'"):
        found(metadata, color="red")


def test_replace_swaps_what_has_not_changed(metadata: Metadata) -> None:
    red = Paint(name="red", parts={"x": math.nan})
    put(metadata, red)
    with metadata.transaction() as tx:
        tx.replace(red, replace(red, coats=1))
    assert found(metadata, coats=1) == ["red"]


def test_replace_refuses_what_has_changed_meanwhile(metadata: Metadata) -> None:
    red = Paint(name="red")
    put(metadata, replace(red, coats=5))
    with pytest.raises(Conflict, match="changed meanwhile"), metadata.transaction() as tx:
        tx.replace(red, replace(red, coats=1))
    assert found(metadata, coats=5) == ["red"]


def test_replace_refuses_what_was_never_there(metadata: Metadata) -> None:
    with pytest.raises(Conflict), metadata.transaction() as tx:
        tx.replace(Paint(name="red"), Paint(name="red", coats=1))


def test_an_exception_undoes_the_whole_transaction(metadata: Metadata) -> None:
    with pytest.raises(Conflict), metadata.transaction() as tx:  # noqa: PT012  all three belong to the transaction
        tx.put(Paint(name="red"))
        tx.append_audit(event("paint"))
        tx.add(Paint(name="red"))
    with metadata.transaction() as tx:
        assert (tx.find(Paint), tx.audit()) == ([], [])


def test_a_transaction_sees_its_own_writes(metadata: Metadata) -> None:
    with metadata.transaction() as tx:
        tx.put(Paint(name="red"))
        assert [paint.name for paint in tx.find(Paint)] == ["red"]


def test_a_second_transaction_in_the_same_thread_is_refused_at_once(metadata: Metadata) -> None:
    with metadata.transaction(), pytest.raises(RuntimeError, match="open in this thread"), metadata.transaction():
        pass


def test_threads_take_turns_so_that_no_update_is_lost(metadata: Metadata) -> None:
    put(metadata, Paint(name="red", coats=0))

    def add_coats() -> None:
        for _ in range(20):
            with metadata.transaction() as tx:
                red = tx.get(Paint, "red")
                assert red is not None
                tx.put(replace(red, coats=(red.coats or 0) + 1))

    threads = [threading.Thread(target=add_coats) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found(metadata, coats=80) == ["red"]


def test_fields_that_came_or_went_with_a_release_do_no_harm(metadata: Metadata) -> None:
    put(metadata, Paint(name="red", coats=2))
    with metadata.transaction() as tx:
        assert tx.get(OldPaint, "red") == OldPaint(name="red", thinner="water")


def test_a_record_that_no_longer_fits_its_type_is_named(metadata: Metadata) -> None:
    put(metadata, Paint(name="red"))
    with pytest.raises(IntegrityError, match="stored paint cannot be read as OtherPaint"), metadata.transaction() as tx:
        tx.get(OtherPaint, "red")


def test_the_audit_trail_keeps_its_order(metadata: Metadata) -> None:
    with metadata.transaction() as tx:
        tx.append_audit(event("first"))
        tx.append_audit(event("second"))
    with metadata.transaction() as tx:
        assert [e.operation for e in tx.audit()] == ["second", "first"]
        assert tx.audit(newest_first=False, limit=1) == [event("first")]


def test_all_texts_are_told_as_they_stand_in_the_transaction(metadata: Metadata) -> None:
    with metadata.transaction() as tx:
        tx.put(Paint(name="red", pigment_note="of madder", parts={"sha256:ab": 1.0}))
        tx.put(Brush(name="red", width=3))
        tx.append_points([MetricPoint(run="run of cloth", name="loss of sheen", step=1, at=NOON, value=0.5)])
    with metadata.transaction() as tx:
        tx.put(Paint(name="red", pigment_note="of ochre", parts={"sha256:ab": 1.0}))
        tx.append_audit(event("stir"))
        texts = list(tx.texts())
    assert sorted((kind, key) for kind, key, _ in texts if key) == [("brush", "red"), ("paint", "red")]
    paint, whole = texts[[kind for kind, _, _ in texts].index("paint")][2], "\n".join(text for _, _, text in texts)
    assert "of ochre" in paint
    assert "sha256:ab" in paint
    assert "madder" not in whole
    assert all(text in whole for text in ("run of cloth", "loss of sheen", "stir", "model=x", "why"))
    assert {"audit", "metric_points"} <= {kind for kind, key, _ in texts if not key}


def event(operation: str) -> AuditEvent:
    return AuditEvent(at=NOON, actor="user:ada", operation=operation, target="model=x", outcome="done", detail="why")
