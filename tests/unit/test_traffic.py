"""What a deployment may declare of its traffic."""

from typing import Any

import pytest
from tests.stages import project_of

import octavo as oc
from octavo.errors import InvalidDefinition, NotFound


def test_an_experiment_is_declared_with_its_arms_and_its_length() -> None:
    found = oc.Experiment("faster", arms={"control": 50, "challenger": 12.25}, length="2w")
    assert [(arm.name, arm.percent, arm.model) for arm in found.arms] == [
        ("control", 50.0, None), ("challenger", 12.25, None),
    ]  # fmt: skip
    assert found.length_s == 14 * 86_400


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"control": 50}, "need one named 'control', which keeps the live version, and one at least to compare"),
        ({"a": 50, "b": 50}, "need one named 'control'"),
        ({"control": 60, "challenger": 50}, "its arms take 110 % of the units; 100 is all"),
        ({"control": 50, "challenger": 0}, "arm 'challenger': 0 is no percentage above 0"),
        ({"control": 50, "challenger": 0.125}, "at most two decimals"),
        ({"control": 50, "The other": 50}, "arm"),
    ],
)
def test_arms_that_cannot_be_are_refused(arms: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        oc.Experiment("faster", arms=arms)


def test_another_model_may_answer_an_arm_and_belongs_to_the_project() -> None:
    model = project_of().model("arrival_delay")
    with pytest.raises(InvalidDefinition, match="models names 'control'"):
        oc.Experiment("faster", arms={"control": 50, "challenger": 50}, models={"control": model})
    lean = oc.model(features=list(model.views), label=model.label, metrics=["mae"])(lean_delay)
    faster = oc.Experiment("faster", arms={"control": 50, "challenger": 50}, models={"challenger": lean})
    project = project_of(experiments=[faster])
    assert sorted(project.models) == ["arrival_delay", "lean_delay"]
    assert b'"model":"lean_delay"' in project.documents()["deployment/eta"]


def lean_delay(train: oc.Dataset) -> Any:
    raise AssertionError("nothing is trained here")


def test_an_experiment_is_found_by_its_name() -> None:
    faster = oc.Experiment("faster", arms={"control": 50, "challenger": 50})
    deployment = project_of(experiments=[faster]).deployment("eta")
    assert deployment.experiment("faster") is faster
    with pytest.raises(NotFound, match="did you mean 'faster'"):
        deployment.experiment("fasterr")
    with pytest.raises(InvalidDefinition, match="two experiments of one name"):
        project_of(experiments=[faster, faster])


@pytest.mark.parametrize("percent", [0, -1, 101, 0.001])
def test_a_share_that_is_none_is_refused(percent: float) -> None:
    with pytest.raises(InvalidDefinition, match="no percentage above 0, up to 100"):
        oc.Holdout(percent)
    with pytest.raises(InvalidDefinition, match="no percentage above 0, up to 100"):
        oc.Explore(percent)


@pytest.mark.parametrize("among", [{}, {"newest": 1}, {"live": 0}])
def test_exploration_is_among_versions_that_there_can_be(among: dict[str, float]) -> None:
    with pytest.raises(InvalidDefinition, match="name some of live, previous, canary"):
        oc.Explore(1, among=among)


@pytest.mark.parametrize("steps", [[], [0, 100], [50, 10], [10, 10], [101]])
def test_shadow_steps_rise(steps: list[int]) -> None:
    with pytest.raises(InvalidDefinition, match="must rise, from 1 to at most 100"):
        oc.Rollout(shadow_steps=steps)
