"""The standard health service."""

import asyncio
from typing import Any

import pytest
from tests.serving import calls
from tests.serving.bundles import publish_bundle
from tests.serving.predictors import Bench
from tests.serving.projects import arm

from octavo.serving.grpc import health
from octavo.serving.grpc.app import GrpcApp
from octavo.serving.grpc.messages import HEALTH, HealthCheckRequest, HealthCheckResponse

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


@pytest.fixture
def served(bench: Bench) -> Bench:
    """A predictor that serves one version."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    return bench


def check(bench: Bench, service: str = "") -> int:
    """What Check says to somebody without a token."""
    body = calls.frame(HealthCheckRequest(service=service).SerializeToString())
    reply = bench.caller.post(f"/{HEALTH}/Check", body, **calls.HEADERS, authorization="")
    assert reply.headers["grpc-status"] == "0", reply
    status: int = HealthCheckResponse.FromString(reply.body).status
    return status


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService", HEALTH, "eta"])
def test_what_is_served_is_healthy(served: Bench, service: str) -> None:
    assert check(served, service) == SERVING


def test_a_predictor_that_has_not_looked_or_is_about_to_stop_serves_nothing(bench: Bench) -> None:
    assert check(bench) == NOT_SERVING
    bench.watcher.look()
    assert check(bench) == SERVING
    bench.app.is_draining = True
    assert check(bench) == NOT_SERVING


def test_a_service_that_there_is_not_is_not_found(served: Bench) -> None:
    body = calls.frame(HealthCheckRequest(service="eto").SerializeToString())
    reply = served.caller.post(f"/{HEALTH}/Check", body, **calls.HEADERS)
    assert (reply.status, reply.json["code"]) == (404, "not_found")
    assert "did you mean 'eta'" in reply.json["error"]


class Watching:
    """A caller of Watch, told each change, who stays until it goes."""

    def __init__(self, bench: Bench, service: str) -> None:
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._body: bytes | None = calls.frame(HealthCheckRequest(service=service).SerializeToString())
        headers = [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
        scope = {"type": "http", "method": "POST", "path": f"/{HEALTH}/Watch", "headers": headers}
        self.task = asyncio.create_task(bench.grpc(scope, self._receive, self.told.put))

    async def next(self) -> int | None:
        """The status that is told next; None at the end."""
        while (message := await self.told.get())["type"] != "http.response.trailers":
            if message.get("body"):
                status: int = HealthCheckResponse.FromString(message["body"][5:]).status
                return status
        return None

    def go(self) -> None:
        self._gone.set()

    async def _receive(self) -> dict[str, object]:
        if self._body is None:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body}


def test_who_watches_is_told_each_change_and_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_LOOK_EVERY_S", 0.001)

    async def watch() -> list[int | None]:
        watching = Watching(bench, "eta")
        told = [await watching.next()]
        await asyncio.sleep(0.02)
        assert watching.told.empty()
        bench.publish(arm(publish_bundle(bench.project.artifacts)))
        told.append(await watching.next())
        bench.app.is_draining = True
        told += [await watching.next(), await watching.next()]
        await watching.task
        return told

    assert asyncio.run(watch()) == [UNKNOWN, SERVING, NOT_SERVING, None]


def test_a_watcher_who_goes_leaves_its_place_to_another(served: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_MOST_WATCHERS", 1)

    async def watch() -> list[int | None]:
        first = Watching(served, "")
        told = [await first.next()]
        told.append(await Watching(served, "").next())
        first.go()
        await first.task
        last = Watching(served, "")
        told.append(await last.next())
        last.go()
        await last.task
        return told

    assert asyncio.run(watch()) == [SERVING, None, SERVING]


def test_there_is_one_grpc_application_with_the_health_service(bench: Bench) -> None:
    assert isinstance(bench.grpc, GrpcApp)
    assert {method.path for method in bench.grpc.methods} >= {f"/{HEALTH}/Check", f"/{HEALTH}/Watch"}
