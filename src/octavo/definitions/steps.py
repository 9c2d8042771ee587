"""Steps of a training: functions that run in processes of their own, in order of what they need of each other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, NoReturn, Protocol

from octavo.definitions.code import code_of
from octavo.definitions.types import check_name, seconds, size_bytes
from octavo.errors import InvalidDefinition, TrainingFailed


class StepRunner(Protocol):
    """What runs the steps that a training function calls."""

    def submit(self, step: "Step", arguments: tuple[Any, ...], named: Mapping[str, Any]) -> "Pending":
        """Begin with a step as soon as what it needs is there; returns at once."""


class Pending:
    """What a step will have returned: to be given to other steps, returned by the training, or taken by `result`.

    Parameters
    ----------
    step : str
        Of which step it is the result.
    take : callable
        Waits for the value and returns it.
    call : object
        What its runner knows it by.
    """

    __slots__ = ("_call", "_step", "_take")

    def __init__(self, step: str, take: Callable[[], Any], *, call: object = None) -> None:
        self._step = step
        self._take = take
        self._call = call

    def __repr__(self) -> str:
        return f"<the result of step {self._step!r}, which may not be there yet>"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f".{name}")

    def _refuse(self, use: str, *_: object) -> NoReturn:
        raise TrainingFailed(
            f"the training function uses {use} of what step {self._step!r} returns, which may not be there yet; give "
            "it to another step, or wait for it: oc.result(...)"
        )

    def __bool__(self) -> NoReturn:
        self._refuse("the truth")

    def __len__(self) -> NoReturn:
        self._refuse("the length")

    def __iter__(self) -> NoReturn:
        self._refuse("the items")

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse(f"[{key!r}]")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        self._refuse("the numbers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A function that a training calls as one of its steps. Made by `step`.

    Called where no training runs, in a notebook or a test, it is the plain function.

    Attributes
    ----------
    retries : int
        How often it is tried again after it failed, was killed or took too long.
    pause_s : int
        Before the first of these; twice as long before each further one.
    timeout_s : int or None
        What one try may take, before it is ended with all that it started.
    cache : bool
        Whether a result is taken that an earlier training had by the same code from the same inputs.
    memory_bytes : int or None
        What it and all that it started may take together.
    """

    name: str
    function: Callable[..., Any] = field(repr=False, compare=False)
    retries: int = 0
    pause_s: int = 1
    timeout_s: int | None = None
    cache: bool = True
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name, what="step")
        if type(self.retries) is not int or not 0 <= self.retries <= 100:
            raise InvalidDefinition(f"step {self.name!r}: retries={self.retries!r} is no number from 0 to 100")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run it: as a step where a training runs, else here and now."""
        runner = _runner.get()
        return self.function(*arguments, **named) if runner is None else runner.submit(self, arguments, named)


def step(
    function: Callable[..., Any] | None = None,
    *,
    retries: int = 0,
    pause: str = "1s",
    timeout: str | None = None,
    cache: bool = True,
    memory: str | None = None,
) -> Any:
    """Declare a function as a step of trainings; see `Step`.

    Examples
    --------
    >>> @step(retries=2, timeout="30m", memory="4GB")
    ... def prepare(train):
    ...     return train.X[:100]
    """

    def declare(function: Callable[..., Any]) -> Step:
        return Step(
            name=function.__name__,
            function=function,
            retries=retries,
            pause_s=seconds(pause, what="pause"),
            timeout_s=seconds(timeout, what="timeout") if timeout else None,
            cache=cache,
            memory_bytes=size_bytes(memory, what="memory") if memory else None,
        )

    return declare if function is None else declare(function)


def result(value: Any) -> Any:
    """What a step returned, once it is there; anything else is returned as it is.

    Raises
    ------
    TrainingFailed
        If the step failed.
    """
    return value._take() if isinstance(value, Pending) else value


def code_with_steps(function: Callable[..., Any]) -> str:
    """The code of a training function and, behind it, of the steps that it calls by name; those stand above it."""
    around = getattr(function, "__globals__", {})
    names = dict.fromkeys(_names(function.__code__)) if hasattr(function, "__code__") else {}
    steps = [around[name] for name in names if isinstance(around.get(name), Step)]
    return code_of(function) + "".join(code_of(one.function) for one in steps)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


@contextmanager
def run_by(runner: StepRunner) -> Iterator[None]:
    """Have a runner run the steps that are called in this thread until the block ends."""
    before = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(before)


_runner: ContextVar[StepRunner | None] = ContextVar("step_runner", default=None)
