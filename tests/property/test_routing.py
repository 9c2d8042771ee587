"""Rows routed to parts are answered as if each part had been asked by hand, row by row."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from octavo.training.routing import Outputs, Routes

COLUMN = 1
ODD_PLACES = (-1.0, np.nan, np.inf, -np.inf, 0.5, 1e9, 10_000.0)
places = st.sampled_from([*map(float, range(6)), *ODD_PLACES])
rows = st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), places), max_size=30)
parts = st.dictionaries(st.integers(0, 5), st.floats(-100, 100, width=32), max_size=5)


def adding(number: float) -> Outputs:
    return lambda matrix: matrix[:, 0].astype(np.float64) + number


def matrix_of(given_rows: list[tuple[float, float]]) -> npt.NDArray[np.float32]:
    return np.array(given_rows, dtype=np.float32).reshape(len(given_rows), 2)


@given(rows=rows, added=parts)
def test_a_batch_is_answered_as_each_part_answers_its_rows(
    rows: list[tuple[float, float]], added: dict[int, float]
) -> None:
    routes = Routes(adding(0.0), {place: adding(number) for place, number in added.items()}, column=COLUMN)
    matrix = matrix_of(rows)
    by_hand = [float(value) + added.get(place, 0.0) for value, place in matrix.tolist()]
    assert routes.predict(matrix).tolist() == by_hand


@given(rows=rows, added=parts)
def test_each_part_is_asked_at_most_once(rows: list[tuple[float, float]], added: dict[int, float]) -> None:
    asked: list[int] = []

    def counted(place: int) -> Outputs:
        def outputs(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
            asked.append(place)
            return np.zeros(len(matrix))

        return outputs

    Routes(counted(-1), {place: counted(place) for place in added}, column=COLUMN).predict(matrix_of(rows))
    assert len(asked) == len(set(asked))
