"""Callers of a predictor by keys: what the access document says, and rights that are limited to some models."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.serving import known
from tests.serving.bundles import MODEL, ROW, publish_bundle
from tests.serving.calls import HEADERS, frame, raw
from tests.serving.predictors import PATH, Bench, make_bench
from tests.serving.projects import arm

from octavo.access.document import DOCUMENT, AccessDocument, Held
from octavo.access.keys import make_key
from octavo.registry.signing import Signer
from octavo.release.documents import signed
from octavo.serving.access_watch import AccessWatch
from octavo.serving.grpc.messages import SERVICE, ModelMetadataRequest, RepositoryIndexRequest

KEY = make_key()
ROWS = {"rows": [ROW]}


@pytest.fixture
def watched(bench: Bench) -> tuple[Bench, AccessWatch]:
    """A predictor that serves one version, and learns who may call."""
    bench.publish(arm(publish_bundle(bench.project.artifacts)))
    watch = AccessWatch(bench.project.config, bench.project.artifacts)
    watch.authority.look_by(watch.look)
    bench.app._access = watch.authority
    return bench, watch


def tell(bench: Bench, *roles: Held, sequence: int = 1) -> None:
    known.publish(bench.project, known.document(KEY, roles=roles, sequence=sequence))


def post(bench: Bench, path: str = PATH, body: object = ROWS) -> int:
    return bench.caller.post(path, body, authorization=f"Bearer {KEY.text}").status


def get(bench: Bench, path: str) -> int:
    return bench.caller.get(path, authorization=f"Bearer {KEY.text}").status


def call(bench: Bench, method: str, message: Any) -> int:
    body = frame(message.SerializeToString())
    return bench.caller.post(f"/{SERVICE}/{method}", body, authorization=f"Bearer {KEY.text}", **HEADERS).status


def test_a_key_opens_the_predictor(watched: tuple[Bench, AccessWatch]) -> None:
    bench, _ = watched
    assert post(bench) == 401
    tell(bench, Held(role="caller"))
    assert post(bench) == 200
    assert get(bench, "/status") == 403
    assert bench.records[-1].caller == f"ci/{KEY.id}"


ABOUT_IT = [Held(role="caller", about="deployment", name="eta"), Held(role="caller", about="model", name=MODEL)]
ABOUT_OTHERS = [Held(role="caller", about="deployment", name="other"), Held(role="caller", about="model", name="eta")]


@pytest.mark.parametrize("role", ABOUT_IT, ids=["its deployment", "its model"])
def test_a_right_to_a_deployment_or_its_model_opens_that_one(watched: tuple[Bench, AccessWatch], role: Held) -> None:
    bench, _ = watched
    tell(bench, role)
    assert post(bench) == 200
    assert type(bench.records[-1].caller) is str
    assert get(bench, "/v2/models/eta") == 200
    assert call(bench, "ModelMetadata", ModelMetadataRequest(name="eta")) == 200
    infer = raw(bench_tensors(), parameters={})
    assert call(bench, "ModelInfer", infer) == 200
    assert post(bench, "/predictions/eta") == 202


@pytest.mark.parametrize("role", ABOUT_OTHERS, ids=["another deployment", "a model of the deployment's name"])
def test_a_right_to_another_opens_nothing_of_this_one(watched: tuple[Bench, AccessWatch], role: Held) -> None:
    bench, _ = watched
    tell(bench, role)
    for path in (PATH, f"{PATH}/invocations", "/v2/models/eta/infer", "/predictions/eta", "/invocations"):
        assert post(bench, path) == 403
    for path in ("/v2/models/eta", "/v2/models/eta/versions/1", "/openapi.json", "/predictions/eta/1"):
        assert get(bench, path) == 403
    assert call(bench, "ModelInfer", raw(bench_tensors())) == 403
    assert call(bench, "ModelMetadata", ModelMetadataRequest(name="eta")) == 403
    assert call(bench, "RepositoryIndex", RepositoryIndexRequest()) == 403


def bench_tensors() -> list[dict[str, Any]]:
    datatypes = {str: "BYTES", float: "FP64", int: "INT64"}
    return [
        {"name": name, "datatype": datatypes[type(value)], "shape": [1], "data": [value]} for name, value in ROW.items()
    ]


# Documents that are not to be believed


def by_another(bench: Bench, document: AccessDocument) -> bytes:
    return signed(document, Signer(bench.project.config.root / "forged.key"), purpose="octavo/access/v1")


def for_another_purpose(bench: Bench, document: AccessDocument) -> bytes:
    return known.bytes_of(bench.project, document, purpose="octavo/deployment-manifest/v1")


def of_another_project(bench: Bench, document: AccessDocument) -> bytes:
    return known.bytes_of(bench.project, replace(document, project="another"))


@pytest.mark.parametrize(
    "forge", [by_another, for_another_purpose, of_another_project, lambda *_: b"{", lambda *_: b""]
)
def test_a_document_that_cannot_be_verified_changes_nothing(
    watched: tuple[Bench, AccessWatch], forge: Callable[[Bench, AccessDocument], bytes]
) -> None:
    bench, _ = watched
    tell(bench, Held(role="caller"))
    assert post(bench) == 200
    bench.project.artifacts.publish(DOCUMENT, forge(bench, known.document(KEY, sequence=9, roles=[Held(role="admin")])))
    assert (post(bench), get(bench, "/status")) == (200, 403)


def test_an_older_document_does_not_bring_a_revoked_key_back(watched: tuple[Bench, AccessWatch]) -> None:
    bench, _ = watched
    tell(bench, Held(role="caller"))
    assert post(bench) == 200
    known.publish(bench.project, known.document(sequence=2))
    assert post(bench) == 401
    tell(bench, Held(role="caller"))
    assert post(bench) == 401
    again = AccessWatch(bench.project.config, bench.project.artifacts)
    again.restore()
    again.look()
    bench.app._access = again.authority
    assert post(bench) == 401
    tell(bench, Held(role="caller"), sequence=3)
    again.look()


def test_what_was_known_is_known_after_a_start_without_artifacts(watched: tuple[Bench, AccessWatch]) -> None:
    bench, watch = watched
    tell(bench, Held(role="caller"))
    watch.look()
    again = AccessWatch(bench.project.config, make_bench(bench.project.config.root / "elsewhere").project.artifacts)
    again.restore()
    again.look()
    assert again.authority.verify(KEY.text).may("predictions:write")
