"""Spans to an OpenTelemetry collector, by OTLP over HTTP."""

import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from octavo.errors import ConfigurationError, MissingExtra
from octavo.serving.tracing import Attributes, Step, Trace

_PATH = "/v1/traces"
_SERVER_ERROR = 500
_PATIENCE_S = 2.0


class OtlpExporter:
    """Sends spans in the background; what a collector that is away does not take is dropped after some tries.

    Parameters
    ----------
    endpoint : str
        Of the collector, such as ``http://127.0.0.1:4318``. What it needs in headers stands in
        ``OTEL_EXPORTER_OTLP_HEADERS``.

    Raises
    ------
    MissingExtra
    ConfigurationError
        If the endpoint is no URL.
    """

    def __init__(self, endpoint: str) -> None:
        if not endpoint.startswith(("http://", "https://")):
            raise ConfigurationError(f"[telemetry] otlp {endpoint!r} is no URL; write http://HOST:4318")
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise MissingExtra("otlp", purpose="spans of requests") from error
        self._resource = Resource({"service.name": "octavo-predictor", "service.version": version("octavo")})
        self._exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + _PATH)
        self._batches = BatchSpanProcessor(self._exporter)
        self._span = _span_maker(self._resource)

    def export(self, trace: Trace, request: Step, attributes: Attributes) -> None:
        """See `Exporter.export`."""
        self._batches.on_end(
            self._span(trace, request, span_id=trace.span_id, parent=trace.parent_id, about=attributes)
        )
        for number, step in enumerate(trace.steps, 1):
            own = f"{(int(trace.span_id, 16) + number) % 2**64:016x}"
            self._batches.on_end(self._span(trace, step, span_id=own, parent=trace.span_id, about={}))

    def close(self) -> None:
        """See `Exporter.close`."""
        ending = threading.Thread(target=self._batches.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(_PATIENCE_S)
        if ending.is_alive():
            # It would try again for half a minute.
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # of the library


def _span_maker(resource: Any) -> Callable[..., Any]:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    scope = InstrumentationScope("octavo")

    def context(trace: Trace, span_id: str, *, is_remote: bool = False) -> Any:
        flags = TraceFlags(TraceFlags.SAMPLED)
        return SpanContext(int(trace.trace_id, 16), int(span_id, 16), is_remote=is_remote, trace_flags=flags)

    def span(trace: Trace, step: Step, *, span_id: str, parent: str, about: Attributes) -> Any:
        is_request = span_id == trace.span_id
        since_boot_ns = time.time_ns() - time.perf_counter_ns()
        failed = is_request and int(about.get("http.response.status_code", 0)) >= _SERVER_ERROR
        return ReadableSpan(
            name=step.name,
            context=context(trace, span_id),
            parent=context(trace, parent, is_remote=is_request) if parent else None,
            resource=resource,
            attributes=dict(about),
            kind=SpanKind.SERVER if is_request else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=since_boot_ns + step.began_ns,
            end_time=since_boot_ns + step.ended_ns,
            instrumentation_scope=scope,
        )

    return span
