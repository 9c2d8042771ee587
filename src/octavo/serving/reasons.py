"""Reasons for a prediction: what each input contributed to it, beside an ordinary case.

Contributions are Shapley values of the game in which inputs are switched, one after another, from those of a reference
row to those of the prediction; estimated over random orders, each of which is also taken backwards (Strumbelj and
Kononenko, 2014, "Explaining prediction models and individual predictions with feature contributions"; antithetic orders
as in Mitchell, Cooper, Frank and Holmes, 2022). Only the model's answers are asked for, so it may be of any kind.

The orders follow from the prediction's id, so that the reasons of a recorded prediction are the same whenever they are
asked for, as long as its bundle is there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Run = Callable[[Rows], Floats]

REFERENCES = 16
"""How many reference rows are asked about at most."""
_ORDERS = 2 * REFERENCES
"""How many orders are taken at least, those that are taken backwards included; as many of each reference row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reasons:
    """Why an answer is what it is.

    Attributes
    ----------
    base : float
        What the model answers on average for the reference rows.
    contributions : ndarray, shape (n_inputs,), float64
        In the unit of the answer. With `base` they add up to the answer.
    """

    base: float
    contributions: Floats

    @property
    def answer(self) -> float:
        """What the model answers for the row."""
        return float(self.base + self.contributions.sum())


def reasons_of(run: Run, row: Rows, *, reference: Rows, prediction: str) -> Reasons:
    """The reasons for one answer; the model is asked once, for all steps of all orders.

    Parameters
    ----------
    run : callable
        The model: rows of shape (n, n_inputs), float32, to answers of shape (n,).
    row : ndarray, shape (n_inputs,), float32
        The inputs of the prediction.
    reference : ndarray, shape (n_reference, n_inputs), float32
        Ordinary rows, at least one; the first `REFERENCES` count.
    prediction : str
        Its id, which decides the orders.
    """
    reference = reference[:REFERENCES]
    orders = _orders(len(row), n_reference=len(reference), prediction=prediction)
    starts = np.tile(reference, (len(orders) // len(reference), 1))
    answers = run(_steps(row, starts, orders)).reshape(len(orders), len(row) + 1)
    contributions = np.empty((len(orders), len(row)))
    np.put_along_axis(contributions, orders, np.diff(answers, axis=1), axis=1)
    return Reasons(base=float(answers[:, 0].mean()), contributions=contributions.mean(axis=0))


def _orders(n_inputs: int, *, n_reference: int, prediction: str) -> npt.NDArray[np.intp]:
    """Orders of the inputs, shape (a multiple of n_reference, n_inputs): some, then the same backwards, and so on."""
    random = np.random.default_rng(int.from_bytes(blake2b(prediction.encode(), digest_size=16).digest(), "big"))
    rounds = -(-_ORDERS // (2 * n_reference))
    straight = random.permuted(np.tile(np.arange(n_inputs), (rounds, n_reference, 1)), axis=2)
    return np.concatenate([straight, straight[:, :, ::-1]], axis=1).reshape(-1, n_inputs)


def _steps(row: Rows, starts: Rows, orders: npt.NDArray[np.intp]) -> Rows:
    """For each order the rows from its start to `row`: in each, one more input is switched."""
    place = np.empty_like(orders)
    np.put_along_axis(place, orders, np.arange(len(row))[None], axis=1)
    is_switched = place[:, None, :] < np.arange(len(row) + 1)[None, :, None]
    return np.where(is_switched, row, starts[:, None, :]).reshape(-1, len(row))
