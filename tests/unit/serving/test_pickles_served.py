"""A predictor and a version whose model is a pickle: refused three times over, and served once all is said."""

import asyncio
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from tests.serving.asgi import Reply
from tests.serving.bundles import CODE, MODEL, PLAN_OF_TESTS, PROJECT, ROW, bundle_files, publish_bundle
from tests.serving.predictors import Bench, make_bench
from tests.serving.projects import DEPLOYMENT, SETTINGS, arm, make_project, manifest

from octavo.registry.bundles import FORMS, GOLDEN, ONNX, BundleFile, BundleManifest, digest_of
from octavo.registry.formats.tiers import PICKLE_FILE, FormatTier, format_tier, tier_of
from octavo.registry.forms import Form, FormChoice, Forms, encode_forms
from octavo.registry.jail.process import JailedModel
from octavo.stores.ports import Artifacts

ALLOWED = f"{SETTINGS}\n[models]\nallow_pickle = true\n"
NATIVE = Forms(forms=(FormChoice(form=Form.NATIVE, from_rows=1),))


def publish_pickle(artifacts: Artifacts) -> str:
    """A bundle whose model, a pickle, answers 7."""
    width = len(PLAN_OF_TESTS.inputs)
    model = DummyRegressor(strategy="constant", constant=7.0).fit(np.zeros((2, width)), [0.0, 1.0])
    golden = {"rows": [[1.0] * width], "expected": [7.0], "tolerance": 1e-5}
    files = bundle_files(code=CODE) | {
        PICKLE_FILE: pickle.dumps(model),
        FORMS: encode_forms(NATIVE),
        GOLDEN: msgspec.json.encode(golden),
    }
    del files[ONNX]
    entries = {name: BundleFile(digest=artifacts.put(data), size_bytes=len(data)) for name, data in files.items()}
    packed = BundleManifest(layout=1, project=PROJECT, model=MODEL, format="pickle", files=entries)
    data = msgspec.json.encode(packed, order="deterministic")
    assert artifacts.put(data) == digest_of(data)
    return digest_of(data)


def bench_with(tmp_path: Path, settings: str) -> Bench:
    made = make_bench(tmp_path)
    return Bench(make_project(tmp_path / "project", settings=settings, artifacts=made.project.artifacts))


def publish(bench: Bench, **said: Any) -> None:
    of = manifest(arm(publish_pickle(bench.project.artifacts)), sequence=1)
    bench.project.publish(replace(of, arms=(bench.project.stated_arm(of.arms[0], of, **said),)))
    bench.watcher.look()


def error(bench: Bench) -> str:
    return bench.watcher.status.deployments[DEPLOYMENT].error or ""


def test_it_is_not_opened_where_pickles_are_off(tmp_path: Path) -> None:
    bench = bench_with(tmp_path, SETTINGS)
    publish(bench, unsafe_by=("ada",))
    assert "is of format 'pickle', which is code; this predictor opens no code" in error(bench)
    assert bench.watcher.lineups == {}


def test_it_is_not_opened_without_a_persons_word(tmp_path: Path) -> None:
    bench = bench_with(tmp_path, ALLOWED)
    publish(bench)
    assert "names nobody who approved that it runs" in error(bench)
    assert bench.watcher.lineups == {}


def test_it_answers_from_its_own_process_once_all_is_said(tmp_path: Path) -> None:
    bench = bench_with(tmp_path, ALLOWED)
    publish(bench, unsafe_by=("ada",))
    assert error(bench) == ""
    assert bench.predict(ROW)["predictions"][0]["value"] == 7.0


@pytest.mark.parametrize("query", ["", "?explain=true"])
def test_while_it_is_asked_others_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    bench = bench_with(tmp_path, ALLOWED)
    publish(bench, unsafe_by=("ada",))
    bench.publish(arm(publish_bundle(bench.project.artifacts)), deployment="other")
    begun, others = threading.Event(), threading.Event()

    def slow(model: JailedModel, matrix: Any) -> Any:
        if len(matrix) > 1 or not query:  # the reasons, if they are asked for
            begun.set()
            assert others.wait(10)
        return np.full(len(matrix), 7.0)

    async def both() -> list[Reply]:
        body = [msgspec.json.encode({"rows": [ROW]})]
        asked = asyncio.create_task(bench.caller.ask("POST", f"/predict/{DEPLOYMENT}{query}", parts=body))
        await asyncio.to_thread(begun.wait, 10)
        other = await bench.caller.ask("POST", "/predict/other", parts=body)
        others.set()
        return [other, await asked]

    monkeypatch.setattr(JailedModel, "__call__", slow)
    assert [reply.status for reply in asyncio.run(both())] == [200, 200]


@pytest.mark.parametrize(
    ("kept", "forms", "tier"),
    [
        ("lightgbm", NATIVE, FormatTier.DATA),
        ("sklearn", NATIVE, FormatTier.LISTED),
        ("sklearn", Forms(forms=(FormChoice(form=Form.COMPILED, from_rows=1),)), FormatTier.DATA),
        ("pickle", NATIVE, FormatTier.CODE),
        ("pickle", Forms(forms=(FormChoice(form=Form.COMPILED, from_rows=1),)), FormatTier.CODE),
        ("joblib", NATIVE, FormatTier.CODE),
    ],
)
def test_a_bundle_is_of_one_tier_and_what_is_not_known_is_code(kept: str, forms: Forms, tier: FormatTier) -> None:
    of: Callable[[str], BundleManifest] = lambda name: BundleManifest(  # noqa: E731
        layout=1, project=PROJECT, model=MODEL, format=name, files={}
    )
    assert tier_of(of(kept), forms) is tier
    assert (format_tier(kept) is FormatTier.CODE) == (tier is FormatTier.CODE)
