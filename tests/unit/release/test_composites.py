"""Composites in the records and as predictors apply them."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from tests.stages import DEPLOYMENT, Stage, set_stage

import octavo as oc
from octavo.definitions.composites import Composite, node
from octavo.definitions.project import Project, collect
from octavo.errors import Conflict, InvalidDefinition, NotFound
from octavo.loop.definitions import ApplyProject
from octavo.loop.definitions import operations as definition_operations
from octavo.operations import SYSTEM, Dispatcher
from octavo.registry.signing import Verifier
from octavo.release import composites
from octavo.release.composite_operations import ListComposites, RollBackComposite, ShowComposite, operations
from octavo.release.composites import CompositeManifest, CompositeState, publish_composite
from octavo.release.manifests import SignedManifest


@oc.on_demand
def hours(eta: Any) -> Any:
    return eta / 60


@oc.on_demand
def is_far(distance: Any) -> Any:
    return distance > 1000


def project_of(stage: Stage, *nodes: Any, code: str = "v1") -> Project:
    module = ModuleType("stage")
    vars(module)["arrival"] = Composite("arrival", nodes=nodes)
    return collect(module, name="flights", code={"project.py": code})


def apply(stage: Stage, *nodes: Any, code: str = "v1") -> Stage:
    """The stage with a composite of these nodes in force."""
    context = replace(stage.context, project=project_of(stage, *nodes, code=code))
    Dispatcher(definition_operations, context).call(ApplyProject(), SYSTEM)
    return replace(stage, context=context)


def eta(stage: Stage) -> Any:
    return stage.context.project.deployment(DEPLOYMENT)


def state(stage: Stage) -> CompositeState:
    with stage.context.transaction() as tx:
        return composites.composite_state(tx, "arrival")


def manifest(stage: Stage) -> CompositeManifest:
    """The published one, verified as a predictor would."""
    document = stage.context.stores.artifacts.published("composites/arrival.json")
    assert document is not None
    signed = msgspec.json.decode(document, type=SignedManifest)
    verifier = Verifier.load(stage.context.config.home / "keys" / "release.pub")
    verifier.verify(composites.PURPOSE, signed.payload, signed.signature)
    return msgspec.json.decode(signed.payload, type=CompositeManifest)


def test_a_graph_travels_with_the_code_of_its_functions(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage = apply(stage, node(eta(stage), when=is_far), hours, code="def hours(eta): ...")
    assert publish_composite(stage.context, "arrival") == 1
    published = manifest(stage)
    assert [(one.name, one.deployment) for one in published.plan.nodes] == [("eta", "eta"), ("hours", "")]
    assert published.plan.nodes[0].when is not None
    assert published.plan.nodes[0].when.inputs == ("distance",)
    code = published.plan.code["project.py"]
    assert stage.context.stores.artifacts.get(code) == b"def hours(eta): ..."


def test_what_is_applied_again_is_the_same_version_and_other_code_another(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage = apply(apply(stage, eta(stage), hours), eta(stage), hours)
    assert (state(stage).live, state(stage).previous) == (1, None)
    stage = apply(stage, eta(stage), hours, code="v2")
    assert (state(stage).live, state(stage).previous, state(stage).sequence) == (2, 1, 2)


def test_code_makes_no_version_of_a_graph_without_functions(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage = apply(apply(stage, eta(stage)), eta(stage), code="v2")
    assert state(stage).newest == 1


def test_a_rollback_stays_one_when_the_same_is_applied_again(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage = apply(apply(stage, eta(stage)), eta(stage), hours)
    back = Dispatcher(operations, stage.context).call(RollBackComposite(composite="arrival"), SYSTEM)
    assert (back.live, back.sequence) == (1, 3)
    assert len(manifest(stage).plan.nodes) == 1
    stage = apply(stage, eta(stage), hours)
    assert state(stage).live == 1
    assert Dispatcher(operations, stage.context).call(RollBackComposite(composite="arrival"), SYSTEM).live == 2


def test_the_first_version_has_none_before_it(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage = apply(stage, eta(stage))
    with pytest.raises(Conflict, match="no version before 1"):
        composites.roll_back(stage.context, "arrival")
    with pytest.raises(NotFound, match="arrival"):
        composites.roll_back(stage.context, "arivval")


def test_it_is_shown_with_its_nodes_and_versions(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage = apply(apply(stage, eta(stage)), eta(stage), hours)
    dispatcher = Dispatcher(operations, stage.context)
    [listed] = dispatcher.call(ListComposites(), SYSTEM)
    shown = dispatcher.call(ShowComposite(composite="arrival"), SYSTEM)
    assert listed == shown.state
    assert [one.version for one in shown.versions] == [2, 1]
    eta_node, hours_node = shown.nodes
    assert (eta_node.name, eta_node.deployment.state.model) == ("eta", eta(stage).model.name)
    assert (hours_node.name, hours_node.deployment, hours_node.takes) == ("hours", None, ("eta",))


def test_an_earlier_node_is_no_field_that_a_caller_sends(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    assert list(Composite("arrival", nodes=[eta(stage), hours]).sent_fields) == ["distance"]
    with pytest.raises(InvalidDefinition, match="'distance' is a node and a field"):
        Composite("arrival", nodes=[eta(stage), renamed(hours, "distance")])


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (lambda eta: [hours, eta], "no earlier node; move it up"),
        (lambda eta: [hours], "at least one"),
        (lambda eta: [eta, eta], "two nodes of one name"),
        (lambda eta: [eta, renamed(hours, "arrival")], "one of its own"),
        (lambda eta: [eta, renamed(is_far, "far", takes="distanse")], "did you mean 'distance'"),
        (lambda eta: [node(eta, when=hours)], "no earlier node"),
        (lambda eta: [eta, "hours"], "its nodes are deployments"),
    ],
)
def test_what_cannot_be_a_graph_is_refused_with_the_reason(tmp_path: Path, nodes: Any, reason: str) -> None:
    stage = set_stage(tmp_path)
    with pytest.raises(InvalidDefinition, match=reason):
        Composite("arrival", nodes=nodes(eta(stage)))


def test_a_name_is_a_composite_or_a_deployment(tmp_path: Path) -> None:
    module = ModuleType("stage")
    one = eta(set_stage(tmp_path))
    vars(module)["both"] = Composite("late", nodes=[one])
    vars(module)["late"] = oc.Deployment("late", model=one.model)
    with pytest.raises(InvalidDefinition, match="'late' is a composite and a deployment"):
        collect(module, name="flights", code={})


def renamed(function: Any, name: str, *, takes: str = "") -> Any:
    return replace(function, name=name, inputs=(takes,) if takes else function.inputs)
