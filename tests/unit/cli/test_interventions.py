"""What people read when they approve, hold, stop and resume."""

from tests.unit.cli.calls import CALLS
from tests.unit.cli.shop import Shop


def test_what_waits_for_approval_is_told_with_whose_word_it_needs(shop: Shop) -> None:
    assert "No release waits for anybody" in shop.done("deployments", "approvals")
    [release] = CALLS["deployments", "approve"](shop)
    listed = shop.done("deployments", "approvals")
    assert release in listed
    assert "spending 1 to till" in listed
    assert f"octavo deployments approve {release}" in shop.done("deployments", "show", "till")
    assert f"waits for approval in till: octavo deployments approve {release}" in shop.done("status")
    assert "Approved: spending 1 goes on to till." in shop.done("deployments", "approve", release)


def test_a_held_release_says_how_it_goes_on(shop: Shop) -> None:
    CALLS["deployments", "resume"](shop)
    assert "octavo deployments resume till" in shop.done("deployments", "show", "till")
    assert ", held" in shop.done("deployments")
    assert "goes on from waiting for approval in till" in shop.done("deployments", "resume", "till")


def test_a_stop_is_told_wherever_one_looks_until_it_is_started(shop: Shop) -> None:
    stopped = shop.done("deployments", "stop", "till", "--reason", "wrong units")
    assert stopped == "Stopped: till asks no model until: octavo deployments start till\n"
    assert "stopped" in shop.done("deployments")
    shown = shop.done("deployments", "show", "till")
    assert "(wrong units): no model is asked." in shown
    assert "till is stopped since" in shop.done("status")
    assert shop.run("deployments", "stop", "till", "--reason", "again").exit_code == 8
    shop.done("deployments", "start", "till")
    assert "stopped" not in shop.done("status")


def test_many_are_stopped_at_once(shop: Shop) -> None:
    assert "Stopped: till" in shop.done("deployments", "stop", "--model", "spending", "--reason", "a poisoned feed")
    nothing = shop.done("deployments", "stop", "--all", "--reason", "a poisoned feed")
    assert "nothing that is not stopped already" in nothing
    assert shop.run("deployments", "stop", "till", "--all", "--reason", "x").exit_code == 5
    assert shop.run("deployments", "stop", "--reason", "x").exit_code == 5
    assert shop.run("deployments", "stop", "--model", "spendin", "--reason", "x").exit_code == 7


def test_a_trigger_is_suspended_and_resumed(shop: Shop) -> None:
    assert "ready" in shop.done("retraining")
    shop.done("retraining", "suspend", "spending", "--trigger", "cron", "--reason", "labels are late")
    assert "labels are late" in shop.done("retraining", "--model", "spending")
    assert "retrains spending no more" in shop.done("status")
    assert "Resumed: cron(0 3 * * * UTC) of spending." in shop.done("retraining", "resume", "spending")
    assert "Nothing of spending was suspended." in shop.done("retraining", "resume", "spending")
