"""The showroom's composite: two versions of its graph, and the newest calls."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from octavo.clock import to_micros
from octavo.definitions.plans import PlannedFunction
from octavo.release.composites import CompositePlan, CompositeState, CompositeVersion, PlannedNode
from octavo.serving.records import PredictionRecord
from octavo.stores.names import digest_of
from tests.showrooms.declared import is_far, worst
from tests.showrooms.moments import DAY, NOW, call_id

_ETA = PlannedNode(name="eta", deployment="eta")
_LATE = PlannedNode(name="late", deployment="late", when=PlannedFunction(name="is_far", inputs=is_far.inputs))
_WORST = PlannedNode(name="worst", function=PlannedFunction(name="worst", inputs=worst.inputs))
_DIGESTS = (digest_of(b"only eta"), digest_of(b"with late"))


def composites(text: str) -> Sequence[object]:
    """A version of one node, and the live one of three."""
    graphs = ((_ETA,), (_ETA, _LATE, _WORST))
    versions = [
        CompositeVersion(
            composite="trouble",
            version=number,
            plan=CompositePlan(nodes=nodes, fields=(), code={}),
            digest=digest,
            applied_at=NOW - DAY * (3 - number),
            applied_by=text,
        )
        for number, (nodes, digest) in enumerate(zip(graphs, _DIGESTS, strict=True), start=1)
    ]
    return [*versions, CompositeState(composite="trouble", live=2, previous=1, newest=2, sequence=2)]


def calls(text: str) -> list[PredictionRecord]:
    """Four calls, of which the oldest is of the first version, and two were of near flights."""
    said = ((12.0, 0.5, 42.0), (3.0, np.nan, 3.0), (8.0, np.nan, 8.0), (5.0,))
    return [_call(place, np.array(nodes, "<f4"), text) for place, nodes in enumerate(said)]


def _call(place: int, nodes: np.ndarray, text: str) -> PredictionRecord:
    version = 2 if len(nodes) > 1 else 1
    return PredictionRecord(
        id=call_id(place),
        at_us=to_micros(NOW - timedelta(minutes=place)),
        deployment="trouble",
        model="",
        version=version,
        digest=_DIGESTS[version - 1],
        arm="live",
        entities={"origin": "JFK"},
        request={"distance": 1_089.0, "flight": text},
        inputs=nodes.tobytes(),
        status=bytes(len(nodes)),
        ages_s=np.full(len(nodes), np.nan, "<f4").tobytes(),
        output=float(nodes[-1]),
        latency_us=2_400,
        caller="admin/1f3a09c2",
        trace="",
    )
