"""What gates look at beside inputs and labels: kept with the held-out rows, and given to no model."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.workshop import boosted, declare, open_workshop

import octavo as oc
from octavo.features.datasets.training_sets import TrainingSet, build_training_set
from octavo.features.measures import rows_where


def built(folder: Path, *gates: object) -> TrainingSet:
    workshop = open_workshop(folder, declare(boosted, gates=gates))
    return build_training_set(workshop.context.stores.tables, workshop.model, as_of=workshop.now)


def test_columns_that_only_gates_look_at_are_kept_with_the_held_out_rows(tmp_path: Path) -> None:
    found = built(tmp_path, oc.fair("number", metric="error", within=1))
    assert found.watched is not None
    assert found.watched.num_rows == len(found.holdout)
    assert {"shop", "items", "number"} <= set(found.watched.column_names)
    assert found.watched.column("number").type == pa.int64()
    assert "number" not in found.train.columns
    np.testing.assert_array_equal(found.watched.column("items").to_numpy(), found.holdout.X[:, -1])


def test_without_such_gates_the_rows_are_as_they_were(tmp_path: Path) -> None:
    found, plain = built(tmp_path, oc.no_worse_on(["shop", "items"], metric="mae")), built(tmp_path)
    assert found.digest == plain.digest


ROWS = {"x": [1.0, 2.0, None], "s": ["a", None, "b"], "b": [True, False, None], "n": [1, 2, 3]}


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("x > 1", [False, True, False]),
        ("not x > 1", [True, False, False]),
        ("x is None or s == 'a'", [True, False, True]),
        ("s in ('a', 'b') and n >= 3", [False, False, True]),
        ("b == True", [True, False, False]),
        ("n != 2", [True, False, True]),
    ],
)
def test_a_condition_holds_for_rows_of_a_table_and_not_where_that_is_unknown(condition: str, held: list[bool]) -> None:
    whole = pa.table(ROWS)
    for table in (whole, pa.concat_tables([whole.slice(0, 1), whole.slice(1)])):
        assert rows_where(condition, table).tolist() == held
    assert rows_where(condition, whole.slice(0, 0)).tolist() == []
