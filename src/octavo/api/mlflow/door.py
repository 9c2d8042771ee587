"""All that MLflow's client can call; everything else of its server is not here, and answers 404."""

from octavo.api.endpoints import Endpoint, Identify
from octavo.api.mlflow import experiments, links, logged, registered, runs
from octavo.api.mlflow.artifacts import artifact_endpoints
from octavo.api.mlflow.calls import endpoint
from octavo.operations import Dispatcher


def mlflow_endpoints(dispatcher: Dispatcher, *, identify: Identify, max_body_bytes: int) -> list[Endpoint]:
    """The endpoints below ``/api/2.0/mlflow`` and ``/api/2.0/mlflow-artifacts``."""
    methods = (*experiments.METHODS, *runs.METHODS, *links.METHODS, *logged.METHODS, *registered.METHODS)
    return [
        *(endpoint(method, dispatcher, identify=identify, max_bytes=max_body_bytes) for method in methods),
        *artifact_endpoints(dispatcher, identify=identify),
    ]
