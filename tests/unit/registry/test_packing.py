"""What a trained model becomes: files under one digest that say everything about it."""

from dataclasses import replace
from functools import partial
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workshop import CODE, Workshop, boosted, declare, open_workshop

import octavo as oc
from octavo.definitions.plans import plan_lookup
from octavo.errors import TrainingFailed
from octavo.registry.bundles import Bundle, decode_manifest, fetch_bundle
from octavo.registry.forms import Form, decode_forms
from octavo.registry.packing import Packed, pack
from octavo.registry.provenance import Provenance, decode_provenance
from octavo.training.fit import TrainedModel, train


def linear(train: oc.Dataset) -> Any:
    """A line that takes no missing value."""
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(train.X, train.y)


def imputed(train: oc.Dataset) -> Any:
    """Compiled wrongly by skl2onnx, which loses the indicator; and no linear model by itself."""
    from sklearn.ensemble import VotingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(add_indicator=True), VotingRegressor([("one", Ridge())])).fit(train.X, train.y)


def of_neighbours(train: oc.Dataset) -> Any:
    """ONNX whose answer for a row is the mean over all rows that are asked for together."""
    from onnx import TensorProto, helper

    items = helper.make_tensor("items", TensorProto.INT64, [1], [train.X.shape[1] - 1])
    nodes = [
        helper.make_node("Gather", ["X", "items"], ["asked"], axis=1),
        helper.make_node("ReduceMean", ["asked"], ["mean"], axes=[0]),
        helper.make_node("Sub", ["asked", "asked"], ["zero"]),
        helper.make_node("Add", ["zero", "mean"], ["y"]),
    ]
    takes = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, train.X.shape[1]])
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "of_neighbours", [takes], [gives], [items])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted, owner="the shops"))


def trained_in(workshop: Workshop) -> TrainedModel:
    return train(workshop.context, workshop.model, as_of=workshop.now)


def opened(workshop: Workshop, packed: Packed) -> Bundle:
    return fetch_bundle(workshop.context.stores.artifacts, packed.digest, into=workshop.context.config.home / "bundles")


def provenance_in(bundle: Bundle) -> Provenance:
    return decode_provenance((bundle.path / "provenance.json").read_bytes())


def test_a_bundle_holds_the_model_in_both_forms_its_plan_and_its_code(workshop: Workshop) -> None:
    bundle = opened(workshop, pack(workshop.context, trained_in(workshop)))
    assert {"model/model.txt", "model/model.onnx", "code/project.py"} <= set(bundle.manifest.files)
    assert bundle.plan == plan_lookup(workshop.model)
    assert bundle.code["project.py"].decode() == CODE
    assert (bundle.manifest.project, bundle.manifest.model, bundle.manifest.format) == ("shops", "boosted", "lightgbm")


def test_the_report_is_kept_under_its_own_digest_too(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    packed = pack(workshop.context, trained)
    assert opened(workshop, packed).manifest.files["report.json"].digest == packed.report
    assert opened(workshop, packed).report == trained.report


def test_packing_the_same_again_gives_the_same_digest(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    first, again = (pack(workshop.context, trained, timer=partial(next, count())) for _ in range(2))
    assert first.digest == again.digest


def test_training_again_on_the_same_data_changes_only_what_names_the_run(workshop: Workshop) -> None:
    first, again = (
        opened(workshop, pack(workshop.context, trained_in(workshop), timer=partial(next, count()))).manifest.files
        for _ in range(2)
    )
    told = {"provenance.json", "card.md", "card.json", "bom.json"}
    assert {name for name in first if first[name] != again[name]} == told


def test_golden_rows_hold_what_the_trained_estimator_answers(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    golden = opened(workshop, pack(workshop.context, trained)).golden
    assert golden.expected.tolist() == trained.estimator.predict(golden.rows.astype(np.float64)).tolist()
    assert np.isnan(golden.rows).all(axis=1).any()


def test_the_compiled_predictions_are_those_for_the_held_out_rows(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    assert np.allclose(pack(workshop.context, trained).predictions, trained.predictions, rtol=1e-5)


def test_the_provenance_says_from_what_the_model_was_made(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    found = provenance_in(opened(workshop, pack(workshop.context, trained)))
    assert (found.run, found.dataset, found.code) == (trained.run.id, trained.training_set.digest, trained.run.code)
    assert found.as_of == workshop.now
    assert dict(found.tables) == {"events/visits": 1}
    assert {"lightgbm", "numpy", "onnxruntime"} <= set(found.libraries)
    assert 0 <= found.parity <= 1


def test_the_environment_lists_every_distribution_once(workshop: Workshop) -> None:
    text = (opened(workshop, pack(workshop.context, trained_in(workshop))).path / "environment.txt").read_text("utf-8")
    names = [line.partition("==")[0] for line in text.splitlines()]
    assert names == sorted(set(names))
    assert {"octavo", "msgspec", "scikit-learn"} <= set(names)


def test_an_estimator_that_takes_no_missing_value_is_packed_and_the_card_says_so(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(linear, features=[oc.request("items", oc.Float64)], baseline=None))
    bundle = opened(workshop, pack(workshop.context, trained_in(workshop)))
    assert provenance_in(bundle).refused == ("every input missing", "one input missing")
    assert "refuses rows of this kind: every input missing" in bundle.card
    assert not np.isnan(bundle.golden.rows).any()


def test_a_model_that_is_compiled_wrongly_is_served_by_its_own_library(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(imputed))
    trained = trained_in(workshop)
    packed = pack(workshop.context, trained)
    bundle = opened(workshop, packed)
    forms = decode_forms(bundle.read("serving.json"))
    assert "model/model.onnx" not in bundle.manifest.files
    assert forms.used == (Form.NATIVE,)
    assert "is not the model that was trained" in forms.uncompiled
    assert packed.predictions == pytest.approx(trained.predictions)


@pytest.mark.parametrize(("native_s", "used"), [(2, (Form.COMPILED,)), (0.5, (Form.NATIVE,))])
def test_the_form_that_measured_faster_serves(workshop: Workshop, native_s: float, used: tuple[Form, ...]) -> None:
    batches, calls = 4, 3
    ticks = [1.0] * batches * calls + [native_s] * batches * calls
    times = accumulate(step for took in ticks for step in (0.0, took))
    packed = pack(workshop.context, trained_in(workshop), timer=partial(next, times))
    assert decode_forms(opened(workshop, packed).read("serving.json")).used == used


def test_a_model_that_answers_a_row_by_its_neighbours_is_not_packed(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(of_neighbours))
    with pytest.raises(TrainingFailed, match=r"golden rows, one at a time"):
        pack(workshop.context, trained_in(workshop))


def test_a_module_whose_name_cannot_stand_in_a_bundle_is_refused(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    project = replace(workshop.context.project, code={"my project.py": ""})
    with pytest.raises(TrainingFailed, match="name the project's module with plain letters"):
        pack(replace(workshop.context, project=project), trained)


def test_the_manifest_is_the_last_to_be_kept(workshop: Workshop) -> None:
    trained = trained_in(workshop)
    artifacts = workshop.context.stores.artifacts
    kept: list[str] = []
    put = artifacts.put

    def noting(data: bytes) -> str:
        kept.append(put(data))
        return kept[-1]

    artifacts.put = noting  # type: ignore[method-assign]
    packed = pack(workshop.context, trained)
    assert kept[-1] == packed.digest
    assert {
        f.digest for f in decode_manifest(artifacts.get(packed.digest), digest=packed.digest).files.values()
    } <= set(kept[:-1])
