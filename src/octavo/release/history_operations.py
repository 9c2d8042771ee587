"""What people and programs can ask about who served what, and when."""

from dataclasses import dataclass
from datetime import datetime

from octavo.errors import InvalidRequest
from octavo.operations import Context, Operations
from octavo.release.history import NamedFrom, Naming, Service, namings, services, traffic_of
from octavo.release.releases import DeploymentState

operations = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowHistory:
    """Who served what: of one model, of one deployment, or of all.

    Attributes
    ----------
    at : datetime or None
        Only what held at this moment.
    """

    model: str | None = None
    deployment: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Who served what, in order of the begin."""

    services: tuple[Service, ...]
    namings: tuple[Naming, ...]


@operations.operation("models.history", request=ShowHistory, permission="models:read")
def show_history(request: ShowHistory, context: Context) -> History:
    """Show which versions served which share of which deployment, and what aliases named, when."""
    at = request.at
    if at is not None and at.tzinfo is None:
        raise InvalidRequest("at has no offset", field="at", fix="write it like 2013-12-07T00:00:00Z")
    tx, project = context.transacted, context.project
    known = [state.deployment for state in tx.find(DeploymentState)]
    if request.model is not None:
        project.model(request.model)
    if request.deployment is not None and request.deployment not in known:
        project.deployment(request.deployment)
    names = known if request.deployment is None else [request.deployment]
    served = [service for name in names for service in services(traffic_of(tx, name))]
    models = project.models if request.model is None else [request.model]
    named = [
        naming
        for model in (models if request.deployment is None else ())
        for naming in namings(tx.find(NamedFrom, model=model))
    ]
    return History(
        services=tuple(
            service
            for service in sorted(served, key=lambda one: one.since)
            if request.model in (None, service.model) and (at is None or service.covers(at))
        ),
        namings=tuple(naming for naming in sorted(named, key=lambda one: one.since) if at is None or naming.covers(at)),
    )
