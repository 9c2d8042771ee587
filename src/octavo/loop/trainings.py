"""A training from its request to the release of what it made; the same steps in a command and in the worker.

The run's record is the truth, so that each step can be taken again after whoever took it has died.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from octavo.errors import Conflict, OctavoError
from octavo.identifiers import new_id
from octavo.loop.evidence import ServedHere
from octavo.loop.training_logs import keep_log_file
from octavo.monitoring.variation import record_variation
from octavo.operations import Context
from octavo.principals import SYSTEM_KIND
from octavo.registry.registration import register
from octavo.registry.versions import ModelVersion
from octavo.release import lifecycle
from octavo.release.bases import check_base
from octavo.release.releases import DeploymentState, Release
from octavo.stores.locks import FileLock
from octavo.stores.ports import Transaction
from octavo.training.fit import train
from octavo.training.origins import ImportedModel
from octavo.training.runs import Run, RunStatus
from octavo.training.tracking.recording import merged
from octavo.training.tracking.trainings import record_metrics, recording_training

log = logging.getLogger(__name__)

_BY_PEOPLE = ("user", "sweep")
UNDER_WAY = (RunStatus.REQUESTED, RunStatus.RUNNING)


def new_run(context: Context, model: str, *, trigger: str) -> Run:
    """A run on what is known now, not recorded yet."""
    now = context.clock.now()
    return Run(
        id=new_id(context.clock),
        model=model,
        status=RunStatus.REQUESTED,
        trigger=trigger,
        as_of=now,
        started_at=now,
        experiment=model,
        by=context.principal.name,
    )


def request_training(context: Context, model: str, *, trigger: str, params: Mapping[str, str] | None = None) -> Run:
    """Ask the worker for a training on what is known now.

    Parameters
    ----------
    params : mapping of str to str or None
        Hyperparameters that are not as their defaults are.

    Raises
    ------
    Conflict
        If one of the model is under way.
    """
    run = replace(new_run(context, model, trigger=trigger), params=params or {})
    with context.transaction() as tx:
        if current := under_way(tx, model):
            raise Conflict(
                f"a training of {model!r} is {current[0].status} already (run {current[0].id}); wait for its end",
                run=current[0].id,
            )
        run = _following(context, tx, run)
        tx.add(run)
    return run


def under_way(tx: Transaction, model: str) -> list[Run]:
    """The runs of a model that have not ended."""
    return [run for status in UNDER_WAY for run in tx.find(Run, model=model, status=status)]


@contextmanager
def held(home: Path, run_id: str) -> Iterator[None]:
    """Be the one process that works on a run; waits until another that does has ended."""
    lock = _lock(home, run_id)
    while not lock.acquire(timeout_s=60.0):
        log.info("run %s is being worked on by process %s; waiting for its end", run_id, lock.holder)
    try:
        yield
    finally:
        lock.release(remove=True)


def is_held(home: Path, run_id: str) -> bool:
    """Whether a process works on a run."""
    return _lock(home, run_id).is_taken()


def train_version(context: Context, run: Run, *, imported: ImportedModel | None = None) -> ModelVersion:
    """Train and register, or judge and register what was fitted elsewhere; what was registered already stays as it is.

    Raises
    ------
    TrainingFailed
        If the model's function fails or what it made cannot be packed; the run is recorded as failed.
    """
    model = context.project.model(run.model)
    with context.transaction() as tx:
        made = tx.find(ModelVersion, model=run.model, run=run.id)
        champion = live_version(context, tx, run.model)
    if made:
        return made[0]
    with recording_training(context, run) as begun:
        trained = train(context, model, as_of=run.as_of, run=begun, imported=imported)
    try:
        record_metrics(context, trained.run)
        record_variation(context, trained)
        return register(context, trained, champion=champion, served=ServedHere(context, run.model))
    except BaseException as error:  # also an interruption: a run that has succeeded has a version
        _record_failed(context, trained.run, error=_message(error))
        raise


def live_version(context: Context, tx: Transaction, model: str) -> ModelVersion | None:
    """The version of a model that is live in the first of its deployments that has one."""
    for deployment in deployments_of(context, model):
        state = tx.get(DeploymentState, deployment)
        if state is not None and state.live is not None and state.model == model:
            return tx.get(ModelVersion, f"{model}/{state.live}")
    return None


def request_releases(context: Context, version: ModelVersion, *, cause: str) -> tuple[Release, ...]:
    """Ask for a version's release to every deployment of its model, if it passed its gates.

    Where it was asked for already it is not asked for again. Where another release is in progress, or something has
    happened since its training began that it could not know of (`octavo.release.bases`), it is passed over.
    """
    if not version.passed:
        return ()
    asked = []
    for deployment in deployments_of(context, version.model):
        with context.transaction() as tx:
            known = tx.find(Release, deployment=deployment, model=version.model, version=version.version)
        try:
            # In one transaction, so that a stop or a rollback comes before it or finds it in progress.
            with context.transaction() as tx:
                within = replace(context, tx=tx)
                asked.append(known[0] if known else _request(within, deployment, version, cause=cause))
        except Conflict as error:
            log.warning("%s %d is not released to %s: %s", version.model, version.version, deployment, error.message)
    return tuple(asked)


def deployments_of(context: Context, model: str) -> tuple[str, ...]:
    """The deployments that a model answers in."""
    return tuple(name for name, d in context.project.deployments.items() if d.model.name == model)


def record_interrupted(context: Context, run: Run, *, error: str) -> None:
    """Record that a run ended without anyone to say so, unless it has ended otherwise."""
    keep_log_file(context, run.id)
    with context.transaction() as tx:
        found = tx.get(Run, run.id)
    if found is not None and (found.status in UNDER_WAY or found.version is None):
        _record_failed(context, found, error=error)


def _record_failed(context: Context, run: Run, *, error: str) -> None:
    failed = replace(run, status=RunStatus.FAILED, finished_at=context.clock.now(), error=error)
    with context.transaction() as tx:
        tx.put(merged(tx.get(Run, run.id), failed))


def _following(context: Context, tx: Transaction, run: Run) -> Run:
    """A run that something else than a person asked for follows the one that made what is live."""
    live = None if run.trigger == "user" else live_version(context, tx, run.model)
    return run if live is None else replace(run, parent=live.run)


def _message(error: BaseException) -> str:
    return error.message if isinstance(error, OctavoError) else f"{type(error).__name__}: {error}"


def _request(context: Context, deployment: str, version: ModelVersion, *, cause: str) -> Release:
    with context.transaction() as tx:
        run = tx.get(Run, version.run)
        if run is not None:
            check_base(tx, deployment, since=run.started_at, is_automatic=run.trigger not in _BY_PEOPLE)
    author = None if context.principal.kind != SYSTEM_KIND else version.author
    return lifecycle.request(context, deployment, version=version.version, cause=cause, author=author)


def _lock(home: Path, run_id: str) -> FileLock:
    return FileLock(home / "run" / f"training-{run_id}.lock")
