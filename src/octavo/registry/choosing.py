"""Which form of a model answers how many rows: measured on real rows when the model is packed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from octavo.registry.forms import Form, FormChoice, Forms, Measured
from octavo.registry.served import Outputs

BATCHES = (1, 16, 256, 4_096)
FASTER = 1.3
"""How many times faster a form must be than those before it: a native one needs its library wherever it is loaded."""

_SEED, _LEAST_S, _CALLS = 0, 0.02, 3


def choose_forms(
    outputs: Mapping[Form, Outputs], real: npt.NDArray[np.floating], *, timer: Callable[[], float], uncompiled: str = ""
) -> Forms:
    """Measure each form and choose.

    Parameters
    ----------
    outputs : mapping of form to callable
        At least one; each is preferred to those behind it.
    real : ndarray, shape (n_rows, n_inputs), at least one row
    timer : callable
        Seconds, rising.
    uncompiled : str
        Why there is no compiled form.
    """
    measured = tuple(one for form, run in outputs.items() for one in _measure(form, run, real, timer=timer))
    took = {(one.form, one.rows): one.us for one in measured}
    chosen = []
    for rows in BATCHES:
        fastest, *others = outputs
        for form in others:
            if took[form, rows] * FASTER <= took[fastest, rows]:
                fastest = form
        chosen.append(FormChoice(form=fastest, from_rows=rows))
    return Forms(forms=_where_they_change(chosen), measured=measured, uncompiled=uncompiled)


def forms_alike(alike: Forms, outputs: Mapping[Form, Outputs], *, uncompiled: str = "") -> Forms:
    """The forms of a model by what was measured for another of its kind; where it lacks a form, its first one answers.

    Parameters
    ----------
    outputs, uncompiled
        As for `choose_forms`.
    """
    first = next(iter(outputs))
    chosen = [
        FormChoice(form=choice.form if choice.form in outputs else first, from_rows=choice.from_rows)
        for choice in alike.forms
    ]
    return Forms(forms=_where_they_change(chosen), uncompiled=uncompiled)


def _where_they_change(chosen: Sequence[FormChoice]) -> tuple[FormChoice, ...]:
    return tuple(one for place, one in enumerate(chosen) if not place or chosen[place - 1].form is not one.form)


def _measure(
    form: Form, outputs: Outputs, real: npt.NDArray[np.floating], *, timer: Callable[[], float]
) -> list[Measured]:
    """The shortest time of each batch."""
    drawn = np.random.default_rng(_SEED).integers(len(real), size=BATCHES[-1])
    with np.errstate(over="ignore"):
        rows = real[drawn].astype(np.float32)
    return [
        Measured(form=form, rows=size, us=round(_shortest_s(outputs, rows, size, timer=timer) * 1e6, 1))
        for size in BATCHES
    ]


def _shortest_s(outputs: Outputs, rows: npt.NDArray[np.float32], size: int, *, timer: Callable[[], float]) -> float:
    """Of calls with other rows each time: a repeated row flatters a model of trees."""
    batches = [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]
    outputs(batches[0])
    shortest, spent, calls = np.inf, 0.0, 0
    while calls < _CALLS or (spent < _LEAST_S and calls < len(batches)):
        batch = batches[calls % len(batches)]
        began = timer()
        outputs(batch)
        took = timer() - began
        shortest, spent, calls = min(shortest, took), spent + took, calls + 1
    return float(shortest)
