"""The parts of a report that are looked at: slices, partial dependence, the held-out rows' profile."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from tests.unit.registry.gated import candidate

import octavo as oc
from octavo.definitions.datasets import Dataset
from octavo.training.dependence import partial_dependence
from octavo.training.detailing import held_out
from octavo.training.profiling import profile
from octavo.training.reports import Report, decode_report, encode_report
from octavo.training.slicing import cut

Floats = npt.NDArray[np.float64]
N = 2_000
RANDOM = np.random.default_rng(5)
SHOP = RANDOM.choice(["north", "south", "east"], N)
LABELS = RANDOM.normal(10, 3, N)
NOISE = RANDOM.normal(0, 1, N)


def rows_of(**columns: object) -> pa.Table:
    return pa.table(columns)


def test_a_column_is_cut_by_its_values() -> None:
    cuts = cut(rows_of(shop=["a", "b", "a", None], open=[True, False, None, True]), ["shop", "open"])
    assert {one.name: one.chosen.tolist() for one in cuts} == {
        "shop = a": [True, False, True, False],
        "shop = b": [False, True, False, False],
        "shop missing": [False, False, False, True],
        "open = True": [True, False, False, True],
        "open = False": [False, True, False, False],
        "open missing": [False, False, True, False],
    }


def test_numbers_are_cut_in_quarters_and_each_row_is_in_one_slice() -> None:
    cuts = cut(rows_of(x=pa.array([*map(float, range(100)), None])), ["x"])
    assert [one.name for one in cuts] == ["x < 24.75", "x 24.75 to 49.5", "x 49.5 to 74.25", "x >= 74.25", "x missing"]
    assert np.sum([one.chosen for one in cuts], axis=0).tolist() == [1] * 101


def test_infinities_lie_in_the_outer_quarters() -> None:
    cuts = cut(rows_of(x=[-np.inf, *map(float, range(100)), np.inf]), ["x"])
    assert [one.rows for one in cuts] == [26, 25, 25, 26]


def test_a_few_numbers_are_slices_of_their_own() -> None:
    assert [one.name for one in cut(rows_of(x=[1, 2, 2, 5]), ["x"])] == ["x = 1", "x = 2", "x = 5"]


def test_a_condition_cuts_what_holds() -> None:
    [found] = cut(rows_of(x=[1.0, 2.0, None], s=["a", "b", "a"]), [oc.where("x > 1 or s == 'a'")])
    assert found.chosen.tolist() == [True, True, True]
    assert cut(rows_of(x=[1.0]), [oc.where("x > 9")]) == []


def report(predictions: Floats, *, labels: Floats = LABELS, above: float | None = None) -> Report:
    gates = [oc.no_worse_on([oc.where("shop == 'north'")], metric="mae" if above is None else "log_loss")]
    made = candidate(gates, labels=labels, predictions=predictions, rows={"shop": SHOP.tolist()}, above=above)
    return made.trained.report


def test_the_worst_slice_is_found_and_the_named_one_is_shown() -> None:
    found = report(LABELS + NOISE * np.where(SHOP == "east", 3.0, 1.0)).details
    assert found is not None
    worst = found.slices[0]
    assert (worst.name, worst.is_sure, worst.is_named) == ("shop = east", True, False)
    assert worst.metric.value == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.1)
    assert worst.beyond == pytest.approx(2 * np.sqrt(2 / np.pi), rel=0.1)
    [named] = [one for one in found.slices if one.is_named]
    assert (named.name, named.is_sure) == ("shop == 'north'", False)
    assert found.searched >= 10


def test_where_no_slice_is_worse_none_is_sure() -> None:
    unsure = [report(LABELS + RANDOM.normal(0, 1, N)).details for _ in range(5)]
    assert sum(one.is_sure for found in unsure for one in found.slices) <= 1


def test_a_binary_report_has_curves_and_thresholds_and_can_be_kept() -> None:
    labels = (RANDOM.random(N) < 0.4).astype(float)
    found = report(np.clip(labels * 0.3 + RANDOM.random(N) * 0.7, 0.01, 0.99), labels=labels, above=0.5)
    details = found.details
    assert details.roc[0].threshold is None
    assert details.precision_recall
    assert {row.why for row in details.thresholds} == {"", "default", "greatest f1"}
    assert found.errors is None
    assert decode_report(encode_report(found)) == found


def test_a_report_of_numbers_has_its_errors() -> None:
    found = report(LABELS + 1.0 + NOISE * 0.1)
    assert found.errors.mean == pytest.approx(1.0, abs=0.01)
    assert (found.details.roc, found.details.thresholds) == ((), ())
    assert decode_report(encode_report(found)) == found


def test_importance_is_told_with_intervals() -> None:
    losses = report(LABELS + NOISE).details.importance
    assert losses["items"].low > 1.0
    assert losses["takings__spent_latest"].value == 0.0


def dataset(matrix: Floats, **categories: tuple[str, ...]) -> Dataset:
    times = np.arange(len(matrix)).astype("datetime64[us]")
    return Dataset(columns=("a", "b"), X=matrix, y=np.zeros(len(matrix)), times=times, categories=categories)


def test_dependence_follows_the_model() -> None:
    matrix = RANDOM.normal(0, 1, (1_000, 2))
    found = partial_dependence(lambda rows: rows[:, 0] * 2 + rows[:, 1], dataset(matrix), importance={"a": 1, "b": 0})
    assert [one.input for one in found] == ["a"]
    points = found[0].points
    assert 8 <= len(points) <= 12
    slopes = np.diff([p.mean for p in points]) / np.diff([p.value for p in points])
    assert slopes == pytest.approx([2.0] * len(slopes))
    assert all(p.low < p.mean < p.high for p in points)


def test_dependence_on_a_category_is_by_its_words() -> None:
    matrix = np.column_stack([RANDOM.integers(-1, 2, 500), np.zeros(500)]).astype(float)
    rows = dataset(matrix, a=("x", "y"))
    [found] = partial_dependence(lambda given: given[:, 0], rows, importance={"a": 1.0})
    assert [(p.word, p.mean) for p in found.points] == [("x", 0.0), ("y", 1.0)]


def test_an_input_that_is_always_missing_has_no_dependence() -> None:
    rows = dataset(np.full((10, 2), np.nan))
    assert partial_dependence(lambda given: np.zeros(len(given)), rows, importance={"a": 1.0}) == ()


def test_held_out_rows_are_counted_in_the_bins_of_training() -> None:
    column = RANDOM.normal(0, 1, N)
    same, moved = held_out(profile(column), column), held_out(profile(column), np.append(column + 1.0, [np.nan] * N))
    assert same.index == pytest.approx(0.0, abs=1e-12)
    assert moved.index > 0.5
    assert moved.missing == 0.5
    assert sum(moved.shares) == pytest.approx(1.0)
    assert held_out(profile([np.nan]), np.array([1.0])).index == 0.0
