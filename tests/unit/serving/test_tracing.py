"""Traces that callers send, and those that begin here."""

import pytest

from octavo.serving.tracing import Attributes, Step, Trace, Tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Kept:
    """An exporter that keeps what it is given."""

    def __init__(self) -> None:
        self.requests: list[tuple[Trace, Step, Attributes]] = []

    def export(self, trace: Trace, request: Step, attributes: Attributes) -> None:
        self.requests.append((trace, request, attributes))

    def close(self) -> None:
        pass


def test_a_callers_trace_goes_on_under_a_span_of_our_own() -> None:
    trace = Tracing().begin(f"00-{TRACE}-{SPAN}-01".encode())
    assert trace is not None
    assert (trace.trace_id, trace.parent_id, trace.is_sampled) == (TRACE, SPAN, True)
    assert trace.span_id not in (SPAN, "0" * 16)
    assert trace.header == f"00-{TRACE}-{trace.span_id}-01".encode()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"00",
        f"00-{TRACE}-{SPAN}".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        b"\xff" * 55,
    ],
)
def test_what_is_no_trace_context_counts_as_none(sent: bytes) -> None:
    assert Tracing().begin(sent) is None


def test_of_a_later_version_what_is_known_is_taken() -> None:
    trace = Tracing().begin(f"01-{TRACE}-{SPAN}-02-what".encode())
    assert trace is not None
    assert (trace.trace_id, trace.is_sampled) == (TRACE, False)


def test_without_an_exporter_no_trace_begins_here() -> None:
    assert Tracing(sample=1.0).begin(None) is None


def test_with_one_the_stated_share_of_requests_begins_a_trace() -> None:
    tracing = Tracing(Kept(), sample=0.25)
    begun = [trace for trace in (tracing.begin(None) for _ in range(4000)) if trace]
    assert 800 < len(begun) < 1200
    assert all(len(trace.trace_id) == 32 and trace.is_sampled and not trace.parent_id for trace in begun)
    assert len({trace.trace_id for trace in begun}) == len(begun)


def test_only_sampled_requests_are_handed_on_with_their_steps() -> None:
    kept = Kept()
    tracing = Tracing(kept, sample=0.0)
    for flags in ("00", "01"):
        trace = tracing.begin(f"00-{TRACE}-{SPAN}-{flags}".encode())
        assert trace is not None
        trace.step("lookup", began_ns=5)
        tracing.end(trace, name="POST /predict/eta", began_ns=1, attributes={"status": 200})
    [(trace, request, attributes)] = kept.requests
    assert (request.name, request.began_ns, attributes) == ("POST /predict/eta", 1, {"status": 200})
    assert [step.name for step in trace.steps] == ["lookup"]
    assert trace.steps[0].ended_ns <= request.ended_ns
