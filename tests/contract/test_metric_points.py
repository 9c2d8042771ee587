"""What every metadata store promises of the histories of metrics."""

import contextlib
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from octavo.stores.metrics import MetricPoint
from octavo.stores.ports import Metadata
from tests.contract.metadata_stores import KINDS, new_metadata

NOON = datetime(2013, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=KINDS)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    store = new_metadata(request, tmp_path)
    yield store
    store.close()


def point(value: float, *, step: int = 0, name: str = "loss", run: str = "r", later: int = 0) -> MetricPoint:
    return MetricPoint(run=run, name=name, step=step, at=NOON + timedelta(microseconds=later), value=value)


def append(metadata: Metadata, *points: MetricPoint) -> None:
    with metadata.transaction() as tx:
        tx.append_points(points)


def values(metadata: Metadata, name: str | None = "loss") -> list[float]:
    with metadata.transaction() as tx:
        return [p.value for p in tx.points("r", name)]


def test_a_history_comes_back_in_the_order_of_its_steps(metadata: Metadata) -> None:
    points = [point(step / 7, step=step, later=abs(step) % 7) for step in (-3, 0, 1, 5, 2**62)]
    append(metadata, *random.Random(1).sample(points, len(points)))
    with metadata.transaction() as tx:
        assert tx.points("r", "loss") == points
        assert tx.points("r", "loss", limit=2) == points[:2]


def test_points_that_are_sent_again_are_there_once(metadata: Metadata) -> None:
    points = [point(math.nan), point(math.inf), point(-math.inf), point(0.1), point(0.0)]
    append(metadata, *points, *points)
    append(metadata, *points)
    assert [str(v) for v in values(metadata)] == ["nan", "-inf", "0.0", "0.1", "inf"]


def test_numbers_come_back_to_the_last_bit(metadata: Metadata) -> None:
    numbers = [5e-324, 1.7976931348623157e308, -0.1, 1 / 3, 2.0**53 + 2]
    append(metadata, *(point(number, step=step) for step, number in enumerate(numbers)))
    assert values(metadata) == numbers


def test_the_newest_is_the_last_by_step_then_time_then_value_however_they_arrived(metadata: Metadata) -> None:
    points = [point(9, step=1), point(1, step=2), point(math.nan, step=2, later=1), point(3, step=2, later=1)]
    append(metadata, *reversed(points))
    append(metadata, point(7, name="auc"), point(8, name="auc", run="another"))
    with metadata.transaction() as tx:
        newest = {p.name: p.value for p in tx.newest_points("r", ["loss", "auc", "never"])}
    assert newest == {"loss": 3.0, "auc": 7.0}


def test_histories_of_all_metrics_come_by_name(metadata: Metadata) -> None:
    append(metadata, point(1, name="b"), point(2, name="Z"), point(3, name="a/x"))
    assert values(metadata, None) == [2, 3, 1]


def test_what_is_rolled_back_was_never_there(metadata: Metadata) -> None:
    with contextlib.suppress(ZeroDivisionError), metadata.transaction() as tx:
        tx.append_points([point(1)])
        raise ZeroDivisionError
    assert values(metadata) == []


def test_a_thousand_points_are_taken_at_once(metadata: Metadata) -> None:
    append(metadata, *(point(step, step=step, name=f"m{step % 700}") for step in range(1_000)))
    with metadata.transaction() as tx:
        assert len(tx.newest_points("r", [f"m{n}" for n in range(700)])) == 700
