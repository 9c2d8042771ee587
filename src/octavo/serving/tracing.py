"""W3C trace context, and which requests' spans are handed on; `octavo.serving.otlp` sends them."""

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

_SENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
_SAMPLED = 1

Attributes = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of a request; on the clock of `time.perf_counter_ns`."""

    name: str
    began_ns: int
    ended_ns: int


@dataclass(slots=True, kw_only=True, eq=False)
class Trace:
    """What of a distributed trace is ours: one request.

    Attributes
    ----------
    trace_id : str
        32 hex digits.
    span_id : str
        16 hex digits; the request's own.
    parent_id : str
        16 hex digits; empty if the trace begins here.
    is_sampled : bool
        Whether its spans are handed on.
    steps : list of Step
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    is_sampled: bool = False
    steps: list[Step] = field(default_factory=list)

    @property
    def header(self) -> bytes:
        """As ``traceparent`` of the answer."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}".encode("ascii")

    def step(self, name: str, began_ns: int) -> None:
        """Note that a part of the request has ended now."""
        self.steps.append(Step(name=name, began_ns=began_ns, ended_ns=time.perf_counter_ns()))


def trace_id_of(sent: bytes | None) -> str:
    """The trace's id in a ``traceparent``; empty if there is none, or it is malformed."""
    found = None if sent is None else _SENT.fullmatch(sent)
    return found[2].decode("ascii") if found is not None and _is_valid(found) else ""


class Exporter(Protocol):
    """Where spans go."""

    def export(self, trace: Trace, request: Step, attributes: Attributes) -> None:
        """Take a request's span and those of its steps; never waits, and drops them if it must."""

    def close(self) -> None:
        """Send what is left."""


class Tracing:
    """Follows the traces of callers, and begins some itself where spans are exported.

    Parameters
    ----------
    exporter : Exporter or None
        None if spans are of no use to anybody: then a request costs one look at its headers.
    sample : float
        The share of the requests without a trace that begin one; with a trace, its caller has decided.
    chance : random.Random

    Attributes
    ----------
    samples : bool
        Whether requests without a trace may begin one.
    """

    def __init__(
        self, exporter: Exporter | None = None, *, sample: float = 0.0, chance: random.Random | None = None
    ) -> None:
        self._exporter = exporter
        self._sample = sample if exporter is not None else 0.0
        self._chance = chance or random.Random()
        self.samples = self._sample > 0

    def begin(self, sent: bytes | None) -> Trace | None:
        """The trace of a request by its ``traceparent``; one that is malformed counts as none."""
        if sent is not None and (found := _SENT.fullmatch(sent)) is not None and _is_valid(found):
            return Trace(
                trace_id=found[2].decode("ascii"),
                span_id=self._id(64),
                parent_id=found[3].decode("ascii"),
                is_sampled=bool(int(found[4], 16) & _SAMPLED),
            )
        if self._sample and self._chance.random() < self._sample:
            return Trace(trace_id=self._id(128), span_id=self._id(64), is_sampled=True)
        return None

    def end(self, trace: Trace, *, name: str, began_ns: int, attributes: Attributes) -> None:
        """Hand on what a request was, if it is sampled."""
        if self._exporter is not None and trace.is_sampled:
            request = Step(name=name, began_ns=began_ns, ended_ns=time.perf_counter_ns())
            self._exporter.export(trace, request, attributes)

    def close(self) -> None:
        """Hand on what is left."""
        if self._exporter is not None:
            self._exporter.close()

    def _id(self, bits: int) -> str:
        """Never all zeros, which means none."""
        return f"{self._chance.getrandbits(bits) or 1:0{bits // 4}x}"


def _is_valid(found: re.Match[bytes]) -> bool:
    version, trace_id, span_id, _, more = found.groups()
    return version != b"ff" and (version != b"00" or not more) and trace_id != _NO_TRACE and span_id != _NO_SPAN
