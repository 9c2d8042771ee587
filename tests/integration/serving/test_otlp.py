"""Spans as a collector receives them."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from octavo.errors import ConfigurationError
from octavo.serving.otlp import OtlpExporter
from octavo.serving.tracing import Tracing
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.processes import Connection, predictor
from tests.serving.projects import SETTINGS, arm, make_project, manifest

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def spans(self) -> dict[str, Any]:
        """By their names."""
        return {
            span.name: span
            for request in self.received
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["content-length"]))
        assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        self.server.received.append(ExportTraceServiceRequest.FromString(body))  # type: ignore[attr-defined]  # a Collector
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_a_request_and_its_steps_arrive_as_spans_of_its_trace(collector: Collector) -> None:
    tracing = Tracing(OtlpExporter(collector.url))
    trace = tracing.begin(f"00-{TRACE}-{SPAN}-01".encode())
    assert trace is not None
    trace.step("model", began_ns=1_000)
    tracing.end(trace, name="POST /predict", began_ns=500, attributes={"http.response.status_code": 500})
    tracing.close()
    request, model = collector.spans["POST /predict"], collector.spans["model"]
    assert (request.trace_id.hex(), request.span_id.hex(), request.parent_span_id.hex()) == (TRACE, trace.span_id, SPAN)
    assert (model.trace_id.hex(), model.parent_span_id.hex()) == (TRACE, trace.span_id)
    assert model.start_time_unix_nano - request.start_time_unix_nano == pytest.approx(500, abs=10**7)
    assert (request.status.code, model.status.code) == (2, 0)


def test_a_predictor_sends_what_its_callers_sampled_and_answers_with_its_own_span(
    collector: Collector, tmp_path: Path
) -> None:
    project = make_project(tmp_path, settings=f'{SETTINGS}[telemetry]\notlp = "{collector.url}"\nsample = 0.0\n')
    project.publish(manifest(arm(publish_bundle(project.artifacts))))
    with predictor(project) as running:
        with closing(Connection(running)) as connection:
            assert connection.call([ROW])[0] == 200
            assert connection.send(json.dumps({"rows": [ROW]}).encode(), traceparent=f"00-{TRACE}-{SPAN}-01")[0] == 200
        assert running.stop() == 0
    spans = collector.spans
    request = spans.pop("POST /predict/")
    assert request.trace_id.hex() == TRACE
    assert {name: span.parent_span_id for name, span in spans.items()} == dict.fromkeys(
        ("lookup", "model"), request.span_id
    )
    about = {one.key: one.value for one in request.attributes}
    assert about["http.response.status_code"].int_value == 200
    assert "token" not in str(request)


def test_a_collector_that_is_away_keeps_nobody_waiting() -> None:
    tracing = Tracing(OtlpExporter("http://127.0.0.1:9"), sample=1.0)
    for _ in range(5_000):
        trace = tracing.begin(None)
        assert trace is not None
        tracing.end(trace, name="POST", began_ns=0, attributes={})
    tracing.close()


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is no URL"):
        OtlpExporter("collector:4318")
