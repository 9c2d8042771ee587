"""A model that is a sum over its columns: its file, and the loop that answers from it, compiled to machine code.

The file is JSON, as a scorecard reads: what each number weighs, what each word is worth. It has no places that could
point elsewhere, and no number that is not finite.
"""

from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from octavo.errors import IntegrityError
from octavo.features.online.compiled import Singles, Table, compiled, table
from octavo.registry.formats import Floats, Outputs
from octavo.registry.loops import singles


class Link(StrEnum):
    """What becomes of the sum."""

    IDENTITY = "identity"
    LOGISTIC = "logistic"


class Number(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="number"):
    """A column whose values are weighed.

    Attributes
    ----------
    missing : float or None
        What a missing one adds; None where the model refuses it.
    """

    weight: float
    missing: float | None


class Category(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="category"):
    """A column of places of words, each of which adds something; None where the model refuses it."""

    words: tuple[float | None, ...]
    unseen: float | None
    missing: float | None


class Linear(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model whose answer is the link of a sum.

    Attributes
    ----------
    start : float
        What the columns are added to.
    columns : tuple of Number and Category
        Of the matrix, in their order.
    """

    link: Link
    start: float
    columns: tuple[Number | Category, ...]


_TABLES = table("column", "first", "words")
"""What a category's words are worth begins at `first` with that of a word that training did not have."""


def write_linear(model: Linear) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(model, order="deterministic")


def read_linear(data: bytes) -> Outputs:
    """What answers rows, shape (n_rows, n_inputs), rounded to float32; its loop is compiled before it is returned.

    Raises
    ------
    IntegrityError
        If the bytes are no such file.
    """
    try:
        model = msgspec.json.decode(data, type=Linear)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise IntegrityError(f"the file of a linear model cannot be read: {error}; pack it again") from error
    n_inputs, start, is_logistic = len(model.columns), model.start, model.link is Link.LOGISTIC
    weights = np.array([one.weight if isinstance(one, Number) else 0.0 for one in model.columns], np.float64)
    missing = np.array([one.missing for one in model.columns], np.float64)
    tables, worth = _tables(model)

    def outputs(rows: npt.NDArray[Any]) -> Floats:
        if rows.shape[1] != n_inputs:
            raise IntegrityError(f"the linear model takes {n_inputs} columns, not {rows.shape[1]}")
        answers = np.empty(len(rows))
        _answer(singles(rows), start, weights, missing, tables, worth, is_logistic, answers)
        return answers

    row = np.zeros((1, n_inputs), np.float32)
    outputs(row)
    row.flags.writeable = False  # as rows are that came as bytes, for which machine code is another
    outputs(row)
    return outputs


def _tables(model: Linear) -> tuple[Table, Floats]:
    rows: list[tuple[int, int, int]] = []
    worth: list[float | None] = []
    for column, one in enumerate(model.columns):
        if isinstance(one, Category):
            rows.append((column, len(worth), len(one.words)))
            worth += [one.unseen, *one.words]
    return np.array(rows, _TABLES), np.array(worth, np.float64)


@compiled
def _answer(
    rows: Singles,
    start: float,
    weights: Floats,
    missing: Floats,
    tables: Table,
    worth: Floats,
    is_logistic: bool,
    answers: Floats,
) -> None:
    for row in range(len(rows)):
        total = start
        for column in range(len(weights)):
            value = rows[row, column]
            total += missing[column] if np.isnan(value) else weights[column] * value
        for of in tables:
            value = rows[row, of.column]
            if 0 <= value < of.words:
                total += worth[of.first + 1 + np.int64(value)]
            elif not np.isnan(value):
                total += worth[of.first]
        answers[row] = 1 / (1 + np.exp(-total)) if is_logistic else total
