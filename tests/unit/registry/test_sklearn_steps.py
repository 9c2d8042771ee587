"""A question about a prepared value, asked of the value that was given, has the same answer for every float32."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PolynomialFeatures, RobustScaler, StandardScaler

from octavo.registry.formats.sklearn_steps import fold, parted

RANDOM = np.random.default_rng(5)
ROWS = RANDOM.normal([0, 1e6, -3], [1, 10, 1e-3], (200, 3))
ROWS[::7, 1] = np.nan
STEPS: dict[str, tuple[Any, ...]] = {
    "imputed and scaled": (SimpleImputer(), StandardScaler()),
    "scaled, missing values left": (RobustScaler(), MinMaxScaler(clip=True)),
    "scaled, then imputed": (MaxAbsScaler(), SimpleImputer(strategy="most_frequent")),
}
FOREST = RandomForestRegressor(n_estimators=1)
LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("case", STEPS)
@pytest.mark.parametrize("single", [True, False])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_answers_are_the_same(case: str, single: bool, data: st.DataObject) -> None:
    steps = make_pipeline(*STEPS[case]).fit(ROWS)
    column, missing = data.draw(st.integers(0, 2)), data.draw(st.booleans())
    near = steps.transform(ROWS)[data.draw(st.integers(0, 199)), column]
    threshold = data.draw(st.one_of(st.floats(-10, 10), st.just(float(near))).filter(np.isfinite))
    (bound,), (answer,) = fold(
        list(STEPS[case]), np.array([column]), np.array([threshold]), np.array([missing]), width=3, single=single
    )
    with np.errstate(over="ignore"):
        beside = [float(np.nextafter(np.float32(bound), np.float32(end))) for end in (-np.inf, np.inf)]
    values = [bound, *beside, np.nan, data.draw(st.floats(width=32, allow_infinity=False))]
    for value in (value for value in values if not abs(value) > LARGEST):
        row = np.zeros((1, 3))
        row[0, column] = value
        prepared = steps.transform(row)[0, column]
        with np.errstate(over="ignore"):
            prepared = float(np.float32(prepared)) if single else prepared
        expected = missing if np.isnan(prepared) else prepared <= threshold
        assert (answer if np.isnan(value) else value <= bound) == expected


def test_nothing_is_asked_of_no_trees() -> None:
    none = np.empty(0)
    bounds, answers = fold([], none.astype(np.int64), none, none.astype(np.bool_), width=3, single=True)
    assert (len(bounds), len(answers)) == (0, 0)


def test_steps_that_treat_columns_by_themselves_are_parted_from_the_trees() -> None:
    imputer, scaler = SimpleImputer(), StandardScaler()
    pipeline = make_pipeline(imputer, "passthrough", scaler, FOREST).fit(np.nan_to_num(ROWS), ROWS[:, 0])
    assert parted(pipeline) == ((imputer, scaler), FOREST)


@pytest.mark.parametrize(
    "step",
    [PolynomialFeatures(2), SimpleImputer(add_indicator=True), SimpleImputer(missing_values=0)],
    ids=["polynomial", "indicator", "zeros"],
)
def test_a_pipeline_with_any_other_step_is_left_whole(step: Any) -> None:
    pipeline = make_pipeline(step, FOREST).fit(np.nan_to_num(ROWS), ROWS[:, 0])
    assert parted(pipeline) == ((), pipeline)
