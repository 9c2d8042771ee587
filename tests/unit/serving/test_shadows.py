"""Shadows come last, and are let go first."""

import asyncio
from collections.abc import Callable

import pytest

from octavo.serving.metrics import PredictorMetrics
from octavo.serving.shadows import Job, Shadows


def job(seen: list[str], name: str) -> Job:
    async def run() -> None:
        seen.append(name)

    return run


def run(scene: Callable[[], object]) -> None:
    """Run a scene in a loop, and then what it left to do."""

    async def main() -> None:
        scene()
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_shadow_is_asked_after_what_is_under_way() -> None:
    seen: list[str] = []
    shadows = Shadows(PredictorMetrics())

    def scene() -> None:
        assert shadows.add(job(seen, "shadow"), predictions=1)
        asyncio.get_running_loop().call_soon(seen.append, "a request")
        assert seen == [], "nobody waits for it"

    run(scene)
    assert seen == ["a request", "shadow"]


def test_other_work_comes_between_two_shadows() -> None:
    seen: list[str] = []
    shadows = Shadows(PredictorMetrics())

    async def first() -> None:
        seen.append("first")
        asyncio.get_running_loop().call_soon(seen.append, "a request")

    run(lambda: [shadows.add(first, predictions=1), shadows.add(job(seen, "second"), predictions=1)])
    assert seen == ["first", "a request", "second"]


def test_beyond_a_number_that_wait_shadows_are_dropped_and_counted() -> None:
    seen: list[str] = []
    shadows = Shadows(PredictorMetrics(), most=2)
    run(lambda: [shadows.add(job(seen, name), predictions=10) for name in ("a", "b", "c")])
    assert (seen, shadows.dropped) == (["a", "b"], 10)


def test_a_busy_predictor_drops_shadows_even_those_that_wait() -> None:
    seen: list[str] = []
    busy = [False]
    shadows = Shadows(PredictorMetrics())
    shadows.make_way(lambda: busy[0])

    def scene() -> None:
        assert shadows.add(job(seen, "a"), predictions=3)
        busy[0] = True
        assert not shadows.add(job(seen, "b"), predictions=4)

    run(scene)
    assert (seen, shadows.dropped) == ([], 7)


def test_a_shadow_that_raises_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    shadows = Shadows(PredictorMetrics())

    async def broken() -> None:
        raise ZeroDivisionError

    run(lambda: [shadows.add(broken, predictions=1), shadows.add(job(seen, "next"), predictions=1)])
    assert seen == ["next"]
    assert "a shadow version failed" in caplog.text


def test_what_was_dropped_is_told_to_prometheus() -> None:
    metrics = PredictorMetrics()
    shadows = Shadows(metrics, most=0)
    run(lambda: shadows.add(job([], "a"), predictions=5))
    assert "octavo_shadow_predictions_dropped_total 5" in metrics.render()
