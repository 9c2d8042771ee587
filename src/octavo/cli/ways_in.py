"""Every way into every process of a project, with the permission that it takes and the roles that it is open to."""

import csv
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from octavo.access.roles import ADMIN, ROLES, principal_in_role
from octavo.api.app import declared_endpoints
from octavo.api.endpoints import PUBLIC
from octavo.belonging import naming_fields
from octavo.config import Config
from octavo.console.visits import VISIT
from octavo.operations import Context, Dispatcher
from octavo.principals import SERVICE
from octavo.serving.process import build

ANYBODY, SERVICES = "anonymous", "admin service"
COLUMNS = (ANYBODY, *ROLES, SERVICES)
"""Nobody in particular, each role, and a service that is an administrator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way in.

    Attributes
    ----------
    door : {"control", "console", "predictor", "grpc"}
    about : str
        The fields of the request by which rights are limited to models and deployments; empty if there are none.
    """

    door: str
    method: str
    path: str
    permission: str
    about: str = ""

    def is_open_to(self, column: str) -> bool:
        """Whether somebody of one of `COLUMNS` may use it."""
        if self.permission == PUBLIC:
            return True
        if column == ANYBODY:
            return False
        if self.permission == VISIT:
            return column != SERVICES  # no service logs in
        if column == SERVICES:
            return self.door != "console" and principal_in_role(ADMIN, kind=SERVICE).may(self.permission)
        return principal_in_role(column).may(self.permission)

    @property
    def told(self) -> str:
        """To whom it is open, in words."""
        if self.permission == PUBLIC:
            return "everybody"
        if self.permission == VISIT:
            return "everybody who is logged in"
        return " ".join(role for role in ROLES if self.is_open_to(role))


def ways_in(context: Context, dispatcher: Dispatcher) -> tuple[Way, ...]:
    """All of them, in order."""
    found = [*_control(context, dispatcher), *_predictor()]
    return tuple(sorted(found, key=lambda way: (way.door, way.path, way.method)))


def as_csv(ways: tuple[Way, ...]) -> str:
    """A line for each, a column for each role."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["door", "method", "path", "permission", "about", *COLUMNS])
    for way in ways:
        cells = ["yes" if way.is_open_to(column) else "-" for column in COLUMNS]
        writer.writerow([way.door, way.method, way.path, way.permission, way.about, *cells])
    return text.getvalue()


def _control(context: Context, dispatcher: Dispatcher) -> Iterator[Way]:
    abouts = {
        f"/api/{operation.name}": naming_fields(operation.request, dispatcher.operations.belongings)
        for operation in dispatcher.operations
    }
    for endpoint in declared_endpoints(context, dispatcher):
        yield Way(
            door="console" if endpoint.is_page else "control",
            method=endpoint.method,
            path=endpoint.path,
            permission=endpoint.permission,
            about=" ".join(abouts.get(endpoint.path, ())),
        )


def _predictor() -> Iterator[Way]:
    """What a predictor of an empty project answers, which is what every predictor does."""
    from octavo.serving.grpc.app import GrpcApp

    with tempfile.TemporaryDirectory() as folder:
        app, _, record_log = build(Config(root=Path(folder)))
        try:
            for route in app.routes:
                path = f"{route.path}*" if route.path.endswith("/") else route.path
                yield Way(door="predictor", method=route.method, path=path, permission=route.permission)
            for method in GrpcApp(app, max_bytes=1).methods:
                yield Way(door="grpc", method="call", path=method.path, permission=method.permission)
        finally:
            app.close()
            record_log.close()
