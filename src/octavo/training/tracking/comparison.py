"""What differs between runs: parameters, code, packages, data, metrics. What is equal is left out."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from octavo.errors import InvalidRequest, NotFound
from octavo.operations import Context, Operations
from octavo.stores.ports import Artifacts
from octavo.training.runs import Run
from octavo.training.tracking import recording

operations = Operations()

MOST_COMPARED = 20
_MOST_LINES = 2_000
_FACTS: tuple[tuple[str, Callable[[Run], str]], ...] = (
    ("status", lambda run: run.status),
    ("model", lambda run: run.model),
    ("experiment", lambda run: run.belongs_to),
    ("dataset", lambda run: run.dataset),
    ("rows", lambda run: f"{run.rows:,}" if run.rows else ""),
    ("code", lambda run: run.code),
    ("commit", lambda run: run.git.commit if run.git else ""),
    ("branch", lambda run: run.git.branch if run.git else ""),
    ("uncommitted", lambda run: ("yes" if run.git.dirty else "no") if run.git else ""),
    ("by", lambda run: run.by),
    ("source", lambda run: run.source),
    ("error", lambda run: run.error),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRuns:
    """Two runs or more.

    Attributes
    ----------
    baseline : str or None
        The one that the others are held against; the first unless given.
    """

    runs: tuple[str, ...]
    baseline: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not the same in all runs.

    Attributes
    ----------
    values : tuple of str or None
        Of each run, in their order; None where it has none.
    """

    name: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """A metric that is not the same in all runs.

    Attributes
    ----------
    values, deltas : tuple of float or None
        Of each run; and how much it is above the baseline's. None where there is none.
    """

    name: str
    values: tuple[float | None, ...]
    deltas: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDifference:
    """How a run's code differs from the baseline's, as a unified difference; `note` says what could not be compared."""

    run: str
    text: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs beside each other, the baseline first, by only what differs.

    Attributes
    ----------
    alike : mapping of str to int
        How many parameters, tags, metrics, packages and facts are the same in all, and so left out.
    """

    runs: tuple[Run, ...]
    facts: tuple[Difference, ...] = ()
    params: tuple[Difference, ...] = ()
    metrics: tuple[MetricDifference, ...] = ()
    tags: tuple[Difference, ...] = ()
    packages: tuple[Difference, ...] = ()
    hardware: tuple[Difference, ...] = ()
    code: tuple[CodeDifference, ...] = ()
    alike: Mapping[str, int] = field(default_factory=dict)

    @property
    def baseline(self) -> Run:
        return self.runs[0]


@operations.operation("runs.compare", request=CompareRuns, permission="models:read", long=True)
def compare_runs(request: CompareRuns, context: Context) -> Comparison:
    """Show what differs between runs."""
    with context.transaction() as tx:
        found = [recording.find_run(tx, run) for run in request.runs]
        baseline = recording.find_run(tx, request.baseline) if request.baseline else None
    runs = list({run.id: run for run in ([baseline] if baseline else []) + found}.values())
    if not 2 <= len(runs) <= MOST_COMPARED:
        raise InvalidRequest(
            f"{len(runs)} different runs cannot be compared", field="runs", fix=f"name 2 to {MOST_COMPARED}"
        )
    return compared(runs, context.stores.artifacts)


def compared(runs: Sequence[Run], artifacts: Artifacts) -> Comparison:
    """Runs compared, the first being the baseline."""
    packages = [_packages(run, artifacts) for run in runs]
    parts: dict[str, list[Mapping[str, str]]] = {
        "facts": [{name: value for name, of in _FACTS if (value := of(run))} for run in runs],
        "params": [run.params for run in runs],
        "tags": [run.tags for run in runs],
        "packages": list(packages),
        "hardware": [run.hardware for run in runs],
    }
    differing = {part: _differences(values) for part, values in parts.items()}
    metrics = _metrics(runs)
    alike = {part: len(set().union(*values)) - len(differing[part]) for part, values in parts.items()}
    alike["metrics"] = len(set().union(*(run.metrics for run in runs))) - len(metrics)
    code = tuple(difference for run in runs[1:] if (difference := _code(runs[0], run, artifacts)) is not None)
    return Comparison(runs=tuple(runs), metrics=metrics, code=code, alike=alike, **differing)


def _differences(values: Sequence[Mapping[str, str]]) -> tuple[Difference, ...]:
    names = dict.fromkeys(name for one in values for name in one)
    rows = [Difference(name=name, values=tuple(one.get(name) for one in values)) for name in names]
    return tuple(row for row in rows if len(set(row.values)) > 1)


def _metrics(runs: Sequence[Run]) -> tuple[MetricDifference, ...]:
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run.metrics):
        values = tuple(run.metrics.get(name) for run in runs)
        if any(not _same(value, values[0]) for value in values[1:]):
            base = values[0]
            deltas = tuple(None if v is None or base is None or i == 0 else v - base for i, v in enumerate(values))
            rows.append(MetricDifference(name=name, values=values, deltas=deltas))
    return tuple(rows)


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one == other or (math.isnan(one) and math.isnan(other))


def _packages(run: Run, artifacts: Artifacts) -> dict[str, str]:
    if not run.environment:
        return {}
    lines = artifacts.get(run.environment).decode("utf-8", "replace").splitlines()
    return {name: version for name, found, version in (line.partition("==") for line in lines) if found}


def _code(baseline: Run, run: Run, artifacts: Artifacts) -> CodeDifference | None:
    """How the code differs; None if it does not, as far as it is known."""
    modules = [_modules(one, artifacts) for one in (baseline, run)]
    if modules[0] is not None and modules[1] is not None:
        text = _unified(modules[0], modules[1])
        return CodeDifference(run=run.id, text=text) if text else None
    states = [(one.git.commit, one.git.diff) if one.git else None for one in (baseline, run)]
    if None in states:
        return None
    if states[0] == states[1]:
        return None
    old, new = (one.git.commit[:12] if one.git else "" for one in (baseline, run))
    note = "" if old == new else f"git diff {old} {new} shows what was committed between them"
    return CodeDifference(run=run.id, text=_unified(_changes(baseline, artifacts), _changes(run, artifacts)), note=note)


def _changes(run: Run, artifacts: Artifacts) -> dict[str, str]:
    """What a run's working tree had that was not committed."""
    if run.git is None or not run.git.diff:
        return {}
    return {recording.DIFF: artifacts.get(run.git.diff).decode("utf-8", "replace")}


def _modules(run: Run, artifacts: Artifacts) -> dict[str, str] | None:
    digest = run.artifacts.get(recording.CODE)
    try:
        return None if digest is None else msgspec.json.decode(artifacts.get(digest), type=dict[str, str])
    except NotFound:
        return None


def _unified(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    lines: list[str] = []
    for name in sorted(set(old) | set(new)):
        before, after = old.get(name, ""), new.get(name, "")
        if before != after:
            lines += difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="", n=2)
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES:,} more lines"]
    return "\n".join(lines)
