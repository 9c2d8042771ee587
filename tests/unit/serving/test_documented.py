"""The errors in docs/predictions.md are those that a predictor gives, word for word, and none is left out."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.serving.asgi import Reply
from tests.serving.bundles import ROW, publish_bundle
from tests.serving.predictors import PATH, Bench, Broken
from tests.serving.projects import PROJECT, arm, make_project

from octavo.access import project_access
from octavo.serving.limits import Admission
from octavo.stores.memory import MemoryArtifacts

PAGE = (Path(__file__).parents[3] / "docs" / "predictions.md").read_text(encoding="utf-8")
_ROW = re.compile(r"\| (\d{3}) `(\w+)` \| (.+?) \| (.+?) \|")
DEFAULTS = f'[project]\nname = "{PROJECT}"\n'


@pytest.fixture
def served(tmp_path: Path) -> Bench:
    """A predictor with the settings that a project has unless told otherwise."""
    bench = Bench(make_project(tmp_path, settings=DEFAULTS, artifacts=MemoryArtifacts()))
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


def sent(body: object, **headers: str) -> Callable[[Bench], Reply]:
    return lambda bench: bench.caller.post(PATH, body, **headers)


def row(**changes: Any) -> Callable[[Bench], Reply]:
    return sent({"rows": [{**ROW, **changes}]})


def without_permission(bench: Bench) -> Reply:
    token = project_access(bench.project.config.home).issue(name="ann", permissions=["metrics:read"])
    return replace(bench.caller, token=token).post(PATH, b"")


def slowly(bench: Bench) -> Reply:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async def ask() -> Reply:
        bench.app.admission.watch()
        return await bench.caller.ask("POST", PATH, parts=stalling())

    bench.app.admission = Admission(1, timeout_s=0.01)
    return asyncio.run(ask())


def in_a_crowd(bench: Bench) -> Reply:
    async def ask() -> Reply:
        with ExitStack() as crowd:
            for _ in range(256):
                crowd.enter_context(bench.app.admission.admitted())
            return await bench.caller.ask("POST", PATH, parts=[b""])

    return asyncio.run(ask())


def without_a_finite_number(bench: Bench) -> Reply:
    overflowing = publish_bundle(bench.project.artifacts, weights=[0.0, 0.0, 0.0, 3e38, 0.0])
    bench.publish(arm(overflowing, version=2), sequence=2)
    return bench.caller.post(PATH, {"rows": [ROW]})


def with_a_mistake_inside(bench: Bench) -> Reply:
    bench.online = Broken()
    bench.publish(arm(publish_bundle(bench.project.artifacts, bias=1.0)), sequence=2)
    return bench.caller.post(PATH, {"rows": [ROW]}, x_request_id="r-1")


PROVOKED: dict[str, Callable[[Bench], Reply]] = {
    "no token": lambda bench: replace(bench.caller, token="").post(PATH, b""),
    "not a token": lambda bench: bench.caller.post(PATH, b"", authorization="Bearer x"),
    "unknown token": sent(b"", authorization=f"Bearer octavo_00000000_{'0' * 64}"),
    "no permission": without_permission,
    "unknown deployment": lambda bench: bench.caller.post("/predict/etta", b""),
    "wrong method": lambda bench: bench.caller.get(PATH),
    "slow": slowly,
    "too many bytes": sent(b"", content_length="4000001"),
    "too many rows": sent({"rows": [ROW] * 10_001}),
    "not JSON by its type": sent(b"", content_type="text/csv"),
    "compressed": sent(b"", content_encoding="gzip"),
    "empty": sent(b""),
    "truncated": sent(b'{"rows": [{"dist'),
    "not UTF-8": sent(b"\xff"),
    "NaN": sent(b'{"rows": [{"distance": NaN}]}'),
    "half a pair": sent(b'{"rows": [{"origin": "\\ud83d"}]}'),
    "a list": sent([ROW]),
    "no rows": sent({"rows": []}),
    "unknown field": row(destance=1),
    "missing field": sent({"rows": [{name: value for name, value in ROW.items() if name != "origin"}]}),
    "twice": sent(b'{"rows": [{"distance": 1, "sched_dep": "2013-07-01T12:30:00Z", "origin": "a", "origin": "b"}]}'),
    "wrong type": row(distance="500"),
    "too large a number": row(distance=1e39),
    "beyond 64 bits": row(seats=2**63),
    "too long": row(origin="x" * 1025),
    "no offset": row(sched_dep="2013-07-01T12:30:00"),
    "absurd year": row(sched_dep="9999-12-31T00:00:00Z"),
    "crowd": in_a_crowd,
    "no finite number": without_a_finite_number,
    "unforeseen": with_a_mistake_inside,
}


@pytest.mark.parametrize("provoke", PROVOKED.values(), ids=PROVOKED)
def test_an_error_stands_in_the_page_as_it_is_given(served: Bench, provoke: Callable[[Bench], Reply]) -> None:
    problem = provoke(served).json
    detail = re.sub("ann/[0-9a-f]{8}", "ann/1f3a09c2", problem["detail"]).replace("0.01 seconds", "10 seconds")
    assert documented().get((str(problem["status"]), problem["code"], detail)) == problem.get("fix", "")


def test_every_error_in_the_page_is_one_that_is_given() -> None:
    assert len(documented()) == len(PROVOKED)


def documented() -> dict[tuple[str, str, str], str]:
    """The fix of each documented error, by status, code and detail."""
    return {
        (status, code, detail.strip("`")): "" if fix == "-" else fix.strip("`")
        for status, code, detail, fix in _ROW.findall(PAGE)
    }
