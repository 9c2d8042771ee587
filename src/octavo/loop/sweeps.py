"""Sweeps as people ask for them: search, then train the best as any other version."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from octavo.definitions.models import Model
from octavo.definitions.sweeps import Sweep
from octavo.errors import InvalidRequest
from octavo.loop.carrier import bring_events_into_tables
from octavo.loop.operations import TrainedVersion, train_here
from octavo.loop.trainings import held
from octavo.operations import Context, Operations
from octavo.training.runs import Run
from octavo.training.steps.processes import LocalProcesses
from octavo.training.sweeps import SWEEP, SweepDone, begin_sweep, resumed_sweep, run_sweep
from octavo.training.tracking.recording import find_run

operations = Operations()

_TRIAL = (sys.executable, "-m", "octavo.training.trial_process")
_SEARCHING = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepModel:
    """Search good hyperparameters of a model here and now, and train by the best ones.

    Attributes
    ----------
    params : mapping of str to str
        Where each is searched, such as ``int:2..10``; as the model declares unless given.
    trials, metric, timeout, seed
        As in `Sweep`; as the model declares unless given.
    parallel : int
        How many trials run at a time.
    resume : str
        A sweep that was interrupted, to go on with as it was asked for.
    train : bool
        Whether to train a version by the best ones.
    release : bool
        As in `TrainModel`.
    """

    model: str
    params: Mapping[str, str] = field(default_factory=dict)
    trials: int | None = None
    metric: str | None = None
    timeout: str | None = None
    prune: bool | None = None
    seed: int | None = None
    parallel: int = 1
    resume: str = ""
    train: bool = True
    release: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptModel:
    """What came of a sweep, and the version that was trained by its best parameters."""

    sweep: SweepDone
    trained: TrainedVersion | None


@operations.operation("models.sweep", request=SweepModel, permission="models:write", changes=True, long=True)
def sweep_model(request: SweepModel, context: Context) -> SweptModel:
    """Search good hyperparameters of a model, and register what is trained by the best."""
    model = context.project.model(request.model)
    if request.parallel < 1:
        raise InvalidRequest("at least one trial runs at a time", field="parallel")
    bring_events_into_tables(context)
    run = _resumed(request, context) if request.resume else begin_sweep(context, model, _asked(request, model))
    searching = replace(context, progress=lambda done, message: context.progress(done * _SEARCHING, message))
    with held(context.config.home, run.id):
        done = run_sweep(searching, model, run, executor=LocalProcesses(_TRIAL), parallel=request.parallel)
    if not request.train:
        return SweptModel(sweep=done, trained=None)
    trained = train_here(
        replace(
            context, progress=lambda part, message: context.progress(_SEARCHING + part * (1 - _SEARCHING), message)
        ),
        model,
        trigger="sweep",
        release=request.release,
        params=done.best.params,
        as_of=run.as_of,
        parent=run.id,
    )
    return SweptModel(sweep=done, trained=trained)


def _asked(request: SweepModel, model: Model) -> Sweep:
    declared = model.sweep
    if declared is None and not request.params:
        raise InvalidRequest(
            f"model {model.name!r} declares no sweep, and no range is given",
            field="params",
            fix="give one like depth=int:2..10, or declare sweep=oc.Sweep(params={'depth': 'int:2..10'})",
        )
    settings = ("trials", "metric", "timeout", "prune", "seed")
    given = {name: value for name in settings if (value := getattr(request, name)) is not None}
    if request.params:
        given["params"] = dict(request.params)
    return Sweep(**given) if declared is None else replace(declared, **given)


def _resumed(request: SweepModel, context: Context) -> Run:
    with context.transaction() as tx:
        run = find_run(tx, request.resume)
    if run.tags.get(SWEEP, request.model) != request.model:
        raise InvalidRequest(f"run {run.id} is a sweep of {run.tags[SWEEP]!r}", field="resume")
    return resumed_sweep(context, run)
