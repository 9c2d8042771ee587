"""How many rows a model is given at once."""

from dataclasses import dataclass
from typing import Any

from octavo.serving.pace import Pace


@dataclass(eq=False)
class Model:
    """Stands for a loaded model."""


def learned(*took_ns: int, n_rows: int = 1000) -> int:
    pace, model = Pace(), Model()
    taken: Any = model
    for one in took_ns:
        pace.took(taken, one, n_rows=n_rows)
    return pace.rows_at_once(taken)


def test_a_fast_model_is_given_many_rows_and_a_slow_one_few() -> None:
    assert learned(250_000) == 4096
    assert learned(20_000_000) == 100
    assert learned(10**12) == 64


def test_what_is_not_known_is_given_some_and_few_rows_tell_nothing() -> None:
    assert learned() == 256
    assert learned(10**12, n_rows=1) == 256


def test_one_slow_turn_does_not_change_much() -> None:
    assert learned(2_000_000, 2_000_000_000) > 700
