"""Definitions are put into force as a whole, and only what differs is written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.stages import DEPLOYMENT, MODEL, Stage, project_of, set_stage

import octavo as oc
from octavo.definitions.changes import ChangeKind
from octavo.definitions.project import Project
from octavo.loop.definitions import AppliedDefinition, AppliedProject, ApplyProject, Plan, PlanProject, operations
from octavo.operations import SYSTEM, Dispatcher
from octavo.release.releases import DeploymentState


def call(stage: Stage, request: ApplyProject | PlanProject, *, project: Project | None = None) -> Plan:
    context = replace(stage.context, project=project or stage.context.project)
    planned: Plan = Dispatcher(operations, context).call(request, SYSTEM)
    return planned


def changed(planned: Plan) -> dict[str, tuple[ChangeKind, tuple[str, ...]]]:
    return {change.definition: (change.kind, change.fields) for change in planned.changes}


def code_in_force(stage: Stage) -> Any:
    with stage.context.transaction() as tx:
        return tx.get(AppliedProject, "flights")


def test_planning_changes_nothing(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    planned = call(stage, PlanProject())
    assert set(changed(planned)) == {
        "deployment/eta",
        "entity/origin",
        "model/arrival_delay",
        "source/landings",
        "view/origins",
    }
    assert call(stage, PlanProject()) == planned
    assert code_in_force(stage) is None


def test_what_is_applied_twice_is_applied_once(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    assert len(call(stage, ApplyProject()).changes) == 5
    again = call(stage, ApplyProject())
    assert (again.changes, again.unchanged) == ((), 5)


def test_a_change_names_its_fields_and_other_code_is_told_apart(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    call(stage, ApplyProject())
    before = code_in_force(stage)
    other = replace(project_of(rollout=oc.Rollout(shadow="9h")), code={"project.py": "# another\n"})
    assert changed(call(stage, ApplyProject(), project=other)) == {
        "deployment/eta": (ChangeKind.CHANGED, ("rollout",)),
    }
    assert code_in_force(stage).code != before.code


def test_a_definition_that_was_removed_may_come_back(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    call(stage, ApplyProject())
    without = replace(stage.context.project, deployments={})
    assert changed(call(stage, ApplyProject(), project=without)) == {"deployment/eta": (ChangeKind.REMOVED, ())}
    assert call(stage, PlanProject(), project=without).changes == ()
    assert changed(call(stage, ApplyProject())) == {"deployment/eta": (ChangeKind.ADDED, ())}


def test_a_deployment_is_known_from_its_application_on(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    live = replace(stage.state(), live=3)
    with stage.context.transaction() as tx:
        tx.put(live)
    call(stage, ApplyProject())
    with stage.context.transaction() as tx:
        assert tx.find(DeploymentState) == [live], "what serves goes on"
        [applied] = tx.find(AppliedDefinition, name=f"deployment/{DEPLOYMENT}")
    assert (applied.applied_by, f'"model":"{MODEL}"' in applied.document) == ("system", True)
