"""How what requests name belongs to models and deployments, for roles that are limited to these."""

from collections.abc import Mapping

from octavo.belonging import About, Belongs, itself
from octavo.monitoring.incidents import Incident
from octavo.operations import Context
from octavo.release.experiments import StartedExperiment
from octavo.release.releases import Release
from octavo.training.runs import Run


def _deployment(name: str, context: Context) -> About:
    declared = context.project.deployments.get(name)
    return {"deployment": name} if declared is None else {"deployment": name, "model": declared.model.name}


def _composite(name: str, _: Context) -> About:
    return {"deployment": name}


def _release(id_: str, context: Context) -> About | None:
    with context.transaction() as tx:
        release = tx.get(Release, id_)
    return None if release is None else {"deployment": release.deployment, "model": release.model}


def _incident(id_: str, context: Context) -> About | None:
    with context.transaction() as tx:
        incident = tx.get(Incident, id_)
    return None if incident is None else {"deployment": incident.deployment, "model": incident.model}


def _run(id_: str, context: Context) -> About | None:
    with context.transaction() as tx:
        run = tx.get(Run, id_)
    return None if run is None or not run.model else {"model": run.model}


def _experiment(id_: str, context: Context) -> About | None:
    """One on traffic, by its id; those that runs are gathered in, by name, belong to nobody."""
    with context.transaction() as tx:
        started = tx.get(StartedExperiment, id_)
    return None if started is None else _deployment(started.deployment, context)


def _nothing(_: str, __: Context) -> None:
    """Datasets, single predictions, views, sources and logged models are for those who may see all of them."""


BELONGINGS: Mapping[str, Belongs] = {
    "model": itself("model"),
    "deployment": _deployment,
    "composite": _composite,
    "release": _release,
    "incident": _incident,
    "run": _run,
    "runs": _run,
    "baseline": _run,
    "experiment": _experiment,
    "dataset": _nothing,
    "prediction": _nothing,
    "logged_model": _nothing,
    "source": _nothing,
    "views": _nothing,
}
"""By the fields of requests. A request that names nothing of these is about the whole project; one that names something
of its caller's, and something that nobody's role can be about, is refused all the same."""
