"""How data comes in: events of a source, and outcomes of predictions."""

from octavo.api.endpoints import Endpoint, Identify
from octavo.api.operations_door import operation_endpoint
from octavo.operations import Dispatcher

EVENTS, OUTCOMES = ("/events/{source}", "events.ingest"), ("/outcomes", "outcomes.record")


def data_endpoints(dispatcher: Dispatcher, *, identify: Identify, max_body_bytes: int) -> list[Endpoint]:
    """``POST /events/{source}`` and ``POST /outcomes``, each with ``{"rows": [...]}``."""
    return [
        operation_endpoint(dispatcher.operations[name], dispatcher, path, identify=identify, max_bytes=max_body_bytes)
        for path, name in (EVENTS, OUTCOMES)
    ]
