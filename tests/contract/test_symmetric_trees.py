"""Symmetric trees as arrays owe what their library answers, to the last digits, for one row and for many."""

import io
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.errors import IntegrityError, TrainingFailed
from octavo.registry.formats.catboost import CatBoost
from octavo.registry.formats.symmetric_file import read_trees
from octavo.registry.formats.symmetric_loops import add_many, add_one
from octavo.training.frames import Words

RANDOM = np.random.default_rng(5)
N_ROWS, SHOPS, TOWNS = 600, ("east", "north", "nan", "sü'd\n"), tuple(f"town {n}" for n in range(40))
NUMBERS = np.where(RANDOM.random((N_ROWS, 3)) < 0.1, np.nan, RANDOM.normal(0, 10, (N_ROWS, 3)).astype(np.float32))
PLACES = np.column_stack([RANDOM.integers(0, len(known), N_ROWS) for known in (SHOPS, TOWNS)]).astype(float)
ROWS = np.column_stack([NUMBERS[:, :2], PLACES[:, 0], NUMBERS[:, 2], PLACES[:, 1]])
LABELS = np.nan_to_num(NUMBERS[:, 0]) + 5 * PLACES[:, 0] + np.sin(PLACES[:, 1]) * np.nan_to_num(NUMBERS[:, 2])
WORDS = Words(columns=("a", "b", "shop", "c", "town"), categories={"shop": SHOPS, "town": TOWNS})
OF_WORDS: dict[str, dict[str, Any]] = {
    "statistics of labels": {"one_hot_max_size": 1, "iterations": 200, "model_size_reg": 0},
    "statistics beside words": {"one_hot_max_size": 10, "iterations": 200, "model_size_reg": 0},
    "words alone": {"one_hot_max_size": 255},
    "counts": {"simple_ctr": ["Counter:Prior=0.5"], "combinations_ctr": ["Counter:Prior=1"]},
    "buckets": {"simple_ctr": ["Buckets:TargetBorderCount=3"], "combinations_ctr": ["Buckets:TargetBorderCount=2"]},
    "several borders": {"simple_ctr": ["Borders:TargetBorderCount=4:CtrBorderCount=40"]},
    "means": {"simple_ctr": ["BinarizedTargetMeanValue"]},
}
OF_NUMBERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "missing is greatest": {"nan_mode": "Max"},
    "many borders": {"border_count": 600, "iterations": 400},
    "no tree": {"depth": 1, "iterations": 1, "l2_leaf_reg": 1e30},
    "counts of events": {"loss_function": "Poisson"},
    "deep": {"depth": 10},
}


@cache
def fitted(kind: str) -> tuple[Any, Words | None]:
    from catboost import CatBoostClassifier, CatBoostRegressor

    options = {"iterations": 60, "thread_count": 1, "allow_writing_files": False, "verbose": False}
    if kind == "chances":
        return CatBoostClassifier(**options).fit(NUMBERS, LABELS > 4), None
    if kind in OF_NUMBERS:
        labels = np.abs(LABELS) if kind == "counts of events" else LABELS
        return CatBoostRegressor(**(options | OF_NUMBERS[kind])).fit(NUMBERS, labels), None
    frame = WORDS.frame(ROWS, unseen_is_missing=False, missing="nan")
    return CatBoostRegressor(**(options | OF_WORDS[kind])).fit(frame, LABELS, cat_features=["shop", "town"]), WORDS


@cache
def answering(kind: str) -> tuple[Any, Any]:
    """What the library answers, and what the arrays do."""
    model, words = fitted(kind)
    library, width = CatBoost(), ROWS.shape[1] if words else NUMBERS.shape[1]
    native = library.load(library.save(model), words=words)
    return native, read_trees(library.to_loops(model, n_inputs=width, words=words))


