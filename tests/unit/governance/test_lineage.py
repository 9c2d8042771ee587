"""What came of what, over a project in which something of everything has happened."""

import re
from dataclasses import replace

import pytest
from tests.showrooms import Showroom, full_showroom, prediction_id

from octavo.console.lineage import lineage_drawing
from octavo.errors import InvalidRequest, NotAllowed, NotFound
from octavo.governance.lineage import walk
from octavo.governance.lineage.nodes import Lineage, LineageEdge, LineageNode, NodeKind
from octavo.governance.lineage.operations import ShowLineage, operations
from octavo.governance.lineage.walk import lineage_of
from octavo.operations import Dispatcher, Principal
from octavo.registry.versions import ModelVersion


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return full_showroom(tmp_path_factory.mktemp("full"))


def names(found: Lineage, distance: int) -> set[str]:
    return {node.node for node in found.nodes if node.distance == distance}


def test_a_version_answers_in_its_deployment_and_no_other_version_comes_with_that(room: Showroom) -> None:
    found = lineage_of(room.context, "version:arrival_delay/2", up=0, down=5)
    assert names(found, 1) == {"deployment:eta", "predictions:eta/arrival_delay/2"}
    assert (names(found, 2), names(found, 3)) == ({"composite:trouble"}, {"predictions:trouble"})
    assert len(found.nodes) == 5


def test_the_calls_of_a_composite_are_told_of_all_its_versions_together(room: Showroom) -> None:
    [calls] = lineage_of(room.context, "composite:trouble", up=0, down=1).nodes[1:]
    assert (calls.node, calls.about) == ("predictions:trouble", "4 predictions")


def test_a_prediction_comes_of_the_version_that_answered_and_of_no_other(room: Showroom) -> None:
    found = lineage_of(room.context, prediction_id(0), up=9, down=0)
    versions = {node.name for node in found.nodes if node.kind is NodeKind.VERSION}
    assert versions == {"arrival_delay/4"}
    assert "deployment:eta" in names(found, -1)


def test_a_deployment_tells_who_has_which_part_in_it_and_who_had(room: Showroom) -> None:
    found = lineage_of(room.context, "eta", up=1, down=1)
    ways = {edge.source: edge.how for edge in found.edges if edge.target == "deployment:eta"}
    assert ways == {
        "version:arrival_delay/2": "live, 90 %",
        "version:arrival_delay/4": "canary, 10 %",
        "version:arrival_delay/1": "live, 100 %, until 2013-04-25 06:00",
    }
    predictions = {f"predictions:eta/arrival_delay/{version}" for version in (1, 2, 4)}
    assert names(found, 1) == predictions | {"composite:trouble"}


def test_the_node_asked_for_comes_first_and_edges_go_from_what_was_before(room: Showroom) -> None:
    found = lineage_of(room.context, "view:origin_landings", up=1, down=1)
    assert found.nodes[0].node == "view:origin_landings"
    assert (
        LineageEdge(source="source:landings", target="view:origin_landings", how="computed from its events")
        in found.edges
    )


def test_every_edge_joins_two_nodes_that_are_there(room: Showroom) -> None:
    found = lineage_of(room.context, "source:landings", up=20, down=20)
    there = {node.node for node in found.nodes}
    assert all({edge.source, edge.target} <= there for edge in found.edges)
    assert len(there) == len(found.nodes)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("nobody", "there is no thing that lineage knows named 'nobody'"),
        ("source:landing", "did you mean 'landings'"),
        ("version:arrival_delay/9", "no version"),
        ("dataset:sha256:00000000", "no dataset"),
        ("bundle:sha256:00", "no bundle"),
        ("predictions:eta/arrival_delay", "no predictions"),
        ("prediction:018f0000-0000-7000-8000-000000000000", "no prediction"),
        ("version:'; DROP TABLE records/1", "no version"),
    ],
)
def test_what_is_not_there_is_told(room: Showroom, node: str, says: str) -> None:
    with pytest.raises(NotFound, match=says):
        lineage_of(room.context, node, up=1, down=1)


@pytest.mark.parametrize("node", ["", "x" * 301])
def test_what_is_no_node_is_refused(room: Showroom, node: str) -> None:
    with pytest.raises(InvalidRequest, match="no node"):
        lineage_of(room.context, node, up=1, down=1)


@pytest.mark.parametrize("steps", [-1, 21])
def test_a_walk_has_its_bounds(room: Showroom, steps: int) -> None:
    with pytest.raises(InvalidRequest, match="too far"):
        lineage_of(room.context, "eta", up=steps, down=0)


def test_a_name_that_several_things_have_must_be_told_apart(room: Showroom) -> None:
    project = room.context.project
    both = replace(project, views={**project.views, "eta": project.views["origin_landings"]})
    with pytest.raises(InvalidRequest, match="names several things: view:eta, deployment:eta"):
        lineage_of(replace(room.context, project=both), "eta", up=1, down=1)


def test_a_walk_that_finds_too_much_says_so(room: Showroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_NODES", 4)
    found = lineage_of(room.context, "source:landings", up=0, down=5)
    assert (len(found.nodes), found.has_more) == (4, True)


def test_a_bundle_leads_to_its_version(room: Showroom) -> None:
    with room.context.transaction() as tx:
        version = tx.get(ModelVersion, "arrival_delay/2")
    assert version is not None
    assert lineage_of(room.context, f"bundle:{version.digest}", up=0, down=0).node == "version:arrival_delay/2"


def test_single_predictions_are_for_those_who_may_see_them(room: Showroom) -> None:
    viewer = Principal(name="vic", permissions=frozenset({"models:read"}))
    doors = Dispatcher(operations, room.context)
    assert doors.call(ShowLineage(node="eta"), viewer).node == "deployment:eta"
    with pytest.raises(NotAllowed, match="predictions:read"):
        doors.call(ShowLineage(node=prediction_id(0)), viewer)


def boxes(drawing: str) -> dict[str, float]:
    """Where each box begins, from the left, by its address."""
    found = re.findall(r'href="/lineage\?node=([^&"]+)[^>]*>.*?<rect x="([0-9.]+)"', drawing)
    return {node.replace("%3A", ":").replace("%2F", "/"): float(x) for node, x in found}


def test_in_the_drawing_whatever_came_of_something_stands_to_its_right(room: Showroom) -> None:
    found = lineage_of(room.context, "source:landings", up=0, down=5)
    places = boxes(lineage_drawing(found, depth=5))
    assert set(places) == {node.node for node in found.nodes}
    assert all(places[edge.source] < places[edge.target] for edge in found.edges)


def test_what_would_be_too_large_to_read_is_not_drawn() -> None:
    nodes = tuple(LineageNode(node=f"run:{n}", kind=NodeKind.RUN, name=str(n), distance=bool(n)) for n in range(81))
    assert lineage_drawing(Lineage(node="run:0", nodes=nodes, edges=()), depth=1) == ""
