"""What people decide about a release outlives `kill -9` of the worker that carries it out, at each step."""

from dataclasses import replace
from pathlib import Path

import pytest

from octavo.config import Config
from octavo.errors import Conflict
from octavo.operations import Dispatcher, Principal
from octavo.processes import PREDICTOR, WORKER
from octavo.release.intervention_operations import ApproveRelease, ListApprovals
from octavo.wiring import build_dispatcher, open_context
from tests.integration.projects import MODULE, Running, prepare, until, up

BY_HAND = MODULE.replace(
    'oc.Rollout(shadow="2h", steps=[50, 100], bake="2h")',
    'oc.Rollout(shadow=None, steps=[50, 100], bake="manual", approval="manual")',
)
GRACE = Principal(name="user:grace", permissions=frozenset({"*"}))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return prepare(tmp_path / "deliveries", module=BY_HAND)


def approved(dispatcher: Dispatcher, running: Running, version: int) -> str:
    """Release a version; the worker dies before it waits for somebody, and again before it goes on."""
    release = running.release(version)
    running.kill(WORKER)
    until(lambda: dispatcher.call(ListApprovals(), GRACE), what="it waits for somebody")
    running.kill(WORKER)
    dispatcher.call(ApproveRelease(release=release), GRACE)
    return release


@pytest.mark.slow
def test_approvals_holds_and_steps_by_hand_outlive_the_worker(config: Config) -> None:
    context = open_context(config)
    dispatcher = build_dispatcher(replace(context, principal=GRACE))
    with up(config) as running:
        first = approved(dispatcher, running, 1)
        until(lambda: running.is_at(first, "live", 100), what="version 1 is live")
        second = approved(dispatcher, running, 2)
        until(lambda: running.is_at(second, "canary", 50), what="version 2 is a canary")
        running.client.call("releases.hold", deployment="eta", reason="lunch")
        running.kill(WORKER)
        running.kill(PREDICTOR)
        with pytest.raises(Conflict, match="stands still; resume it first"):
            running.client.call("releases.advance", deployment="eta")
        running.client.call("releases.resume", deployment="eta")
        running.kill(WORKER)
        running.client.call("releases.advance", deployment="eta", reason="all is well")
        until(lambda: running.is_at(second, "live", 100), what="version 2 is live")
        found = running.client.call("releases.show", release=second)
        assert [step["what"] or step["state"] for step in found["history"]] == [
            *("verified", "waiting_for_approval", "approved", "canary", "held", "resumed", "live"),
        ]
        assert [word["by"] for word in found["approvals"]] == ["user:grace"]
    context.stores.metadata.close()
