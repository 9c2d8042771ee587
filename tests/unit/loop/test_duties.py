"""What a worker without the duties waits for."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stages import Stage, set_stage

from octavo.errors import Unavailable
from octavo.identifiers import new_id
from octavo.loop import duties
from octavo.loop.duties import wait_until_shipped
from octavo.monitoring.outcomes import OutcomeRow, record_outcomes, ship_outcomes


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


class Pauses:
    """Time that passes only where it is slept away, and what happens meanwhile."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._now_s = 0.0
        self._meanwhile = meanwhile

    def monotonic(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds
        self._meanwhile()


def tell(stage: Stage, value: float) -> None:
    stores = stage.context.stores
    row = OutcomeRow(prediction=new_id(stage.clock), value=value, known_at=stage.clock.now())
    record_outcomes([row], stream=stores.stream, clock=stage.clock)


def test_it_waits_for_what_was_accepted_before_and_not_for_what_comes_meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, shipped = stage.context.stores, []

    def ship_one_and_accept_another() -> None:
        shipped.append(ship_outcomes(stores.stream, stores.tables, max_bytes=1))
        tell(stage, float(len(shipped)))

    monkeypatch.setattr(duties, "time", Pauses(ship_one_and_accept_another))
    wait_until_shipped(stage.context)
    assert shipped == [], "nothing was there to wait for"
    tell(stage, 0.0)
    wait_until_shipped(stage.context)
    assert len(shipped) == 1


def test_what_nobody_carries_is_told_after_a_minute(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "time", Pauses(lambda: None))
    tell(stage, 0.0)
    with pytest.raises(Unavailable, match="outcomes are not in the tables after 60 s"):
        wait_until_shipped(stage.context)
