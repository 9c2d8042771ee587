"""Parts of a model: which are fitted, which are kept, and what is said of those that are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workshop import declare, open_workshop

import octavo as oc
from octavo.errors import InvalidDefinition, TrainingFailed
from octavo.training import partitions
from octavo.training.fit import TrainedModel, train
from octavo.training.reports import Partition, decode_report, encode_report
from octavo.training.routing import Partitioned

FEATURES = [oc.request("items", oc.Float64), oc.request("shop", oc.Category, required=False)]
PRICES = {"south": 5.0}


def line(train: oc.Dataset) -> Any:
    """What an item costs, whatever the shop."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(make_column_transformer(("passthrough", ["items"])), LinearRegression()).fit(train.X, train.y)


def only_all(train: oc.Dataset) -> Any:
    """Cannot be fitted on one shop."""
    if train.X["shop"].nunique() == 1:
        raise ValueError("one shop is no world")
    return line(train)


def declared(function: Callable[[oc.Dataset], Any] = line, **changes: Any) -> Any:
    settings = {"features": FEATURES, "baseline": None, "partition_by": "shop", "partition_min_rows": 300}
    return declare(function, **(settings | changes))


def trained(folder: Path, model: Any, *, prices: dict[str, float] | None = None) -> TrainedModel:
    workshop = open_workshop(folder, model, prices=prices)
    return train(workshop.context, workshop.model, as_of=workshop.now)


def partition_of(found: TrainedModel) -> Partition:
    assert found.report.partition is not None
    return found.report.partition


def test_a_word_whose_rows_differ_gets_a_part(tmp_path: Path) -> None:
    found = trained(tmp_path, declared(), prices=PRICES)
    assert isinstance(found.estimator, Partitioned)
    assert {part.word for part in partition_of(found).kept} == {"east", "north", "south"}
    assert set(found.estimator.parts) == {0, 1, 2}


def test_a_kept_part_is_surely_better_on_the_rows_of_its_word(tmp_path: Path) -> None:
    for part in partition_of(trained(tmp_path, declared(), prices=PRICES)).kept:
        assert part.part is not None
        assert part.parent is not None
        assert part.difference is not None
        assert part.part - part.parent == pytest.approx(part.difference.value)
        assert part.difference.high < 0


def test_parts_that_are_not_better_are_not_kept(tmp_path: Path) -> None:
    found = trained(tmp_path, declared())
    assert not isinstance(found.estimator, Partitioned)
    assert {part.why for part in partition_of(found).parts} == {"not surely better than the model for all"}


def test_where_more_is_better_a_part_with_more_is_kept(tmp_path: Path) -> None:
    found = partition_of(trained(tmp_path, declared(metrics=["r2"]), prices=PRICES))
    assert found.metric == "r2"
    assert all(part.difference is not None and part.difference.low > 0 for part in found.kept)
    assert found.kept


def test_words_with_too_few_rows_are_only_counted(tmp_path: Path) -> None:
    found = partition_of(trained(tmp_path, declared(partition_min_rows=100_000)))
    assert (found.parts, found.smaller, found.min_rows) == ((), 3, 100_000)


def test_a_part_with_hardly_any_held_out_rows_is_not_kept(tmp_path: Path) -> None:
    found = partition_of(trained(tmp_path, declared(holdout="12h"), prices=PRICES))
    assert {part.why for part in found.parts} == {
        f"{part.held_out} held-out rows, of at least 30" for part in found.parts
    }


def test_a_part_that_cannot_be_fitted_leaves_its_word_to_the_model_for_all(tmp_path: Path) -> None:
    found = partition_of(trained(tmp_path, declared(only_all), prices=PRICES))
    assert not found.kept
    assert {part.why for part in found.parts} == {
        "the training function 'only_all' raised ValueError: one shop is no world"
    }


def another_kind(train: oc.Dataset) -> Any:
    """Another estimator for one shop."""
    from sklearn.linear_model import LinearRegression

    if train.X["shop"].nunique() == 1:
        return LinearRegression().fit(train.X[["items"]], train.y)
    return line(train)


def test_a_part_of_another_kind_is_not_kept(tmp_path: Path) -> None:
    found = partition_of(trained(tmp_path, declared(another_kind), prices=PRICES))
    assert {part.why for part in found.parts} == {"a LinearRegression, where the model for all is a Pipeline"}


def test_parts_are_never_pickles(tmp_path: Path) -> None:
    def kept_as_code(train: oc.Dataset) -> Any:
        return oc.pickled(line(train))

    with pytest.raises(TrainingFailed, match="a pickle, and is partitioned by shop; parts are only kept as data"):
        trained(tmp_path, declared(kept_as_code))


def test_only_the_words_with_most_rows_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = partition_of(trained(tmp_path, declared(), prices=PRICES)).parts
    assert [part.rows for part in every] == sorted((part.rows for part in every), reverse=True)
    monkeypatch.setattr(partitions, "MOST_PARTS", 2)
    (tmp_path / "again").mkdir()
    found = partition_of(trained(tmp_path / "again", declared(), prices=PRICES))
    assert [part.word for part in found.parts] == [part.word for part in every[:2]]
    assert (found.smaller, found.beyond) == (0, 1)
    assert found.words == "2 of 2 parts by shop answer their words; passed over, as others have more rows: 1"


def test_the_more_words_the_surer_each_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    for most in (1, 3):
        monkeypatch.setattr(partitions, "MOST_PARTS", most)
        (tmp_path / str(most)).mkdir()
        gain = partition_of(trained(tmp_path / str(most), declared(), prices=PRICES)).parts[0].difference
        assert gain is not None
        widths.append(gain.high - gain.low)
    assert widths[1] > widths[0]


def test_the_report_judges_the_parts_and_not_the_model_for_all(tmp_path: Path) -> None:
    found = trained(tmp_path, declared(), prices=PRICES)
    parents = [part.parent for part in partition_of(found).parts if part.parent is not None]
    assert found.report.metrics["mae"].value < 0.5 * np.mean(parents)


def test_a_report_with_parts_is_read_back(tmp_path: Path) -> None:
    report = trained(tmp_path, declared(), prices=PRICES).report
    assert decode_report(encode_report(report)) == report


@pytest.mark.parametrize("name", ["items", "city"])
def test_a_model_is_partitioned_by_a_category_of_its_own(name: str) -> None:
    with pytest.raises(InvalidDefinition, match=rf"partition_by='{name}' is none of its categories \(shop\)"):
        declared(partition_by=name)


def test_how_many_rows_a_part_needs_is_only_said_of_parts() -> None:
    with pytest.raises(InvalidDefinition, match="partition_min_rows says nothing without partition_by"):
        declared(partition_by=None)


def test_a_part_needs_a_row() -> None:
    with pytest.raises(InvalidDefinition, match="partition_min_rows=0 must be at least 1"):
        declared(partition_min_rows=0)
