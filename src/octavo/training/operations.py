"""What can be asked about runs."""

from dataclasses import dataclass

from octavo.errors import NotFound
from octavo.operations import Context, Operations
from octavo.training.runs import Run

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRuns:
    """Of one model, or of all."""

    model: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowRun:
    run: str


@operations.operation("runs.list", request=ListRuns, permission="models:read")
def list_runs(request: ListRuns, context: Context) -> tuple[Run, ...]:
    """List trainings, newest first."""
    equal = {"model": context.project.model(request.model).name} if request.model else {}
    with context.transaction() as tx:
        return tuple(tx.find(Run, newest_first=True, limit=request.limit, **equal))


@operations.operation("runs.show", request=ShowRun, permission="models:read")
def show_run(request: ShowRun, context: Context) -> Run:
    """Show one training: what it used, and what came of it."""
    with context.transaction() as tx:
        run = tx.get(Run, request.run)
    if run is None:
        raise NotFound("run", request.run)
    return run
