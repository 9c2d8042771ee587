"""Functions that come after a model: they make its answer of what it says and of what it was given."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from octavo.definitions.code import code_of
from octavo.definitions.types import check_name
from octavo.errors import InvalidDefinition

PREDICTION = "prediction"
"""The parameter that is given the model's output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterModel:
    """A function that makes the answer of a model's output. Made by `after_model`.

    Attributes
    ----------
    inputs : tuple of str
        By the names of the function's parameters: ``prediction``, and inputs of the model.
    function : callable
        Takes one array per input, shape (n_rows,): the output as float64, numbers as the model was given them, which is
        rounded to float32, NaN where missing and a default where one stands in; words of categories as object, None for
        none and for one that training did not know. Returns an array of shape (n_rows,) that becomes float64. Must not
        look at anything else.
    """

    name: str
    inputs: tuple[str, ...]
    function: Callable[..., Any] = field(repr=False, compare=False)
    source_code: str = field(repr=False, default="")
    description: str = ""

    def __str__(self) -> str:
        return words_of_answer(self.name, self.inputs)


def after_model(function: Callable[..., Any], /) -> AfterModel:
    """Declare a function that makes a model's answer of its output, for ``oc.model(answer=...)``.

    Its parameters are ``prediction`` and those inputs of the model that it takes besides.

    Raises
    ------
    InvalidDefinition
        If it does not take ``prediction``, or takes what has no name of its own.
    """
    name = check_name(function.__name__, what="function after the model")
    parameters = inspect.signature(function).parameters
    loose = [one for one in parameters.values() if one.kind not in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if loose:
        raise InvalidDefinition(f"{name!r} takes {loose[0]} by keyword or in any number; name each input in its place")
    if PREDICTION not in parameters:
        raise InvalidDefinition(
            f"{name!r} does not take {PREDICTION!r}, which is what the model says; a function under oc.after_model "
            f"makes the answer of it: def {name}({', '.join([PREDICTION, *parameters])})"
        )
    return AfterModel(
        name=name,
        inputs=tuple(parameters),
        function=function,
        source_code=code_of(function),
        description=inspect.getdoc(function) or "",
    )


def check_answer(answer: AfterModel, *, inputs: Collection[str], label: str, what: str) -> None:
    """Refuse a function that takes what its model does not.

    Raises
    ------
    InvalidDefinition
    """
    if not isinstance(answer, AfterModel):
        raise InvalidDefinition(f"{what}: answer is {answer!r}; declare a function under oc.after_model")
    if PREDICTION in inputs:
        raise InvalidDefinition(
            f"{what}: one of its inputs is called {PREDICTION!r}, by which {answer.name!r} is given what the model "
            "says; rename the input"
        )
    unknown = [name for name in answer.inputs if name not in {*inputs, PREDICTION}]
    if label in unknown:
        raise InvalidDefinition(f"{what}: {answer.name!r} takes the label {label!r}, which no request knows (a leak)")
    if unknown:
        nearest = get_close_matches(unknown[0], inputs, n=1, cutoff=0.6)
        raise InvalidDefinition(
            f"{what}: {answer.name!r} takes {', '.join(unknown)}, which is none of the model's inputs; it may take "
            f"{PREDICTION!r}, numbers, categories, on-demand features, and features of views (view__feature)"
            f"{f'; did you mean {nearest[0]!r}?' if nearest else ''}"
        )


def words_of_answer(name: str, inputs: Collection[str]) -> str:
    """``calibrated(prediction, distance)``."""
    return f"{name}({', '.join(inputs)})"
