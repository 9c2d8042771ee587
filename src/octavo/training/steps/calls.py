"""Calls of steps, as data: what each is given, and the job that comes of it."""

import inspect
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octavo.definitions.steps import Step
from octavo.errors import TrainingFailed
from octavo.training.steps.code import StepCode
from octavo.training.steps.jobs import Job

RESULT_OF = "result of"
"""What stands in a document for the result of another call."""

_LONGEST_PARAM = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepCall:
    """A call of a step.

    Attributes
    ----------
    arguments : JSON value
        The document of what it is given; what other steps return stands there by their numbers.
    needs : mapping of number to Future
        Those steps.
    """

    number: int
    step: Step
    code: StepCode
    attribute: str
    arguments: Any
    needs: "Mapping[int, Future[Any]]"
    result: "Future[Any]"


def attribute_of(step: Step) -> str:
    """What a step is called in its module."""
    module = sys.modules.get(step.function.__module__)
    if module is None or module.__name__ == "__main__" or not getattr(module, "__file__", None):
        raise TrainingFailed(f"step {step.name!r} is in no file; declare it in the project's module")
    for name, value in vars(module).items():
        if value is step:
            return name
    raise TrainingFailed(
        f"step {step.name!r} is not at the top of module {module.__name__}, where a process of its own would find it"
    )


def job_of(call: StepCall, given: Any) -> Job:
    """What a process is given to carry out a call."""
    step = call.step
    module = sys.modules[step.function.__module__]
    return Job(
        module=module.__name__,
        file=str(Path(str(module.__file__)).resolve()),
        name=call.attribute,
        arguments=given,
        code=call.code.digest,
        path=tuple(str(Path(entry).resolve()) for entry in sys.path),
        timeout_s=step.timeout_s,
        memory_bytes=step.memory_bytes,
    )


def put_in(node: Any, results: Mapping[int, Any]) -> Any:
    """A document with results of steps in their places."""
    if isinstance(node, list):
        return [put_in(item, results) for item in node]
    if not isinstance(node, dict):
        return node
    if node["is"] == RESULT_OF:
        return results[node["call"]]
    return {key: put_in(value, results) if key == "of" else value for key, value in node.items()}


def params_of(step: Step, given: Any) -> dict[str, str]:
    """Plain arguments by their names, for people to read."""
    positional, named = given["of"][0]["of"], given["of"][1]["of"]
    names: list[str] = list(inspect.signature(step.function).parameters)
    pairs = [*zip(names, positional, strict=False), *((name, value) for name, value in named)]
    return {name: _written(value) for name, value in pairs if isinstance(value, str | int | float | bool)}


def _written(value: str | float | bool) -> str:
    return str(value)[:_LONGEST_PARAM]
