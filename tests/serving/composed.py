"""A composite as a predictor finds it: two deployments that see distances and seats, and functions over them."""

from typing import Any

import msgspec
from tests.serving.bundles import PROJECT, publish_bundle
from tests.serving.projects import ServingProject, arm, manifest

from octavo.definitions.plans import PlannedField, PlannedFunction
from octavo.definitions.types import DType
from octavo.release.composites import PURPOSE, CompositeManifest, CompositePlan, PlannedNode
from octavo.release.manifests import SignedManifest

FAR = [0.0, 0.0, 0.0, 1.0, 0.0]
SEATS = [0.0, 0.0, 0.0, 0.0, 1.0]
CODE = """
import numpy as np
import octavo as oc


@oc.on_demand
def offer(far, wide, amount):
    return np.where(np.isnan(wide), far, far + wide) * amount


@oc.on_demand
def is_wide(seats):
    return seats > 150


@oc.on_demand
def halved(far):
    return np.where(far > 1000, np.nan, far / 2)


@oc.on_demand
def total(eta, amount):
    return np.nan_to_num(eta) + np.sign(amount)
"""


def function(name: str, *inputs: str) -> PlannedFunction:
    return PlannedFunction(name=name, inputs=inputs)


def deployment(name: str, **more: Any) -> PlannedNode:
    return PlannedNode(name=name, deployment=name, **more)


OFFER = (
    deployment("far"),
    deployment("wide", when=function("is_wide", "seats")),
    PlannedNode(name="offer", function=function("offer", "far", "wide", "amount")),
)
AMOUNT = (PlannedField(name="amount", dtype=DType.FLOAT64, required=True),)


def publish_nodes(project: ServingProject) -> None:
    """Publish the deployments ``far`` and ``wide``."""
    for name, weights in (("far", FAR), ("wide", SEATS)):
        project.publish(manifest(arm(publish_bundle(project.artifacts, weights=weights)), deployment=name))


def publish_composite(
    project: ServingProject,
    *nodes: PlannedNode,
    name: str = "deal",
    sequence: int = 1,
    code: str = CODE,
    fields: Any = AMOUNT,
) -> None:
    """Publish a composite."""
    plan = CompositePlan(nodes=nodes, fields=fields, code={"project.py": project.artifacts.put(code.encode())})
    document = CompositeManifest(
        project=PROJECT,
        composite=name,
        sequence=sequence,
        version=sequence,
        digest=f"sha256:{sequence:064x}",
        plan=plan,
        published_at_us=0,
    )
    payload = msgspec.json.encode(document)
    signed = SignedManifest(payload=payload, signature=project.signer.sign(PURPOSE, payload))
    project.artifacts.publish(f"composites/{name}.json", msgspec.json.encode(signed))
