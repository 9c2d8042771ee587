"""Versions that are called without a deployment, as MODEL@ALIAS and MODEL@VERSION."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.serving import calls
from tests.serving.asgi import Reply
from tests.serving.bundles import MODEL, PROJECT, ROW, publish_bundle
from tests.serving.doors import ARROW, DOORS, tensors
from tests.serving.predictors import Bench
from tests.serving.projects import arm

from octavo.registry.signing import Signer
from octavo.release.aliases import PURPOSE, AliasManifest, NamedVersion, document_name
from octavo.release.documents import signed
from octavo.serving.grpc import messages
from octavo.serving.grpc.messages import SERVICE

CHAMPION = f"{MODEL}@champion"


def name(bench: Bench, sequence: int = 1, *, signer: Signer | None = None, model: str = MODEL, **versions: int) -> None:
    """Publish what aliases name; version N answers N more than version 0 does."""
    named = tuple(
        NamedVersion(alias=alias, version=version, digest=publish_bundle(bench.project.artifacts, bias=float(version)))
        for alias, version in versions.items()
    )
    manifest = AliasManifest(project=PROJECT, model=model, sequence=sequence, named=named, published_at_us=0)
    bench.project.artifacts.publish(
        document_name(MODEL), signed(manifest, signer or bench.project.signer, purpose=PURPOSE)
    )
    bench.watcher.look()


@pytest.fixture
def running(bench: Bench) -> Iterator[Bench]:
    """A predictor that looks by itself, in which champion names version 3 and no deployment serves."""
    bench.delays(10.0, 20.0)
    name(bench, champion=3)
    bench.watcher.start()
    yield bench
    bench.watcher.stop()


def ask(bench: Bench, called: str) -> Reply:
    return bench.caller.post(f"/predict/{called}", {"rows": [ROW]})


def value(bench: Bench, called: str) -> float:
    reply = ask(bench, called)
    assert reply.status == 200, reply.body
    return float(reply.json["predictions"][0]["value"])


def loaded(bench: Bench) -> dict[int, tuple[str, ...]]:
    return {model.version: model.called for model in bench.watcher.status.models}


def test_nothing_is_loaded_before_it_is_asked_for_and_the_first_caller_waits(running: Bench) -> None:
    assert loaded(running) == {}
    reply = ask(running, CHAMPION)
    assert (reply.status, reply.json["predictions"][0]["version"]) == (200, 3)
    running.watcher.stop()
    assert loaded(running) == {3: (CHAMPION,)}


def test_many_first_callers_wait_for_one_loading(running: Bench) -> None:
    async def all_at_once() -> list[Reply]:
        body = msgspec.json.encode({"rows": [ROW]})
        asks = [running.caller.ask("POST", f"/predict/{CHAMPION}", parts=[body]) for _ in range(20)]
        return await asyncio.gather(*asks)

    assert {reply.status for reply in asyncio.run(all_at_once())} == {200}
    assert len(running.records) == 20


def test_by_every_door_an_alias_gives_the_same_answer(running: Bench) -> None:
    expected = value(running, CHAMPION)
    document = {"inputs": tensors([ROW])}
    for path in (f"/v2/models/{CHAMPION}/infer", f"/v2/models/{MODEL}/versions/3/infer"):
        reply = running.caller.post(path, document)
        assert DOORS["tensors"].values(reply) == [expected], reply.body
    reply = running.caller.post(f"/predict/{CHAMPION}/invocations", {"dataframe_records": [ROW]})
    assert reply.json["predictions"] == [expected]
    body, headers = DOORS["arrow"].body([ROW])
    assert DOORS["arrow"].values(running.caller.post(f"/predict/{CHAMPION}", body, **headers)) == [expected]
    assert headers["accept"] == ARROW


@pytest.mark.parametrize(("model", "version"), [(CHAMPION, ""), (MODEL, "3"), (f"{MODEL}@3", "")])
def test_over_grpc_a_version_is_called_by_alias_and_by_number(running: Bench, model: str, version: str) -> None:
    expected = value(running, CHAMPION)
    request = calls.by_lists(tensors([ROW]))
    request.model_name, request.model_version = model, version
    body = calls.frame(request.SerializeToString())
    reply = running.caller.post(f"/{SERVICE}/ModelInfer", body, **calls.HEADERS)
    assert DOORS["gRPC"].values(reply) == [expected]


def test_a_version_is_called_by_its_number_where_an_alias_or_a_deployment_has_it(running: Bench) -> None:
    running.watcher.stop()
    running.publish(arm(publish_bundle(running.project.artifacts, bias=8.0), version=8))
    for number in (3, 8):
        running.caller.get(f"/v2/models/{MODEL}/versions/{number}/ready")
    running.watcher.look()
    assert value(running, f"{MODEL}@8") == value(running, f"{MODEL}@3") + 5
    reply = ask(running, f"{MODEL}@4")
    assert (reply.status, reply.json["code"]) == (404, "not_found")
    assert f"did you mean '{MODEL}@3'" in reply.json["detail"]


def test_an_answer_is_recorded_under_the_name_it_was_called_by(running: Bench) -> None:
    ask(running, CHAMPION)
    (record,) = running.records
    assert (record.deployment, record.model, record.version, record.arm) == (CHAMPION, MODEL, 3, "live")


def test_where_an_alias_moves_what_it_names_is_loaded_before_it_answers(running: Bench) -> None:
    before = value(running, CHAMPION)
    running.watcher.stop()
    name(running, 2, champion=5)
    assert running.watcher.aliases.served[CHAMPION].fallback.arm.version == 5
    assert value(running, CHAMPION) == before + 2  # nobody looks any more, so it was not loaded for this


def test_going_back_takes_the_version_that_is_still_loaded(running: Bench) -> None:
    ask(running, CHAMPION)
    model = running.watcher.aliases.served[CHAMPION].fallback.model
    running.watcher.stop()
    name(running, 2, champion=5)
    name(running, 3, champion=3)
    assert running.watcher.aliases.served[CHAMPION].fallback.model is model


def test_an_alias_that_is_removed_is_not_found(running: Bench) -> None:
    ask(running, CHAMPION)
    running.watcher.stop()
    name(running, 2)
    assert ask(running, CHAMPION).status == 404


def damaged(bench: Bench, number: int) -> None:
    """Let an alias name a bundle that is not there."""
    gone = (NamedVersion(alias="champion", version=number, digest=f"sha256:{number:064x}"),)
    manifest = AliasManifest(project=PROJECT, model=MODEL, sequence=number, named=gone, published_at_us=0)
    bench.project.artifacts.publish(document_name(MODEL), signed(manifest, bench.project.signer, purpose=PURPOSE))


def test_what_cannot_be_loaded_is_unavailable_at_once_from_then_on(running: Bench) -> None:
    running.watcher.stop()
    damaged(running, 9)
    running.watcher.look()
    assert running.caller.get(f"/v2/models/{CHAMPION}/ready").status == 503
    running.watcher.look()
    reply = ask(running, CHAMPION)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert "cannot be loaded" in reply.json["detail"]


def test_an_alias_that_moves_to_what_cannot_be_loaded_goes_on_as_before(running: Bench) -> None:
    before = value(running, CHAMPION)
    running.watcher.stop()
    damaged(running, 9)
    running.watcher.look()
    assert value(running, CHAMPION) == before
    assert "artifact" in running.watcher.status.alias_errors[MODEL]


def test_what_asks_whether_a_version_is_ready_does_not_wait(running: Bench) -> None:
    running.watcher.stop()
    path = f"/v2/models/{CHAMPION}/ready"
    reply = running.caller.get(path)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    running.watcher.look()
    assert running.caller.get(path).status == 200


def test_an_older_or_forged_or_foreign_list_is_not_followed(running: Bench) -> None:
    running.watcher.stop()
    name(running, 5, champion=5)
    reasons = []
    for changes in (
        {"sequence": 4},
        {"sequence": 6, "signer": Signer(running.project.config.root / "forged.key")},
        {"sequence": 6, "model": "other"},
    ):
        name(running, champion=3, **changes)
        reasons.append(running.watcher.status.alias_errors[MODEL])
        assert running.watcher.aliases.arm(CHAMPION).version == 5  # type: ignore[union-attr]  # it is there
    assert "is not newer than 5" in reasons[0]
    assert "is one for 'other'" in reasons[2]


def test_aliases_are_kept_on_the_predictors_own_disk(running: Bench) -> None:
    ask(running, CHAMPION)
    running.watcher.stop()
    again = Bench(running.project)
    again.project.artifacts.__init__()  # type: ignore[misc]  # nothing is left of what was published
    again.watcher.restore()
    again.watcher.start()
    assert ask(again, CHAMPION).status == 200
    again.watcher.stop()


def test_what_is_unloaded_is_loaded_again_when_it_is_asked_for(running: Bench) -> None:
    before = value(running, CHAMPION)
    running.watcher.stop()
    running.watcher._fleet._max_bytes = 0
    running.watcher.look()
    assert loaded(running) == {}
    assert running.watcher.aliases.served == {}
    running.watcher._fleet._max_bytes = 10**12
    reply = running.caller.get(f"/v2/models/{CHAMPION}/ready")
    assert reply.status == 503
    running.watcher.look()
    assert value(running, CHAMPION) == before


def test_the_index_tells_what_is_loaded_and_what_would_be(running: Bench) -> None:
    reply = running.caller.post("/v2/repository/index")
    unloaded = {"state": "UNAVAILABLE", "reason": "it is loaded when it is first asked for"}
    assert {"name": CHAMPION, "version": "3", **unloaded} in reply.json
    assert running.caller.post("/v2/repository/index", {"ready": True}).json == []
    ask(running, CHAMPION)
    ready = running.caller.post("/v2/repository/index", {"ready": True}).json
    assert ready == [{"name": CHAMPION, "version": "3", "state": "READY"}]


def test_the_index_is_the_same_over_grpc(running: Bench) -> None:
    expected = running.caller.post("/v2/repository/index").json
    reply = running.caller.post(f"/{SERVICE}/RepositoryIndex", calls.frame(b""), **calls.HEADERS)
    found: Any = messages.RepositoryIndexResponse.FromString(reply.body).models
    told = [{"name": m.name, "version": m.version, "state": m.state, "reason": m.reason} for m in found]
    assert told == [{"reason": "", **one} for one in expected]


@pytest.mark.parametrize("body", [b"[]", b'{"ready": 1}', b"{"])
def test_an_index_asked_for_wrongly_is_refused(running: Bench, body: bytes) -> None:
    reply = running.caller.post("/v2/repository/index", body)
    assert (reply.status, reply.json["code"]) == (422, "invalid_request")
