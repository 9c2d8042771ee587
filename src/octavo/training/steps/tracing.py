"""The graph of a training's steps, found out without running any: for those who plan them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from octavo.definitions.models import Model
from octavo.definitions.steps import Pending, Step, run_by
from octavo.errors import TrainingFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedStep:
    """A call of a step.

    Attributes
    ----------
    number : int
        From 0, in the order in which the training function calls them.
    needs : tuple of int
        The numbers of those whose results it is given.
    """

    number: int
    step: Step
    needs: tuple[int, ...]


def steps_of(model: Model) -> tuple[TracedStep, ...] | None:
    """The steps of a model's training; None where they depend on what the rows or results are."""
    tracing = _Tracing()
    try:
        with run_by(tracing):
            model.train(Pending("the training set", _not_there))
    except Exception:  # the function may do anything with what is not there
        return None
    return tuple(tracing.steps)


class _Tracing:
    """Notes what is called, and runs nothing."""

    def __init__(self) -> None:
        self.steps: list[TracedStep] = []

    def submit(self, step: Step, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Pending:
        needs = {pending._call for pending in _pendings([arguments, dict(named)])}
        number = len(self.steps)
        known = tuple(sorted(call for call in needs if isinstance(call, int)))
        self.steps.append(TracedStep(number=number, step=step, needs=known))
        return Pending(step.name, _not_there, call=number)


def _pendings(value: Any) -> Iterator[Pending]:
    if isinstance(value, Pending):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _pendings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _pendings(item)


def _not_there() -> Any:
    raise TrainingFailed("nothing is run while the steps of a training are found out")