@pytest.mark.parametrize("kind", [*OF_NUMBERS, "chances", *OF_WORDS])
@pytest.mark.parametrize("n_rows", [0, 1, 4, 128, 300])
def test_the_arrays_answer_as_the_library(kind: str, n_rows: int) -> None:
    native, arrays = answering(kind)
    rows = (ROWS if kind in OF_WORDS else NUMBERS)[:n_rows].astype(np.float32)
    assert len(arrays(rows)) == n_rows
    if n_rows:
        assert arrays(rows) == pytest.approx(native(rows), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", OF_WORDS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_the_arrays_answer_words_that_were_never_seen_or_are_missing(kind: str, data: st.DataObject) -> None:
    native, arrays = answering(kind)
    number = st.floats(width=32) | st.sampled_from([0.0, -0.0])
    shop, town = (st.sampled_from([-1.0, np.nan, *map(float, range(len(known)))]) for known in (SHOPS, TOWNS))
    rows = data.draw(st.lists(st.tuples(number, number, shop, number, town), min_size=1, max_size=6))
    matrix = np.array(rows, np.float32)
    assert arrays(matrix) == pytest.approx(native(matrix), rel=1e-6, abs=1e-9)


def test_the_same_model_gives_the_same_bytes() -> None:
    model, words = fitted("statistics of labels")
    first, second = (CatBoost().to_loops(model, n_inputs=5, words=words) for _ in range(2))
    assert first == second


def test_trees_that_are_not_symmetric_are_refused() -> None:
    from catboost import CatBoostRegressor

    options = {"iterations": 5, "allow_writing_files": False, "verbose": False, "thread_count": 1}
    model = CatBoostRegressor(grow_policy="Lossguide", **options).fit(NUMBERS, LABELS)
    with pytest.raises(TrainingFailed, match="only CatBoost's symmetric trees"):
        CatBoost().to_loops(model, n_inputs=3)


def test_a_matrix_of_another_width_is_refused() -> None:
    with pytest.raises(IntegrityError, match="the trees take 3 columns, not 4"):
        answering("plain")[1](np.zeros((2, 4), np.float32))


@pytest.mark.parametrize("n_rows", [1, 8])
@pytest.mark.parametrize("start", [0, 1])
def test_rows_of_bytes_do_not_wait_for_a_compiler(n_rows: int, start: int) -> None:
    _, arrays = answering("plain")
    known = [len(loop.signatures) for loop in (add_one, add_many)]
    rows = np.frombuffer(memoryview(bytes(12 * n_rows + start))[start:], np.float32).reshape(n_rows, 3)
    assert arrays(rows).tolist() == arrays(rows.copy()).tolist()
    assert [len(loop.signatures) for loop in (add_one, add_many)] == known


def changed(kind: str, name: str, change: Any) -> bytes:
    """The file of a model with another array in it."""
    model, words = fitted(kind)
    data = CatBoost().to_loops(model, n_inputs=5 if words else 3, words=words)
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    arrays[name] = change(arrays[name])
    kept = io.BytesIO()
    np.savez(kept, **arrays)
    return kept.getvalue()


def with_field(field: str, value: int) -> Any:
    def change(array: Any) -> Any:
        array[field][0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("inputs", with_field("column", 5)),
        ("inputs", with_field("border_to", 10**9)),
        ("categories", with_field("word_from", -1)),
        ("groups", with_field("count_from", 10**9)),
        ("groups", with_field("statistics", -1)),
        ("groups", with_field("slot_to", 3)),
        ("asked", with_field("feature", 10**6)),
        ("slot", lambda slots: slots * 0),
        ("category", lambda places: places + 9),
        ("feature", lambda features: features + 60_000),
        ("depth", lambda depths: depths + 1),
        ("leaf", lambda leaves: leaves[:-1]),
        ("leaf", lambda leaves: leaves.astype(np.float32)),
    ],
)
def test_arrays_that_point_beyond_themselves_are_refused(name: str, change: Any) -> None:
    with pytest.raises(IntegrityError, match=r"trees cannot be read: .*pack it again"):
        read_trees(changed("statistics of labels", name, change))


def test_what_is_no_file_of_arrays_is_refused() -> None:
    with pytest.raises(IntegrityError, match="trees cannot be read"):
        read_trees(b"no archive")
