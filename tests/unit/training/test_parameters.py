"""Hyperparameters: written as text, read back by the kind of their defaults."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workshop import declare

import octavo as oc
from octavo.errors import InvalidRequest
from octavo.training.parameters import parameters_for, parameters_of, written


def tunable(
    train: oc.Dataset,
    *,
    depth: int = 3,
    rate: float = 0.1,
    kind: str = "gbdt",
    early: bool = False,
    seed: int | None = None,
    layers: tuple[int, ...] = (1,),
) -> Any:
    """With one of each kind."""


MODEL = declare(tunable)


def test_they_are_the_arguments_with_plain_defaults() -> None:
    assert parameters_of(tunable) == {"depth": 3, "rate": 0.1, "kind": "gbdt", "early": False, "seed": None}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "depth": st.integers(),
            "rate": st.floats(allow_nan=False),
            "kind": st.text(),
            "early": st.booleans(),
        },
    )
)
def test_what_is_written_is_read_back(values: dict[str, Any]) -> None:
    read = parameters_for(MODEL, written(values))
    assert read == parameters_of(tunable) | values
    assert {name: type(value) for name, value in read.items() if name in values} == {
        name: type(value) for name, value in values.items()
    }


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("0.5", 0.5), ("none", None), ("true", True), ("lots", "lots")])
def test_where_the_default_is_none_the_kind_is_told_by_the_text(text: str, value: object) -> None:
    assert parameters_for(MODEL, {"seed": text})["seed"] == value


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"deep": "3"}, "no parameter 'deep'; there are: depth, rate, kind, early, seed"),
        ({"depth": "3.5"}, "parameter 'depth' is a whole number, as its default 3 is, not '3.5'"),
        ({"early": "yes"}, "is true or false"),
        ({"rate": "fast"}, "is a number"),
    ],
)
def test_what_cannot_be_is_refused(texts: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parameters_for(MODEL, texts)
