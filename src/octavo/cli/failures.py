"""How a command that cannot do what it was asked ends: one line on the error stream, and an exit code."""

import os
import sys

import msgspec
import typer

from octavo.errors import (
    ConfigurationError,
    Conflict,
    GateFailed,
    IntegrityError,
    InvalidDefinition,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OctavoError,
    PredictionFailed,
    TrainingFailed,
    Unavailable,
)

EXIT_CODES: dict[type[OctavoError], int] = {
    ConfigurationError: 3,
    InvalidDefinition: 4,
    InvalidRequest: 5,
    NotAuthenticated: 6,
    NotAllowed: 6,
    NotFound: 7,
    Conflict: 8,
    GateFailed: 9,
    Unavailable: 10,
    IntegrityError: 11,
    TrainingFailed: 12,
    PredictionFailed: 13,
}
OTHER, INTERRUPTED = 1, 130


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error for programs: what stands on the error stream of a command that was called with --json."""

    code: str
    detail: str
    exit_code: int
    field: str | None = None
    fix: str | None = None


def exit_code_of(error: OctavoError) -> int:
    """The exit code of an error, that of the nearest kind in the tree."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), OTHER)


def tell(error: OctavoError, *, as_json: bool) -> None:
    """Write an error to the error stream: a line for people, or a JSON object in a line for programs."""
    field, fix = (error.facts.get(name) for name in ("field", "fix"))
    problem = Problem(
        code=error.code,
        detail=error.message,
        exit_code=exit_code_of(error),
        field=None if field is None else str(field),
        fix=None if fix is None else str(fix),
    )
    _write(problem, as_json=as_json)


def tell_unforeseen(error: Exception, *, as_json: bool) -> None:
    """Write what nobody foresaw to the error stream."""
    problem = Problem(
        code="unexpected",
        detail=f"{type(error).__name__}: {error}",
        exit_code=OTHER,
        fix="nobody foresaw this: octavo --verbose COMMAND shows where it arose",
    )
    _write(problem, as_json=as_json)


def tell_interrupted() -> None:
    """Say that the person ended the command."""
    typer.echo("interrupted", err=True)


def _write(problem: Problem, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(problem), err=True)
        return
    mark = "" if problem.detail.endswith("?") else ";"
    text = problem.detail if problem.fix is None else f"{problem.detail}{mark} {problem.fix}"
    typer.echo(f"{_red('error')} {problem.code}: {' '.join(text.split())}", err=True)


def _red(text: str) -> str:
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return typer.style(text, fg=typer.colors.RED, bold=True) if coloured else text
