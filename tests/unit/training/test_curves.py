"""ROC and precision-recall curves and tables of thresholds, held against scikit-learn's."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    auc,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from octavo.definitions.costs import Costs
from octavo.errors import InvalidDefinition
from octavo.training.curves import BEST, CHEAPEST, DEFAULT, MOST_POINTS, Steps
from octavo.training.details import ThresholdRow

Floats = npt.NDArray[np.float64]
chances = st.floats(0.0, 1.0).map(lambda p: round(p, 2))


@st.composite
def classifications(draw: st.DrawFn) -> tuple[Floats, Floats]:
    pairs = draw(st.lists(st.tuples(st.booleans(), chances), min_size=2, max_size=80))
    y, p = np.array(pairs, dtype=np.float64).T
    return np.array([0.0, 1.0, *y]), np.array([0.5, 0.5, *p])


def many(n: int = 5_000) -> tuple[Floats, Floats]:
    random = np.random.default_rng(2)
    labels = (random.random(n) < 0.3).astype(float)
    return labels, 1 / (1 + np.exp(-random.normal(labels * 1.5, 1)))


@settings(deadline=None)
@given(rows=classifications())
def test_every_point_of_the_roc_curve_is_one_of_the_fields(rows: tuple[Floats, Floats]) -> None:
    rates = np.array([(p.false_positive_rate, p.true_positive_rate) for p in Steps(*rows).roc()])
    false_rates, true_rates, _ = roc_curve(*rows, drop_intermediate=False)
    assert rates == pytest.approx(np.column_stack([false_rates, true_rates]))
    assert auc(*rates.T) == pytest.approx(roc_auc_score(*rows))


@settings(deadline=None)
@given(rows=classifications())
def test_every_point_of_the_precision_recall_curve_is_one_of_the_fields(rows: tuple[Floats, Floats]) -> None:
    found = [(p.threshold, p.recall, p.precision) for p in Steps(*rows).precision_recall()]
    precision, recall, thresholds = precision_recall_curve(*rows)
    expected = sorted(zip(thresholds, recall[:-1], precision[:-1], strict=True), reverse=True)
    assert np.array(found) == pytest.approx(np.array(expected))


@settings(deadline=None, max_examples=10)
@given(rows=classifications())
def test_the_table_counts_as_the_field_does(rows: tuple[Floats, Floats]) -> None:
    labels, predictions = rows
    for row in Steps(*rows).table(None)[::3]:
        chosen = predictions >= row.threshold
        (negatives, wrong), (missed, right) = confusion_matrix(labels, chosen, labels=[0, 1])
        counts = (row.true_negatives, row.false_positives, row.false_negatives, row.true_positives)
        assert counts == (negatives, wrong, missed, right)
        assert row.rows == len(labels)
        assert row.precision == pytest.approx(precision_score(labels, chosen, zero_division=0))
        assert row.recall == pytest.approx(recall_score(labels, chosen, zero_division=0))
        assert row.f1 == pytest.approx(f1_score(labels, chosen, zero_division=0))


def test_a_thinned_curve_keeps_its_area_its_ends_and_its_size() -> None:
    labels, predictions = many()
    roc, curve = Steps(labels, predictions).roc(), Steps(labels, predictions).precision_recall()
    assert len(roc) <= MOST_POINTS + 2
    assert len(curve) <= MOST_POINTS + 1
    assert (roc[0].true_positive_rate, roc[-1].true_positive_rate, curve[-1].recall) == (0.0, 1.0, 1.0)
    area = auc([p.false_positive_rate for p in roc], [p.true_positive_rate for p in roc])
    assert area == pytest.approx(roc_auc_score(labels, predictions), abs=0.002)


def test_the_threshold_of_the_greatest_f1_is_among_the_rows() -> None:
    labels, predictions = many()
    rows = Steps(labels, predictions).table(None)
    [best] = [row for row in rows if row.why == BEST]
    assert best.f1 == pytest.approx(
        max(f1_score(labels, predictions >= each) for each in np.unique(predictions)[::25]), abs=0.005
    )
    assert [row.threshold for row in rows if row.why == DEFAULT] == [0.5]
    assert all(row.cost is None for row in rows)


def test_with_costs_the_cheapest_threshold_is_told() -> None:
    labels, predictions = many()
    costs = Costs(false_positive=1.0, false_negative=10.0, true_positive=-2.0)
    rows = Steps(labels, predictions).table(costs)
    [cheapest] = [row for row in rows if row.why == CHEAPEST]

    def cost(row: ThresholdRow) -> float:
        return row.false_positives + 10.0 * row.false_negatives - 2.0 * row.true_positives

    assert all(row.cost == pytest.approx(cost(row)) for row in rows)
    assert cheapest.cost == min(row.cost for row in rows if row.cost is not None)
    assert cheapest.threshold < 0.5


def test_costs_are_finite() -> None:
    with pytest.raises(InvalidDefinition, match="finite"):
        Costs(false_positive=float("inf"), false_negative=1.0)
