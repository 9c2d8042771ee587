"""Why a recorded prediction was what it was: its reasons, from its inputs and the very bytes that answered."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from octavo.errors import IntegrityError, InvalidRequest
from octavo.monitoring.opened import open_model
from octavo.monitoring.predictions import answer_of
from octavo.serving.reasons import reasons_of
from octavo.stores.ports import Stores

_CLOSE = 1e-3
"""Relative: how far the answer may be from the one that was given, on another machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What one input contributed.

    Attributes
    ----------
    value : float or None
        None where the model was given NaN.
    contribution : float
        In the unit of the answer.
    """

    input: str
    value: float | None
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A prediction taken apart.

    Attributes
    ----------
    base : float
        What the version answers on average for real rows that were held out from its training.
    output : float
        What it answered; `base` and all contributions add up to it, or to `before`.
    before : float or None
        What the model said before the function that comes after it, which the reasons are about; None if none does.
    reasons : tuple of Reason
        Of all inputs, the largest contribution first.
    """

    prediction: str
    model: str
    version: int
    base: float
    output: float
    reasons: tuple[Reason, ...]
    before: float | None = None


def explain_prediction(stores: Stores, prediction: str) -> Explanation:
    """The reasons for a recorded prediction: those that a caller was told, or would have been.

    Raises
    ------
    NotFound
        If no such prediction has come into the table.
    InvalidRequest
        If it is one of a composite, or its version failed.
    IntegrityError
        If the bundle is gone, damaged, or does not answer as it did.
    """
    row, _ = answer_of(stores.tables, prediction)
    if not row["model"]:
        raise InvalidRequest(
            f"prediction {prediction} is one of the composite {row['deployment']!r}; ask for the reasons of a node's",
            field="prediction",
            fix=f"see its nodes: octavo predictions show {prediction}",
        )
    inputs, output = np.frombuffer(row["inputs"], "<f4"), row["output"]
    if not len(inputs) or not np.isfinite(output):
        raise InvalidRequest(f"prediction {prediction} failed, so that there is nothing to explain", field="prediction")
    opened = open_model(stores.artifacts, row["digest"])
    opened.check_width(len(inputs))
    found = reasons_of(opened.model.predict, inputs, reference=opened.golden.reference, prediction=prediction)
    before = found.answer
    has_more = opened.plan.answer is not None
    answered = float(opened.predict(inputs[None]).item()) if has_more else before
    _check_same(answered, row, prediction=prediction)
    order = np.argsort(-np.abs(found.contributions), kind="stable").tolist()
    return Explanation(
        prediction=prediction,
        model=row["model"],
        version=row["version"],
        base=found.base,
        output=output,
        reasons=tuple(
            Reason(
                input=opened.plan.inputs[place],
                value=value if np.isfinite(value := float(inputs[place])) else None,
                contribution=float(found.contributions[place]),
            )
            for place in order
        ),
        before=before if has_more else None,
    )


def _check_same(answered: float, row: dict[str, Any], *, prediction: str) -> None:
    if not abs(answered - row["output"]) <= _CLOSE * max(1.0, abs(row["output"])):
        raise IntegrityError(
            f"{row['model']} {row['version']} answers {answered:.9g} here where it answered {row['output']:.9g}; this "
            f"machine's runtime does not reproduce it, so the reasons for {prediction} are not known here"
        )
